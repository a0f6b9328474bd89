//! `email`: sends a mail through a provider's HTTP API. Sources: <https://resend.com/docs/api-reference/emails/send-email>,
//! <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>,
//! <https://postmarkapp.com/developer/api/email-api>.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Effect, Faults, Fields, NodeError, Read, Sending, Spec, check_base, http, port};

pub(super) fn spec() -> Spec {
    let people = json!({"type": "array", "items": {"type": "string", "minLength": 3}, "maxItems": 50,
        "description": "Addresses, each as ada@example.com or Ada <ada@example.com>"});
    Spec {
        kind: "email".into(),
        title: "E-mail".into(),
        description: "Sends a mail through Resend, SendGrid or Postmark.".into(),
        category: "services".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["provider", "api_key", "from", "to", "subject"],
            "properties": {
                "provider": {"type": "string", "enum": ["resend", "sendgrid", "postmark"], "x-nodeai": "literal"},
                "api_key": {"type": "string", "minLength": 1, "description": "Such as {{ secrets.RESEND_API_KEY }}"},
                "from": {"type": "string", "minLength": 3},
                "to": people, "cc": people, "bcc": people,
                "reply_to": {"type": "string", "minLength": 3},
                "subject": {"type": "string", "minLength": 1, "maxLength": 998},
                "text": {"type": "string"},
                "html": {"type": "string"},
                "base_url": {"type": "string", "minLength": 1, "description": "Where the API is, if not at the provider"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "What the provider answered", json!({}))],
        example: json!({
            "provider": "resend", "api_key": "{{ secrets.RESEND_API_KEY }}", "from": "Shop <shop@example.com>",
            "to": ["{{ inputs.email }}"], "subject": "Your order", "text": "{{ nodes.letter.output.text }}",
        }),
    }
}

#[derive(Deserialize)]
struct Mail {
    provider: String,
    api_key: String,
    from: String,
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    bcc: Vec<String>,
    reply_to: Option<String>,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    base_url: Option<String>,
}

pub(super) fn check(data: &Fields, at: &str, faults: &mut Faults) {
    if !data.contains_key("text") && !data.contains_key("html") {
        faults.add(format!("{at}/text"), "required", "give text, html or both");
    }
    check_base(data, at, faults);
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mail: Mail = call.config()?;
    let bearer = format!("Bearer {}", mail.api_key);
    let (path, header, body) = match mail.provider.as_str() {
        "sendgrid" => (
            "/v3/mail/send",
            ("authorization", bearer.as_str()),
            sendgrid(&mail),
        ),
        "postmark" => (
            "/email",
            ("x-postmark-server-token", mail.api_key.as_str()),
            postmark(&mail),
        ),
        _ => ("/emails", ("authorization", bearer.as_str()), resend(&mail)),
    };
    let base = mail
        .base_url
        .as_deref()
        .unwrap_or(base(&mail.provider))
        .trim_end_matches('/');
    http::service(Sending {
        method: "POST",
        url: &format!("{base}{path}"),
        query: &Fields::new(),
        headers: &[header, ("accept", "application/json")],
        body: Some(without_nulls(body)),
        connection: None,
        read: Read::Body,
    })
}

/// Where a provider's API is.
pub(super) fn base(provider: &str) -> &'static str {
    match provider {
        "sendgrid" => "https://api.sendgrid.com",
        "postmark" => "https://api.postmarkapp.com",
        _ => "https://api.resend.com",
    }
}

fn list(addresses: &[String]) -> Value {
    match addresses {
        [] => Value::Null,
        addresses => json!(addresses),
    }
}

fn resend(mail: &Mail) -> Value {
    json!({"from": mail.from, "to": mail.to, "cc": list(&mail.cc), "bcc": list(&mail.bcc),
        "reply_to": mail.reply_to, "subject": mail.subject, "text": mail.text, "html": mail.html})
}

fn postmark(mail: &Mail) -> Value {
    let joined = |addresses: &[String]| match addresses {
        [] => Value::Null,
        addresses => json!(addresses.join(", ")),
    };
    json!({"From": mail.from, "To": joined(&mail.to), "Cc": joined(&mail.cc), "Bcc": joined(&mail.bcc),
        "ReplyTo": mail.reply_to, "Subject": mail.subject, "TextBody": mail.text, "HtmlBody": mail.html})
}

fn sendgrid(mail: &Mail) -> Value {
    let people = |addresses: &[String]| match addresses {
        [] => Value::Null,
        addresses => addresses.iter().map(|address| person(address)).collect(),
    };
    // Plain text first, as RFC 2046 has it for alternatives.
    let contents = [("text/plain", &mail.text), ("text/html", &mail.html)];
    let contents = contents.into_iter().filter_map(|(kind, value)| {
        let value = value.as_ref()?;
        Some(json!({"type": kind, "value": value}))
    });
    let to = without_nulls(
        json!({"to": people(&mail.to), "cc": people(&mail.cc), "bcc": people(&mail.bcc)}),
    );
    json!({"personalizations": [to], "from": person(&mail.from),
        "reply_to": mail.reply_to.as_deref().map(person), "subject": mail.subject,
        "content": contents.collect::<Vec<_>>()})
}

/// `Ada <ada@example.com>` or `ada@example.com` (RFC 5322, `mailbox`, as far as people write it).
fn person(address: &str) -> Value {
    let address = address.trim();
    match address
        .strip_suffix('>')
        .and_then(|rest| rest.split_once('<'))
    {
        Some((name, email)) => {
            let name = name.trim().trim_matches('"');
            without_nulls(
                json!({"email": email.trim(), "name": (!name.is_empty()).then_some(name)}),
            )
        }
        None => json!({"email": address}),
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
