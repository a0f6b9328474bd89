//! `email`: sends a mail through a provider's HTTP API.

use nodeai_mail::{Mail, Provider};
use serde::Deserialize;
use serde_json::json;

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
struct Config {
    provider: Provider,
    api_key: String,
    base_url: Option<String>,
    #[serde(flatten)]
    mail: Mail,
}

pub(super) fn check(data: &Fields, at: &str, faults: &mut Faults) {
    if !data.contains_key("text") && !data.contains_key("html") {
        faults.add(format!("{at}/text"), "required", "give text, html or both");
    }
    check_base(data, at, faults);
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let (name, value) = config.provider.credential(&config.api_key);
    http::service(Sending {
        method: "POST",
        url: &config.provider.url(config.base_url.as_deref()),
        query: &Fields::new(),
        headers: &[(name, value.as_str()), ("accept", "application/json")],
        body: Some(config.provider.body(&config.mail)),
        connection: None,
        read: Read::Body,
    })
}

/// Where a provider's API is.
pub(super) fn base(provider: &str) -> &'static str {
    match provider {
        "sendgrid" => Provider::Sendgrid.base(),
        "postmark" => Provider::Postmark.base(),
        _ => Provider::Resend.base(),
    }
}
