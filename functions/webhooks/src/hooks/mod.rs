//! `/hooks/{path}`: a request of somebody who has no account here. It is verified as its webhook says, kept, and starts a run
//! that acts as the webhook's owner.

mod answer;
mod chain;
mod receive;
pub mod wait;
mod webhook;

use answer::HookReply;
use http::{Method, header};
use nodeai_app::{Visitor, store_problem};
use nodeai_http::Problem;
use nodeai_store::{Rate, Store};
use receive::Received;
use serde::Deserialize;
use serde_json::json;
use webhook::Webhook;

use crate::seal::SealedKey;

/// What `hook_find` answers.
#[derive(Deserialize)]
struct Found {
    webhook: Webhook,
    secrets: Vec<SealedKey>,
    rate: Rate,
}

/// Verifies a request and starts its run. A path that leads to no webhook, or to one that is off, is not found, whichever
/// of the two it is.
pub async fn handle(visitor: Visitor) -> Result<HookReply, Problem> {
    let cx = visitor.cx.clone();
    if cx.method == Method::HEAD {
        // A GET starts a run; to ask for its head alone must not.
        let problem = Problem::method_not_allowed("HEAD starts nothing");
        return Err(problem.with_header(header::ALLOW, "DELETE, GET, PATCH, POST, PUT"));
    }
    let path = cx.parameter("path").unwrap_or_default().to_owned();
    let (token, below) = path.split_once('/').unwrap_or((&path, ""));
    let store = cx.store()?;
    let found = match is_token(token) {
        true => find(&store, token).await?,
        false => None,
    };
    let nothing = || Problem::not_found("there is no webhook here");
    let found = found.ok_or_else(nothing)?;
    visitor.limit(found.rate)?;
    let params = found.webhook.params(below).ok_or_else(nothing)?;
    found.webhook.takes(&cx.method)?;
    let received = Received::of(&cx, &found.webhook, &found.secrets, below, params)?;
    let outcome = receive::store(&store, &cx, &found.webhook, received).await?;
    answer::reply(cx, store, &found.webhook, outcome.ok_or_else(nothing)?).await
}

async fn find(store: &Store, token: &str) -> Result<Option<Found>, Problem> {
    let found = store
        .call_service("hook_find", &json!({"path": token}))
        .await;
    found.map_err(store_problem)
}

/// What cannot be one costs no statement.
fn is_token(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
    (16..=100).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_token_is_not_asked_for() {
        assert!(is_token("0123456789abcdef"));
        for bad in ["", "short", "0123456789abcde%", "0123456789abcdef é"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
