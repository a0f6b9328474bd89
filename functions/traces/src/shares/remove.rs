//! `DELETE /api/v1/traces/{trace_id}/shares/{share_id}`

use super::{ShareId, write};
use crate::TracesWrite;
use crate::load;
use nodeai_app::{Caller, Done, IfMatch};
use nodeai_http::Problem;
use serde_json::json;

/// Ends the link, at once.
pub async fn handle(
    caller: Caller<TracesWrite>,
    ShareId(id): ShareId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let trace_id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let args = json!({"op": "delete", "expect_version": expected});
    let command =
        write(&trace_id, &id, args).audit("trace.unshared", json!({"trace_id": trace_id}));
    caller.write(command).await.map(Done::from)
}
