//! `GET /api/v1/traces/{trace_id}/waterfall` and `…/graph`

use crate::TracesRead;
use crate::load::{for_people, of_path};
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use serde_json::Value;

/// Rows with depth, offset, own time; the critical path, whose pieces add up to the root's duration.
pub async fn waterfall(caller: Caller<TracesRead>) -> Result<Json<Value>, Problem> {
    let spans = of_path(&caller).await?.view();
    Ok(Json::ok(for_people(
        nodeai_traceview::waterfall::waterfall(&spans),
    )))
}

/// Nodes, or span names where there is no node, and what was inside of what and came after what.
pub async fn graph(caller: Caller<TracesRead>) -> Result<Json<Value>, Problem> {
    let spans = of_path(&caller).await?.view();
    Ok(Json::ok(for_people(nodeai_traceview::graph::graph(&spans))))
}
