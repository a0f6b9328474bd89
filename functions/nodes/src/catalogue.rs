//! `GET /api/v1/nodes` and `GET /api/v1/nodes/{type}`

use crate::NodesRead;
use nodeai_app::Caller;
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use serde_json::Value;

fn specs() -> Vec<Value> {
    let specs = nodeai_engine::catalogue();
    specs
        .iter()
        .filter_map(|spec| serde_json::to_value(spec).ok())
        .collect()
}

/// All types on one page: the catalogue is part of the build and small.
pub async fn list(_caller: Caller<NodesRead>) -> Result<Json<Page<Value>>, Problem> {
    Ok(Json::ok(Page {
        data: specs(),
        next_cursor: None,
    }))
}

/// One type with the schemas of its config, inputs and outputs, and an example.
pub async fn one(caller: Caller<NodesRead>) -> Result<Json<Value>, Problem> {
    let wanted = caller.cx.parameter("type").unwrap_or_default();
    let found = specs().into_iter().find(|spec| spec["type"] == wanted);
    found
        .map(Json::ok)
        .ok_or_else(|| Problem::not_found("there is no such node type"))
}
