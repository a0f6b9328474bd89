//! The MCP server, spoken to by the official SDKs, and our client against servers of theirs.

use super::app;
use super::deployments::deploy;
use super::documents::hello;
use super::tools::{TOOLS, call, function, registered};
use e2e::mcp::{McpServer, SERVER, conforms, node_client, python_client};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";

/// A tenant with a deployed workflow, a function, and an API key for both.
fn offering() -> (Tenant, String) {
    let me = app().tenant();
    let mut definition = hello();
    definition["nodes"][0]["data"] =
        json!({"schema": [{"name": "name", "type": "string", "required": true}]});
    let workflow = me.workflow("greeting", &definition);
    deploy(&me, &workflow, "greet", json!({}));
    registered(
        &me,
        &function(
            "echo",
            json!({"input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}),
        ),
    );
    registered(&me, &function("off", json!({"enabled": false})));
    let key = me.post(
        "/api/v1/api-keys",
        &json!({"name": "k", "scopes": ["tools:run", "deployments:run"]}),
    );
    assert_status(&key, 201);
    let key = key.json["key"].as_str().unwrap().to_owned();
    (me, key)
}

fn url() -> String {
    format!("{}{SERVER}", app().url)
}

fn names(told: &Value) -> Vec<&str> {
    let tools = told["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

fn send(me: &Tenant, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut all = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    all.extend(headers);
    me.send(Method::POST, SERVER, &all, body.to_string().into_bytes())
}

fn ask(me: &Tenant, method: &str, mut params: Value) -> Reply {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {}});
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    send(
        me,
        &headers,
        &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}),
    )
}

