//! `DELETE /api/v1/traces/{trace_id}/scores/{id}`

use super::update::require_score;
use crate::TracesWrite;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write};
use nodeai_http::Problem;
use serde_json::json;

/// Removes the score; the audit log says what it was.
pub async fn handle(
    caller: Caller<TracesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    require_score(&caller, &id).await?;
    let write = Write::new(Op::Delete, "trace_scores", "score", &id)
        .expect_version(expected)
        .audit("trace.score_removed", json!({}));
    caller.write(write).await.map(Done::from)
}
