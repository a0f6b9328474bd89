//! Links that show one trace to whoever has them.

pub mod create;
pub mod link;
pub mod list;
pub mod remove;

use nodeai_app::{Command, Cx};
use nodeai_http::openapi::Describe;
use nodeai_http::{FromCx, Problem};
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::rc::Rc;

nodeai_store::columns! {
    /// Links to traces.
    trace_shares {
        id: Uuid, trace_id: Text, payloads: Bool, expires_at: Time, version: Int, created_by: Uuid, created_at: Time,
    }
}

/// What is shown of a link.
const SHOWN: &[Column] = &[
    trace_shares::id,
    trace_shares::trace_id,
    trace_shares::payloads,
    trace_shares::expires_at,
    trace_shares::version,
    trace_shares::created_by,
    trace_shares::created_at,
];

/// A link.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Id (UUIDv7).
    pub id: String,
    /// The trace.
    pub trace_id: String,
    /// Whether it shows what went in and came out.
    pub payloads: bool,
    /// When it ends, RFC 3339; null for never.
    pub expires_at: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// The user who shared.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// `{share_id}`: a UUID. Anything else cannot exist and is a 404.
pub struct ShareId(pub String);

impl FromCx<Cx> for ShareId {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let id = uuid::Uuid::parse_str(cx.parameter("share_id").unwrap_or_default());
        id.map(|id| Self(id.to_string()))
            .map_err(|_| Problem::not_found("there is no such share"))
    }

    fn describe(_: &mut Describe) {}
}

/// A write of the link `id` to a trace; `args` has op, row and what else the write takes.
fn write(trace_id: &str, id: &str, mut args: Value) -> Command {
    let shown: Vec<&str> = SHOWN.iter().map(|column| column.name).collect();
    args["trace_id"] = json!(trace_id);
    args["id"] = json!(id);
    args["returning"] = json!(shown);
    Command::named("share_trace", "share", id, args)
}
