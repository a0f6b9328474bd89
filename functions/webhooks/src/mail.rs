//! Events by e-mail: who gets them, and the request to the provider that sends them.

use crate::deliver::{AGENT, Delivery, Prepared};
use crate::deliveries::message_id;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use nodeai_app::Cx;
use nodeai_app::inputs::is_uuid;
use nodeai_app::vault::OpenedSecret;
use nodeai_guard::host_matches;
use nodeai_http::Checker;
use nodeai_mail::{Mail, Provider, is_address};
use nodeai_webhook::letter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// Most recipients of one mail.
const MOST_TO: usize = 20;
/// The header field by which a provider knows a mail that it has sent already.
const ONCE: HeaderName = HeaderName::from_static("idempotency-key");

/// The events that go by e-mail unless others are chosen: few enough to be read.
pub const USUAL_EVENTS: [&str; 3] = ["alert.opened", "alert.resolved", "budget.threshold"];

/// From whom to whom, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Addressed {
    /// Who sends: `resend`, `sendgrid` or `postmark`.
    pub provider: Provider,
    /// The sender, as the provider knows it: `ada@example.com` or `Ada <ada@example.com>`.
    pub from: String,
    /// 1 to 20 recipients.
    pub to: Vec<String>,
    /// Where answers go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Where the API is, if not at the provider: https, and no private address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
}

/// From whom to whom, and with which key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailInput {
    /// Who sends: `resend`, `sendgrid` or `postmark`.
    pub provider: Provider,
    /// The sender, as the provider knows it: `ada@example.com` or `Ada <ada@example.com>`.
    pub from: String,
    /// 1 to 20 recipients.
    pub to: Vec<String>,
    /// Where answers go.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Where the API is, if not at the provider: https, and no private address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The secret of the vault that holds the provider's key (UUID). It is opened for each mail, which its log shows.
    pub secret_id: String,
}

impl EmailInput {
    /// Reports what is wrong, below `/email`.
    pub fn check(&self, c: &mut Checker) {
        let few = (1..=MOST_TO).contains(&self.to.len());
        c.require(few, "/email/to", "length", "1 to 20 addresses");
        let to = self.to.iter().enumerate();
        let to = to.map(|(i, text)| (format!("/email/to/{i}"), text));
        let one = |name: &str, text| (format!("/email/{name}"), text);
        let reply_to = self.reply_to.iter().map(|text| one("reply_to", text));
        for (pointer, text) in to.chain([one("from", &self.from)]).chain(reply_to) {
            let detail = "must be ada@example.com or Ada <ada@example.com>";
            c.require(is_address(text), &pointer, "format", detail);
        }
        crate::rules::url_at(c, &self.url(), "/email/base_url");
        let uuid = is_uuid(&self.secret_id);
        c.require(uuid, "/email/secret_id", "format", "must be a UUID");
    }

    /// Where the mails are posted.
    pub fn url(&self) -> String {
        self.provider.url(self.base_url.as_deref())
    }

    /// The columns of it.
    pub fn row(&self) -> Value {
        let addressed = Addressed {
            provider: self.provider,
            from: self.from.clone(),
            to: self.to.clone(),
            reply_to: self.reply_to.clone(),
            base_url: self.base_url.clone(),
        };
        json!({"email": addressed, "secret_id": self.secret_id, "url": self.url()})
    }
}

/// The provider's key. Errors: it may not go there, or does not open.
fn key(cx: &Cx, secret: &OpenedSecret, url: &str) -> Result<String, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let mut bound = secret.hosts.iter();
    if !bound.all(|hosts| hosts.iter().any(|host| host_matches(host, &url))) {
        let name = &secret.name;
        return Err(format!("the secret {name} is not for this provider's host"));
    }
    let value = secret.value(cx);
    value.map_err(|problem| problem.detail.unwrap_or(problem.title))
}

/// The request to the provider. Errors: why it cannot be made, in words for whoever looks at the delivery.
pub fn prepare(
    cx: &Cx,
    delivery: &Delivery,
    to: &Addressed,
    secret: Option<&OpenedSecret>,
) -> Result<Prepared, String> {
    let secret = secret.ok_or("the secret with the provider's key is gone")?;
    let key = key(cx, secret, &delivery.url)?;
    request(&delivery.id, &delivery.body, to, &key)
}

fn request(id: &str, body: &str, to: &Addressed, key: &str) -> Result<Prepared, String> {
    let payload: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let letter = letter(&payload);
    let mail = Mail {
        from: to.from.clone(),
        to: to.to.clone(),
        reply_to: to.reply_to.clone(),
        subject: letter.subject,
        text: Some(letter.text),
        ..Mail::default()
    };
    let (credential, value) = to.provider.credential(key);
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "the provider's key cannot stand in a header field".to_owned())?;
    value.set_sensitive(true);
    let once = HeaderValue::try_from(message_id(id)).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json.clone());
    headers.insert(header::ACCEPT, json);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(HeaderName::from_static(credential), value);
    headers.insert(ONCE, once);
    Ok(Prepared {
        headers,
        body: Bytes::from(to.provider.body(&mail).to_string()),
        credential,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> EmailInput {
        serde_json::from_value(
            json!({"provider": "postmark", "from": "Ops <ops@example.com>",
            "to": ["ada@example.com"], "secret_id": "0195e5a0-0000-7000-8000-0000000000a1"}),
        )
        .unwrap()
    }

    fn pointers(input: &EmailInput) -> Vec<String> {
        let mut c = Checker::default();
        input.check(&mut c);
        let errors = c.finish().err().map(|p| p.errors).unwrap_or_default();
        errors.into_iter().filter_map(|e| e.pointer).collect()
    }

    #[test]
    fn each_wrong_address_has_its_pointer() {
        assert!(pointers(&input()).is_empty());
        let wrong = EmailInput {
            from: "ops".into(),
            to: vec!["a@example.com".into(), "b\r\nBcc: c@example.com".into()],
            base_url: Some("nothing".into()),
            secret_id: "x".into(),
            ..input()
        };
        let want = ["to/1", "from", "base_url", "secret_id"];
        assert_eq!(pointers(&wrong), want.map(|name| format!("/email/{name}")));
        let to = Vec::new();
        assert_eq!(pointers(&EmailInput { to, ..input() }), ["/email/to"]);
    }

    #[test]
    fn a_mail_has_the_key_in_the_field_that_is_never_shown() {
        let to: Addressed = serde_json::from_value(input().row()["email"].clone()).unwrap();
        let alert = r#"{"type":"alert.opened","data":{"rule_name":"Slow"}}"#;
        let made = request("d", alert, &to, "hush").unwrap();
        assert_eq!(made.headers["x-postmark-server-token"], "hush");
        assert_eq!(made.credential, "x-postmark-server-token");
        assert_eq!(made.headers["idempotency-key"], "msg_d");
        let body: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(body["Subject"], "[alert.opened] Slow");
        assert!(request("d", alert, &to, "a\nb").is_err());
    }
}
