//! Two tenants: every route, with the other one's ids.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem};
use reqwest::Method;
use serde_json::{Value, json};

/// Fills the path parameters of `path` with the other tenant's ids.
fn filled(path: &str, ids: &Value) -> String {
    path.split('/')
        .map(|part| match part {
            "{trace_id}" => ids["trace_id"].as_str().unwrap().to_owned(),
            "{id}" if path.contains("/execute/") => {
                ids["execution_id"].as_str().unwrap().to_owned()
            }
            "{id}" => ids["workflow_id"].as_str().unwrap().to_owned(),
            other => other.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn belongings(owner: &Tenant) -> Value {
    let workflow_id = owner.workflow("secret plan", &hello());
    let run = owner.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow_id, "inputs": {"name": "s3cr3t"}}),
    );
    json!({"workflow_id": workflow_id, "execution_id": run.json["execution_id"], "trace_id": run.json["trace_id"]})
}

#[test]
fn the_others_ids_are_not_found_on_any_route() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    let ids = belongings(&owner);
    let document = stranger.get("/api/v1/openapi.json").json;
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.contains("{id}") && !path.contains("{trace_id}") {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = json!({"name": "mine now", "definition": hello()})
                .to_string()
                .into_bytes();
            let headers = [("content-type", "application/json"), ("if-match", "*")];
            let reply = stranger.send(method, &filled(path, &ids), &headers, body);
            assert_problem(&reply, 404, "not-found");
            walked += 1;
        }
    }
    assert!(walked >= 6, "only {walked} routes were walked");
    let run = stranger.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": ids["workflow_id"]}),
    );
    assert_problem(&run, 404, "not-found");
    // Nothing of it changed anything.
    let path = format!("/api/v1/workflows/{}", ids["workflow_id"].as_str().unwrap());
    assert_eq!(owner.get(&path).json["name"], "secret plan");
}

#[test]
fn lists_show_ones_own_rows_only() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    belongings(&owner);
    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/execute",
        "/api/v1/traces?kind=run",
    ] {
        let reply = stranger.get(path);
        assert_eq!(reply.json["data"], json!([]), "{path}");
    }
}

#[test]
fn choosing_anothers_organisation_is_refused() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    belongings(&owner);
    let org = uuid::Uuid::now_v7().to_string();
    let reply = stranger.send(
        Method::GET,
        "/api/v1/workflows",
        &[("x-organization-id", &org)],
        Vec::new(),
    );
    assert_problem(&reply, 403, "forbidden");
}
