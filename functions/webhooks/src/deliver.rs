//! One attempt of one delivery: sign, send, judge, and what the store is told of it.

use crate::deliveries::message_id;
use crate::mail::{self, Addressed};
use crate::outbound::{self, Answer};
use crate::rules::why;
use crate::seal::SealedKey;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use nodeai_app::vault::OpenedSecret;
use nodeai_app::{Cx, clock};
use nodeai_guard::UrlGuard;
use nodeai_webhook::{ID, Key, SIGNATURE, TIMESTAMP, Verdict, fields, judge, record, sign};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use url::Url;

/// Who the requests say they are from.
pub const AGENT: &str = concat!("NodeAI-Webhooks/", env!("CARGO_PKG_VERSION"));

/// A delivery that was taken up.
#[derive(Debug, Deserialize)]
pub struct Delivery {
    /// Its id, of which the message's is made.
    pub id: String,
    /// The lease.
    pub lease_token: i64,
    org_id: String,
    webhook_id: String,
    /// The payload as it is sent.
    pub body: String,
    step: usize,
    /// Where it goes.
    pub url: String,
    headers: BTreeMap<String, String>,
    secrets: Vec<SealedKey>,
    /// To whom, where it goes by e-mail.
    #[serde(default)]
    email: Option<Addressed>,
    /// The sealed key of the provider that sends it.
    #[serde(default)]
    mail_secret: Option<OpenedSecret>,
}

/// A request that is ready to be sent.
pub struct Prepared {
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The header field whose value is a secret; empty for none.
    pub credential: &'static str,
}

/// What came of an attempt, and how the store hears of it.
pub struct Attempted {
    /// The verdict.
    pub verdict: Verdict,
    /// Arguments of `webhook_settle`.
    pub settle: Value,
}

/// Tries once. Whatever happens there is a verdict: what cannot be sent today may be sent tomorrow.
pub async fn deliver(cx: &Cx, guard: &UrlGuard, delivery: &Delivery) -> Attempted {
    let began_us = clock::now_us();
    let prepared = prepare(cx, delivery, began_us / 1_000_000);
    let answered = match (&prepared, checked(guard, &delivery.url)) {
        (Ok(prepared), Ok(())) => send(cx, delivery, prepared).await,
        (Err(error), _) => Err(error.clone()),
        (_, Err(error)) => Err(error),
    };
    let now_us = clock::now_us();
    let answer = answered.as_ref().ok();
    let retry_after = answer.and_then(|a| a.headers.get(header::RETRY_AFTER)?.to_str().ok());
    let random = u32::from_ne_bytes(clock::random());
    let status = answer.map(|a| a.status);
    let verdict = judge(
        status,
        retry_after,
        now_us / 1_000_000,
        delivery.step,
        random,
    );
    let attempt = json!({"id": clock::new_id(), "status": status, "at_us": began_us,
        "duration_us": (now_us - began_us).max(0),
        "error": answered.as_ref().err().map(|error| record::error(error)),
        "request": prepared.ok().map(|p| record::request(&delivery.url, &p.headers, p.credential)),
        "response": answer.map(|a| record::response(&a.headers, &a.body, a.whole))});
    let settle = settle(delivery, verdict, now_us, attempt);
    Attempted { verdict, settle }
}

/// Signs it, or makes an e-mail of it.
fn prepare(cx: &Cx, delivery: &Delivery, now_s: i64) -> Result<Prepared, String> {
    match &delivery.email {
        Some(to) => mail::prepare(cx, delivery, to, delivery.mail_secret.as_ref()),
        None => Ok(Prepared {
            headers: headers(cx, delivery, now_s)?,
            body: Bytes::from(delivery.body.clone()),
            credential: "",
        }),
    }
}

