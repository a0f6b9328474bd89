//! A request on its way into the store: verified, read, and with the inputs of its run.

use super::webhook::Webhook;
use crate::seal::SealedKey;
use nodeai_app::{Cx, clock, store_problem};
use nodeai_http::Problem;
use nodeai_store::Store;
use nodeai_webhook::inbound::content::{self, MOST_BODY};
use nodeai_webhook::inbound::{Request, Scheme, verify};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// A request that was looked at.
pub struct Received {
    /// Why it is not from whom it should be from.
    refused: Option<String>,
    /// Its row, but for the verdict.
    row: Value,
    /// Inputs of its run.
    inputs: Map<String, Value>,
    /// What is answered at once in place of a run: Slack asks whether somebody is there.
    challenge: Option<String>,
}

/// What became of it.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// `started`, `duplicate`, `recorded`, `unverified`, or why nothing runs.
    pub outcome: String,
    /// The run; of a duplicate the earlier one's.
    #[serde(default)]
    pub execution_id: Option<String>,
    /// What is answered in place of a run.
    #[serde(skip)]
    pub challenge: Option<String>,
}

impl Received {
    /// Verifies and reads a request. Errors: 413 for a large body; 503 without the master key of a secret.
    pub fn of(
        cx: &Cx,
        webhook: &Webhook,
        secrets: &[SealedKey],
        below: &str,
        params: Map<String, Value>,
    ) -> Result<Self, Problem> {
        if cx.body.len() > MOST_BODY {
            let detail = format!("the body may have at most {MOST_BODY} bytes");
            return Err(Problem::too_large(detail));
        }
        let open = |sealed: &SealedKey| sealed.open_text(cx, &webhook.org_id, &webhook.id);
        let secrets: Result<Vec<Zeroizing<String>>, _> = secrets.iter().map(open).collect();
        let secrets = secrets?;
        let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
        let request = Request {
            method: cx.method.as_str(),
            path: below,
            query: &cx.query,
            headers: &cx.headers,
            body: &cx.body,
        };
        let scheme = &webhook.verification;
        let verified = verify(scheme, &secrets, &request, cx.started_us / 1_000_000);
        let body = content::parsed(&request);
        let from = webhook.delivery_id_from();
        let delivery_id = from.and_then(|from| from.find(&request, &body));
        let (kept, encoding) = content::kept(request.body);
        let row = json!({"id": clock::new_id(), "method": request.method, "path": format!("/{below}"),
            "query": request.query, "headers": content::shown(scheme, &request), "body": kept, "body_encoding": encoding,
            "body_bytes": request.body.len(), "client_ip": cx.client_ip(), "delivery_id": delivery_id});
        Ok(Self {
            refused: verified.err().map(|refused| refused.to_string()),
            row,
            challenge: challenge(scheme, &body),
            inputs: content::inputs(scheme, &request, body, params, delivery_id.as_deref()),
        })
    }
}

/// <https://docs.slack.dev/reference/events/url_verification>
fn challenge(scheme: &Scheme, body: &Value) -> Option<String> {
    let asks = matches!(scheme, Scheme::Slack { .. }) && body["type"] == "url_verification";
    let said = body["challenge"].as_str().filter(|_| asks)?;
    Some(said.to_owned())
}

/// Keeps a request and starts its run, in one statement; none when the webhook has gone meanwhile. Errors: 503.
pub async fn store(
    store: &Store,
    cx: &Cx,
    webhook: &Webhook,
    received: Received,
) -> Result<Option<Outcome>, Problem> {
    let verified = received.refused.is_none();
    let mut row = received.row;
    row["verified"] = json!(verified);
    row["reason"] = json!(received.refused);
    let runs = verified && received.challenge.is_none() && !webhook.listen;
    let execution = runs.then(|| {
        json!({"id": clock::new_id(), "trace_id": cx.trace.trace_id, "span_id": cx.trace.span_id,
            "parent_span_id": cx.trace.parent, "inputs": received.inputs})
    });
    let args = json!({"id": webhook.id, "request": row, "execution": execution});
    let outcome = store.call_service("hook_receive", &args).await;
    let outcome: Option<Outcome> = outcome.map_err(store_problem)?;
    let challenge = received.challenge.filter(|_| verified);
    Ok(outcome.map(|outcome| Outcome {
        challenge,
        ..outcome
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_alone_gets_its_challenge_back() {
        let body = json!({"type": "url_verification", "challenge": "c"});
        let slack = Scheme::Slack { tolerance_s: 300 };
        assert_eq!(challenge(&slack, &body).as_deref(), Some("c"));
        assert_eq!(challenge(&Scheme::Github {}, &body), None);
        let event = json!({"type": "event_callback", "challenge": "c"});
        assert_eq!(challenge(&slack, &event), None);
    }
}