#[test]
fn the_sdk_for_node_lists_and_calls_our_tools() {
    let (_, key) = offering();
    let told = node_client(&url(), &key, "workflow__greet", &json!({"name": "Ada"}));
    assert_eq!(told["version"], "2025-11-25");
    assert_eq!(names(&told), ["echo", "workflow__greet"]);
    assert_eq!(told["tools"][1]["inputSchema"]["required"], json!(["name"]));
    assert_eq!(
        told["result"]["structuredContent"],
        json!({"out": "Hello, Ada!"})
    );
    // It asks for progress: one message for each node.
    assert_eq!(told["heard"].as_array().unwrap().len(), 3, "{told}");
    let told = node_client(&url(), &key, "echo", &json!({"a": 1}));
    assert_eq!(told["result"]["structuredContent"]["body"], r#"{"a":1}"#);
    let told = node_client(&url(), &key, "echo", &json!({"a": "x"}));
    assert_eq!(told["result"]["isError"], true);
    assert!(
        told["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("/arguments/a")
    );
}

#[test]
fn the_sdk_for_python_speaks_both_eras_with_us() {
    let (_, key) = offering();
    for (mode, version) in [("legacy", "2025-11-25"), ("auto", MODERN)] {
        let told = python_client(
            mode,
            &url(),
            &key,
            "workflow__greet",
            &json!({"name": "Ada"}),
        );
        assert_eq!(told["version"], version);
        assert_eq!(names(&told), ["echo", "workflow__greet"]);
        assert_eq!(
            told["result"]["structuredContent"],
            json!({"out": "Hello, Ada!"})
        );
    }
}

/// What of the protocol's suite asks nothing of a server's own tools; the whole of it is asked in `tests/mcp-conformance`.
#[test]
fn the_suite_of_the_protocol_passes_where_it_needs_no_fixtures() {
    let (_, key) = offering();
    let server = McpServer::with_key(&url(), &key);
    for scenario in [
        "server-initialize",
        "ping",
        "tools-list",
        "dns-rebinding-protection",
        "http-header-validation",
        "input-required-result-unsupported-methods",
    ] {
        conforms(&server.url, scenario);
    }
}

#[test]
fn a_stateless_request_needs_nothing_before() {
    let (me, key) = offering();
    let caller = app().with_credential(&key);
    let listed = ask(&caller, "tools/list", json!({}));
    assert_status(&listed, 200);
    assert_eq!(listed.json["result"]["resultType"], "complete");
    assert_eq!(listed.json["result"]["cacheScope"], "private");
    let found = ask(&caller, "server/discover", json!({}));
    assert_eq!(found.json["result"]["supportedVersions"], json!([MODERN]));
    let unknown = ask(&caller, "tools/call", json!({"name": "off"}));
    assert_eq!(
        (unknown.status, &unknown.json["error"]["code"]),
        (400, &json!(-32_602))
    );
    assert_eq!(ask(&caller, "ping", json!({})).status, 404);
    let stranger = app().tenant();
    assert_eq!(
        ask(&stranger, "tools/list", json!({})).json["result"]["tools"],
        json!([])
    );
    assert_status(&ask(&me, "tools/list", json!({})), 200);
}

#[test]
fn pages_come_one_after_the_other() {
    let me = app().tenant();
    for i in 0..52 {
        registered(&me, &function(&format!("tool-{i:02}"), json!({})));
    }
    let first = ask(&me, "tools/list", json!({}));
    let cursor = first.json["result"]["nextCursor"].clone();
    assert_eq!(first.json["result"]["tools"].as_array().unwrap().len(), 50);
    let second = ask(&me, "tools/list", json!({"cursor": cursor}));
    assert_eq!(second.json["result"]["tools"][1]["name"], "tool-51");
    assert_eq!(second.json["result"].get("nextCursor"), None);
    let bad = ask(&me, "tools/list", json!({"cursor": "?"}));
    assert_eq!(bad.json["error"]["code"], -32_602);
}

#[test]
fn the_transport_refuses_as_it_should() {
    let me = app().tenant();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_status(&send(&me, &[], &ping), 200);
    let evil = send(&me, &[("origin", "https://evil.example.com")], &ping);
    assert_status(&evil, 403);
    assert_status(
        &send(&me, &[("origin", "http://localhost:6274")], &ping),
        200,
    );
    assert_status(&send(&me, &[("mcp-protocol-version", "v9")], &ping), 400);
    let only_json = [
        ("accept", "application/json"),
        ("content-type", "application/json"),
    ];
    let reply = me.send(
        Method::POST,
        SERVER,
        &only_json,
        ping.to_string().into_bytes(),
    );
    assert_status(&reply, 406);
    for method in [Method::GET, Method::DELETE] {
        // A tool's id could be here, so that GET finds the route of tools: it is no stream in any case.
        let reply = me.send(
            method,
            SERVER,
            &[("accept", "text/event-stream")],
            Vec::new(),
        );
        assert_status(&reply, 405);
    }
    let noted = send(
        &me,
        &[],
        &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
    );
    assert_eq!((noted.status, noted.text.as_str()), (202, ""));
    let nobody = app().with_credential("");
    let refused = send(&nobody, &[], &ping);
    assert_problem(&refused, 401, "unauthenticated");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
}

#[test]
fn tools_of_an_earlier_server_are_called() {
    let me = app().tenant();
    let server = McpServer::node("the-token");
    assert_status(
        &me.post(
            "/api/v1/secrets",
            &json!({"name": "MCP", "value": "the-token"}),
        ),
        201,
    );
    let config = json!({"url": server.url, "auth": {"bearer": "MCP"}});
    let path = registered(
        &me,
        &json!({"name": "old", "kind": "mcp", "config": config}),
    );
    let offers = me.get(&format!("{path}/functions"));
    assert_status(&offers, 200);
    assert_eq!(offers.json["data"][0]["name"], "add");
    assert_eq!(me.get(&path).json["protocol"], "2025-11-25");
    let said = call(
        &me,
        &path,
        json!({"function": "add", "arguments": {"a": 1, "b": 2}}),
    );
    assert_status(&said, 200);
    assert_eq!(said.json["output"], json!({"sum": 3}));
    assert_eq!(said.json["content"][0]["text"], "3");
    let wrong = call(
        &me,
        &path,
        json!({"function": "add", "arguments": {"a": "x", "b": 2}}),
    );
    assert_eq!(wrong.json["errors"][0]["pointer"], "/arguments/a");
    let failed = call(&me, &path, json!({"function": "fail"}));
    assert_eq!(
        failed.json["error"],
        json!({"kind": "tool_error", "message": "it went wrong", "retryable": false})
    );
    let nobody = json!({"name": "nobody", "kind": "mcp", "config": {"url": server.url}});
    let path = registered(&me, &nobody);
    let refused = me.get(&format!("{path}/functions"));
    assert_problem(&refused, 422, "does-not-fit");
    assert!(
        refused.json["detail"]
            .as_str()
            .unwrap()
            .starts_with("unauthorized")
    );
}

#[test]
fn tools_of_a_stateless_server_are_called() {
    let me = app().tenant();
    let server = McpServer::python();
    let path = registered(
        &me,
        &json!({"name": "new", "kind": "mcp", "config": {"url": server.url}}),
    );
    let said = call(&me, &path, json!({"arguments": {"a": 1, "b": 2}}));
    assert_status(&said, 200);
    assert_eq!(said.json["output"], json!({"result": 3}));
    assert_eq!(me.get(&path).json["protocol"], MODERN);
    let again = me.post(&format!("{path}/refresh"), &json!({}));
    assert_status(&again, 200);
    drop(server);
    let gone = call(&me, &path, json!({"arguments": {"a": 1, "b": 2}}));
    assert_eq!(gone.json["error"]["kind"], "unreachable");
    assert_problem(
        &me.post(&format!("{path}/refresh"), &json!({})),
        422,
        "does-not-fit",
    );
    let kept = me.get(&format!("{path}/functions"));
    assert_eq!(kept.json["data"][0]["name"], "add");
    assert_status(&me.get(&format!("{TOOLS}?kind=mcp")), 200);
}
