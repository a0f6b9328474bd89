//! `GET /api/v1/nodes` and `GET /api/v1/nodes/{type}`

use crate::NodesRead;
use nodeai_app::Caller;
use nodeai_engine::custom;
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use serde::Serialize;
use serde_json::Value;

fn shown(entry: &impl Serialize) -> Option<Value> {
    serde_json::to_value(entry).ok()
}

/// All types on one page: the catalogue is part of the build and small. The custom ones come last.
pub async fn list(caller: Caller<NodesRead>) -> Result<Json<Page<Value>>, Problem> {
    caller.session.release();
    let specs = nodeai_engine::catalogue();
    let custom = nodeai_custom::catalogue(&caller.cx).await;
    let specs = specs.iter().filter_map(shown);
    Ok(Json::ok(Page {
        data: specs.chain(custom.iter().filter_map(shown)).collect(),
        next_cursor: None,
    }))
}

/// One type with the schemas of its config, inputs and outputs, and an example; of a custom one also its hosts.
pub async fn one(caller: Caller<NodesRead>) -> Result<Json<Value>, Problem> {
    let wanted = caller.cx.parameter("type").unwrap_or_default();
    let found = match custom::name(wanted) {
        Some(name) => {
            caller.session.release();
            let entry = nodeai_custom::entry(&caller.cx, name).await;
            entry.as_ref().and_then(shown)
        }
        None => nodeai_engine::catalogue()
            .iter()
            .find(|spec| spec.kind == wanted)
            .and_then(shown),
    };
    found
        .map(Json::ok)
        .ok_or_else(|| Problem::not_found("there is no such node type"))
}
