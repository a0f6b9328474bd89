//! `GET /api/v1/nodes` and `GET /api/v1/nodes/{type}`

use crate::NodesRead;
use nodeai_app::Caller;
use nodeai_engine::{Spec, custom};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use serde_json::Value;

fn shown(spec: &Spec) -> Option<Value> {
    serde_json::to_value(spec).ok()
}

/// All types on one page: the catalogue is part of the build and small. The custom ones come last.
pub async fn list(caller: Caller<NodesRead>) -> Result<Json<Page<Value>>, Problem> {
    caller.session.release();
    let mut specs = nodeai_engine::catalogue();
    specs.extend(nodeai_custom::catalogue(&caller.cx).await);
    Ok(Json::ok(Page {
        data: specs.iter().filter_map(shown).collect(),
        next_cursor: None,
    }))
}

/// One type with the schemas of its config, inputs and outputs, and an example.
pub async fn one(caller: Caller<NodesRead>) -> Result<Json<Value>, Problem> {
    let wanted = caller.cx.parameter("type").unwrap_or_default();
    let found = match custom::name(wanted) {
        Some(name) => {
            caller.session.release();
            nodeai_custom::entry(&caller.cx, name).await
        }
        None => nodeai_engine::catalogue()
            .into_iter()
            .find(|spec| spec.kind == wanted),
    };
    let found = found.as_ref().and_then(shown).map(Json::ok);
    found.ok_or_else(|| Problem::not_found("there is no such node type"))
}
