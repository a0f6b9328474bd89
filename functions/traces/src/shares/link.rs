//! `GET /api/v1/traces/shared/{token}`

use crate::get::TraceTree;
use crate::load::Stored;
use nodeai_app::Visitor;
use nodeai_auth::link_token::{LinkToken, Shows};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a link shows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Linked {
    /// Whether what went in and came out is shown.
    payloads: bool,
    /// The trace and its spans, without who caused them.
    #[serde(flatten)]
    tree: TraceTree,
}

#[derive(Deserialize)]
struct Shown {
    payloads: bool,
    #[serde(flatten)]
    stored: Stored,
}

#[derive(Deserialize)]
struct Opened {
    trace: Option<Shown>,
}

/// Shows one trace to whoever has the link; no sign-in. The store leaves out what the link does not show.
pub async fn handle(visitor: Visitor) -> Result<Json<Linked>, Problem> {
    let missing = || Problem::not_found("there is no such link, or it is over");
    let token = visitor.cx.parameter("token").unwrap_or_default();
    let token = LinkToken::parse(Shows::Trace, token).ok_or_else(missing)?;
    let args = json!({"token_hash": token.hash()});
    let opened: Opened = visitor.call("trace_open", args).await?;
    let shown = opened.trace.ok_or_else(missing)?;
    let spans = shown.stored.spans.into_iter();
    let spans: Vec<String> = spans.map(|span| Value::Object(span).to_string()).collect();
    let spans: Vec<&str> = spans.iter().map(String::as_str).collect();
    Ok(Json::ok(Linked {
        payloads: shown.payloads,
        tree: TraceTree::of(shown.stored.trace, &spans)?,
    }))
}
