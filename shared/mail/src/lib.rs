//! E-mails as requests to a provider's HTTP API. Sources: <https://resend.com/docs/api-reference/emails/send-email>,
//! <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>,
//! <https://postmarkapp.com/developer/api/email-api>.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Resend.
    Resend,
    /// SendGrid.
    Sendgrid,
    /// Postmark.
    Postmark,
}

/// A mail. Addresses are written `ada@example.com` or `Ada <ada@example.com>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Mail {
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Who gets one that nobody sees.
    #[serde(default)]
    pub bcc: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Its subject.
    pub subject: String,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
}

impl Provider {
    /// Where its API is, without a slash at the end.
    pub fn base(self) -> &'static str {
        match self {
            Self::Resend => "https://api.resend.com",
            Self::Sendgrid => "https://api.sendgrid.com",
            Self::Postmark => "https://api.postmarkapp.com",
        }
    }

    /// Where mails are posted; `base` stands for the provider's own where it is given.
    pub fn url(self, base: Option<&str>) -> String {
        let path = match self {
            Self::Resend => "/emails",
            Self::Sendgrid => "/v3/mail/send",
            Self::Postmark => "/email",
        };
        let base = base.unwrap_or(self.base()).trim_end_matches('/');
        format!("{base}{path}")
    }

    /// The header field that carries its key.
    pub fn credential(self, key: &str) -> (&'static str, String) {
        match self {
            Self::Postmark => ("x-postmark-server-token", key.to_owned()),
            Self::Resend | Self::Sendgrid => ("authorization", format!("Bearer {key}")),
        }
    }

    /// The body of the request.
    pub fn body(self, mail: &Mail) -> Value {
        without_nulls(match self {
            Self::Resend => resend(mail),
            Self::Sendgrid => sendgrid(mail),
            Self::Postmark => postmark(mail),
        })
    }
}

/// Whether a text is an address as people write it: one `@` with something on both sides, no line breaks, and a closed
/// bracket where there is an open one. Whether anybody reads it, nobody knows before it is tried.
pub fn is_address(text: &str) -> bool {
    let bare = match text.trim().strip_suffix('>') {
        Some(rest) => match rest.split_once('<') {
            Some((_, bare)) => bare,
            None => return false,
        },
        None => text.trim(),
    };
    let parts = bare.split_once('@');
    let holds = parts.is_some_and(|(user, host)| {
        !user.is_empty() && host.len() > 2 && !host.contains('@') && !host.ends_with('.')
    });
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';');
    holds && !bare.contains(odd) && !text.contains(char::is_control) && text.len() <= 320
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_people_write() {
        for good in [
            "ada@example.com",
            "Ada L <ada@example.com>",
            "a+b@x.example",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@example.com",
            "ada@example.com\r\nBcc: x@example.com",
            "Ada ada@example.com>",
            "ada@example.com, eve@example.com",
            "Ada <ada example.com>",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }

    #[test]
    fn each_provider_gets_its_own_form() {
        let mail = Mail {
            from: "Shop <shop@example.com>".into(),
            to: vec!["ada@example.com".into()],
            subject: "Hi".into(),
            text: Some("there".into()),
            ..Mail::default()
        };
        let resend = json!({"from": "Shop <shop@example.com>", "to": ["ada@example.com"], "subject": "Hi", "text": "there"});
        assert_eq!(Provider::Resend.body(&mail), resend);
        let postmark = json!({"From": "Shop <shop@example.com>", "To": "ada@example.com", "Subject": "Hi", "TextBody": "there"});
        assert_eq!(Provider::Postmark.body(&mail), postmark);
        let sendgrid = json!({"personalizations": [{"to": [{"email": "ada@example.com"}]}],
            "from": {"email": "shop@example.com", "name": "Shop"}, "subject": "Hi",
            "content": [{"type": "text/plain", "value": "there"}]});
        assert_eq!(Provider::Sendgrid.body(&mail), sendgrid);
        assert_eq!(
            Provider::Sendgrid.url(Some("http://127.0.0.1:1/")),
            "http://127.0.0.1:1/v3/mail/send"
        );
        let (name, value) = Provider::Postmark.credential("k");
        assert_eq!((name, &*value), ("x-postmark-server-token", "k"));
    }
}