/// Each attempt has a timestamp of its own, so receivers may refuse old ones.
fn headers(cx: &Cx, delivery: &Delivery, now_s: i64) -> Result<HeaderMap, String> {
    let open = |sealed: &SealedKey| sealed.open(cx, &delivery.org_id, &delivery.webhook_id);
    let keys: Result<Vec<Key>, _> = delivery.secrets.iter().map(open).collect();
    let keys = keys.map_err(|problem| problem.detail.unwrap_or(problem.title))?;
    if keys.is_empty() {
        return Err("the webhook has no key to sign with".to_owned());
    }
    let id = message_id(&delivery.id);
    let signatures = sign(&keys, &id, now_s, delivery.body.as_bytes());
    let mut headers = HeaderMap::new();
    for (name, value) in &delivery.headers {
        // What was stored past the API's rules does not go out.
        if let Ok((name, value)) = fields::check(name, value) {
            headers.insert(name, value);
        }
    }
    let own = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::USER_AGENT, AGENT.to_owned()),
        (HeaderName::from_static(ID), id),
        (HeaderName::from_static(TIMESTAMP), now_s.to_string()),
        (HeaderName::from_static(SIGNATURE), signatures),
    ];
    for (name, value) in own {
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Again for each attempt: what the operator allows may have changed since.
fn checked(guard: &UrlGuard, url: &str) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    guard
        .check_confidential(&url)
        .map_err(|refused| why(&refused))
}

async fn send(cx: &Cx, delivery: &Delivery, prepared: &Prepared) -> Result<Answer, String> {
    let request = http::Request::post(&delivery.url).body(prepared.body.clone());
    let mut request = request.map_err(|error| error.to_string())?;
    request.headers_mut().clone_from(&prepared.headers);
    outbound::send(cx, request).await
}

fn settle(delivery: &Delivery, verdict: Verdict, now_us: i64, attempt: Value) -> Value {
    let after = |wait: std::time::Duration| {
        now_us.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
    };
    let mut settle =
        json!({"id": delivery.id, "lease_token": delivery.lease_token, "attempt": attempt});
    let (outcome, reason) = match verdict {
        Verdict::Delivered => ("delivered", None),
        Verdict::Exhausted => (
            "exhausted",
            Some("the receiver has not taken a delivery for days"),
        ),
        Verdict::Gone => ("gone", Some("the receiver answered 410 Gone")),
        Verdict::Retry {
            after: wait,
            silence,
        } => {
            settle["next_us"] = json!(after(wait));
            settle["throttle_us"] = json!(silence.map(after));
            ("retry", None)
        }
    };
    settle["outcome"] = json!(outcome);
    settle["reason"] = json!(reason);
    settle
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn delivery() -> Delivery {
        let row = json!({"id": "d", "lease_token": 3, "org_id": "o", "webhook_id": "w", "body": "{}", "step": 0,
            "url": "https://a.example/", "headers": {}, "secrets": []});
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn the_store_hears_when_to_try_again_and_why_not() {
        let told = |verdict| settle(&delivery(), verdict, 1_000_000, json!({}));
        let again = told(Verdict::Retry {
            after: Duration::from_secs(5),
            silence: Some(Duration::from_secs(2)),
        });
        assert_eq!(
            (&again["outcome"], &again["next_us"], &again["throttle_us"]),
            (&json!("retry"), &json!(6_000_000), &json!(3_000_000))
        );
        assert_eq!(told(Verdict::Delivered)["outcome"], "delivered");
        assert_eq!(
            told(Verdict::Gone)["reason"],
            "the receiver answered 410 Gone"
        );
        assert_eq!(told(Verdict::Exhausted)["lease_token"], 3);
    }

    #[test]
    fn a_private_or_plain_url_is_refused_at_each_attempt() {
        let guard = UrlGuard::default();
        assert!(checked(&guard, "https://a.example/").is_ok());
        for url in ["http://a.example/", "https://10.0.0.1/", "nothing"] {
            assert!(checked(&guard, url).is_err(), "{url}");
        }
    }
}
