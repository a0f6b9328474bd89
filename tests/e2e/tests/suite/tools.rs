//! The registry of tools: what is registered, what is refused, and who may see it.

use super::app;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

pub const TOOLS: &str = "/api/v1/tools";

/// The stand-in's page that says what it was asked.
pub fn echo() -> String {
    format!("{}/web/echo", app().llm.url)
}

/// A plain function that the stand-in answers.
pub fn function(name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "kind": "function", "description": "echoes", "config": {"url": echo()}});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

/// Registers a tool; answers its path.
pub fn registered(me: &Tenant, body: &Value) -> String {
    let made = me.post(TOOLS, body);
    assert_status(&made, 201);
    let path = format!("{TOOLS}/{}", made.json["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    path
}

/// Calls a tool.
pub fn call(me: &Tenant, path: &str, body: Value) -> Reply {
    me.post(&format!("{path}/call"), &body)
}

fn pointers(reply: &Reply) -> Vec<String> {
    assert_problem(reply, 400, "invalid-input");
    let errors = reply.json["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_tool_is_registered_listed_changed_and_removed() {
    let me = app().tenant();
    let path = registered(&me, &function("one", json!({})));
    let read = me.get(&path);
    assert_status(&read, 200);
    assert_eq!(
        (read.json["name"].as_str(), read.header("etag")),
        (Some("one"), "\"v1\"")
    );
    assert_eq!(
        read.json["limits"],
        json!({"timeout_ms": 20_000, "max_bytes": 1_048_576})
    );
    assert_problem(
        &me.post(TOOLS, &function("one", json!({}))),
        409,
        "conflict",
    );
    registered(&me, &function("two", json!({"enabled": false})));
    let names = |query: &str| -> Vec<String> {
        let list = me.get(&format!("{TOOLS}?{query}"));
        assert_status(&list, 200);
        let data = list.json["data"].as_array().unwrap();
        data.iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(""), ["two", "one"]);
    assert_eq!(names("enabled=false"), ["two"]);
    assert_eq!(names("name=ON"), ["one"]);
    assert_eq!(names("kind=mcp"), Vec::<String>::new());
    let page = me.get(&format!("{TOOLS}?limit=1"));
    let cursor = page.json["next_cursor"].as_str().unwrap();
    assert_eq!(names(&format!("limit=1&cursor={cursor}")), ["one"]);

    let changed = me.patch_with(
        &path,
        &[("if-match", "\"v1\"")],
        &json!({"limits": {"timeout_ms": 500}}),
    );
    assert_status(&changed, 200);
    assert_eq!(changed.json["limits"]["timeout_ms"], 500);
    let stale = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"enabled": false}));
    assert_problem(&stale, 412, "stale-version");
    let replaced = function("renamed", json!({"description": "other"}));
    assert_problem(
        &me.put_with(&path, &[], &replaced),
        428,
        "precondition-required",
    );
    let done = me.put_with(&path, &[("if-match", "*")], &replaced);
    assert_status(&done, 200);
    assert_eq!(done.json["name"], "renamed");
    let other = json!({"name": "renamed", "kind": "workflow", "config": {"deployment": "d"}});
    assert_problem(
        &me.put_with(&path, &[("if-match", "*")], &other),
        409,
        "conflict",
    );
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
}

#[test]
fn each_wrong_field_has_its_pointer() {
    let me = app().tenant();
    let wrong = |body: Value| pointers(&me.post(TOOLS, &body));
    assert_eq!(wrong(function("a__b", json!({}))), ["/name"]);
    assert_eq!(
        wrong(function("a", json!({"config": {"url": "nowhere"}}))),
        ["/config/url"]
    );
    assert_eq!(wrong(function("a", json!({"config": {}}))), ["/config/url"]);
    assert_eq!(
        wrong(function(
            "a",
            json!({"config": {"url": echo(), "colour": 1}})
        )),
        ["/config/colour"]
    );
    let header = json!({"url": echo(), "headers": {"Host": "x"}});
    assert_eq!(
        wrong(function("a", json!({"config": header}))),
        ["/config/headers/Host"]
    );
    let schema = json!({"input_schema": {"properties": {"a": {"type": "nothing"}}}});
    assert!(wrong(function("a", schema))[0].starts_with("/input_schema"));
    let outside = json!({"input_schema": {"$ref": "https://evil.example/schema.json"}});
    assert!(wrong(function("a", outside))[0].starts_with("/input_schema"));
    let limits = json!({"limits": {"timeout_ms": 1, "max_bytes": 1}});
    assert_eq!(
        wrong(function("a", limits)),
        ["/limits/timeout_ms", "/limits/max_bytes"]
    );
    let both = json!({"name": "a", "kind": "openapi", "config": {}});
    assert_eq!(wrong(both), ["/document"]);
    let old = json!({"name": "a", "kind": "openapi", "config": {}, "document": {"swagger": "2.0"}});
    assert_eq!(wrong(old), ["/document/openapi"]);
}

#[test]
fn urls_into_private_networks_are_refused() {
    let me = app().tenant();
    let refused = |kind: &str, config: Value| {
        let reply = me.post(TOOLS, &json!({"name": "a", "kind": kind, "config": config}));
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["code"], "refused", "{}", reply.text);
    };
    for url in [
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:1/",
        "http://0x7f.1.1.1/",
        "http://localhost/",
        "http://deployments.spin.internal/api/v1/deployments",
    ] {
        refused("function", json!({"url": url}));
        refused("mcp", json!({"url": url}));
        refused("openapi", json!({"document_url": url}));
    }
    // Credentials do not go in clear, except to where the operator lets them.
    refused(
        "function",
        json!({"url": "http://example.com/", "auth": {"bearer": "KEY"}}),
    );
}

#[test]
fn a_viewer_reads_and_does_not_call() {
    let owner = app().tenant();
    let path = registered(&owner, &function("mine", json!({})));
    let key = owner.post(
        "/api/v1/api-keys",
        &json!({"name": "k", "scopes": ["tools:read"]}),
    );
    let reader = app().with_credential(key.json["key"].as_str().unwrap());
    assert_status(&reader.get(&path), 200);
    assert_status(&reader.get(&format!("{path}/functions")), 200);
    assert_problem(&call(&reader, &path, json!({})), 403, "scope-missing");
    assert_problem(&reader.delete(&path), 403, "scope-missing");
    let key = owner.post(
        "/api/v1/api-keys",
        &json!({"name": "r", "scopes": ["tools:run"]}),
    );
    let runner = app().with_credential(key.json["key"].as_str().unwrap());
    assert_status(&call(&runner, &path, json!({})), 200);
    assert_problem(&runner.get(&path), 403, "scope-missing");
    let stranger = app().tenant();
    assert_problem(&call(&stranger, &path, json!({})), 404, "not-found");
    let by_name = stranger.post(&format!("{TOOLS}/call"), &json!({"name": "mine"}));
    assert_problem(&by_name, 404, "not-found");
}
