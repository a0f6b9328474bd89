//! What the serving side says to requests of both eras.

use super::*;
use crate::version::MODERN;
use futures::executor::block_on;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::cell::RefCell;

struct One;

impl Provider for One {
    fn info(&self) -> Value {
        json!({"name": "test", "version": "1"})
    }
    fn capabilities(&self, _: Era) -> Value {
        json!({"tools": {}})
    }
    async fn list_tools(&self, _: Option<&str>) -> Result<Value, RpcError> {
        Ok(json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}))
    }
    async fn input_schema(&self, _: &str) -> Option<Value> {
        Some(json!({"properties": {"at": {"type": "string", "x-mcp-header": "At"}}}))
    }
    async fn call_tool(&self, call: &Call<'_>) -> Result<Value, RpcError> {
        if call.name() == "sample" && !call.client_can("sampling") {
            return Err(RpcError::missing_capabilities(&["sampling"]));
        }
        call.progress(1.0, Some(2.0), None);
        call.log("info", json!("hello"));
        Ok(json!({"content": [{"type": "text", "text": call.arguments().to_string()}]}))
    }
    fn honoured(&self, filter: &Map<String, Value>) -> Option<Map<String, Value>> {
        let mut kept = filter.clone();
        kept.retain(|name, _| name == "toolsListChanged");
        Some(kept)
    }
    async fn changes(&self, _: &Map<String, Value>, call: &Call<'_>) {
        call.change("notifications/tools/list_changed", Map::new());
    }
}

#[derive(Default)]
struct Heard(RefCell<Vec<Value>>);

impl Outlet for Heard {
    fn notify(&self, notification: Value) -> bool {
        self.0.borrow_mut().push(notification);
        true
    }
}

fn fields(more: &[(&str, &str)]) -> HeaderMap {
    let usual = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in usual.iter().chain(more) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn ask(headers: &HeaderMap, body: &Value) -> (Answer, Vec<Value>) {
    let received = receive(
        &Method::POST,
        headers,
        body.to_string().as_bytes(),
        &Rules::default(),
    );
    let heard = Heard::default();
    let answered = match received {
        Received::Answer(answer) => answer,
        Received::One(request) => block_on(answer(&One, &request, &heard)),
        Received::Batch(all) => {
            let answers = all.into_iter().map(|one| match one {
                Ok(request) => block_on(answer(&One, &request, &heard)).body.unwrap(),
                Err(refusal) => refusal,
            });
            Answer {
                body: Some(answers.collect()),
                ..Answer::accepted()
            }
        }
    };
    (answered, heard.0.into_inner())
}

fn modern_meta(more: Value) -> Value {
    let mut all = json!({meta::VERSION: MODERN, meta::CAPABILITIES: {}});
    let map = all.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    all
}

fn modern(method: &str, mut params: Value, more: &[(&str, &str)]) -> (Answer, Vec<Value>) {
    if params.get("_meta").is_none() {
        params["_meta"] = modern_meta(json!({}));
    }
    let mut all = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    all.extend(more);
    ask(
        &fields(&all),
        &json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}),
    )
}

fn legacy(method: &str, params: Value) -> Answer {
    let headers = fields(&[("mcp-protocol-version", "2025-06-18")]);
    ask(
        &headers,
        &json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}),
    )
    .0
}

fn error(answer: &Answer) -> (u16, i64) {
    let body = answer.body.as_ref().unwrap();
    (answer.status, body["error"]["code"].as_i64().unwrap_or(0))
}

fn result(answer: &Answer) -> &Value {
    &answer.body.as_ref().unwrap()["result"]
}

#[test]
fn a_stateless_request_is_answered_by_itself() {
    let (answer, _) = modern("tools/list", json!({}), &[]);
    assert_eq!(answer.status, 200);
    let said = result(&answer);
    assert_eq!(said["tools"][0]["name"], "echo");
    assert_eq!(
        (&said["resultType"], &said["ttlMs"], &said["cacheScope"]),
        (&json!("complete"), &json!(0), &json!("private"))
    );
    assert_eq!(said["_meta"][meta::SERVER_INFO]["name"], "test");
    let (answer, _) = modern("server/discover", json!({}), &[]);
    assert_eq!(result(&answer)["supportedVersions"], json!([MODERN]));
}

#[test]
fn what_a_stateless_request_must_say_is_asked_for() {
    let (answer, _) = modern("tools/list", json!({"_meta": {}}), &[]);
    assert_eq!(error(&answer), (400, -32_602));
    let without = json!({"_meta": {meta::VERSION: MODERN}});
    assert_eq!(error(&modern("tools/list", without, &[]).0), (400, -32_602));
    let other = [("mcp-method", "tools/call")];
    assert_eq!(
        error(&modern("tools/list", json!({}), &other).0),
        (400, -32_020)
    );
    assert_eq!(
        error(&modern("tools/call", json!({"name": "echo"}), &[]).0),
        (400, -32_020)
    );
    let unknown = json!({"_meta": {meta::VERSION: "v9", meta::CAPABILITIES: {}}});
    let (answer, _) = modern("tools/list", unknown.clone(), &[]);
    assert_eq!(
        error(&answer),
        (400, -32_020),
        "the header field says another"
    );
    let (answer, _) = modern("tools/list", unknown, &[("mcp-protocol-version", "v9")]);
    assert_eq!(error(&answer), (400, -32_022));
    let data = &answer.body.unwrap()["error"]["data"];
    assert_eq!(*data, json!({"supported": [MODERN], "requested": "v9"}));
}

#[test]
fn removed_and_unknown_methods_are_404() {
    for method in ["initialize", "ping", "logging/setLevel", "no/such"] {
        assert_eq!(
            error(&modern(method, json!({}), &[]).0),
            (404, -32_601),
            "{method}"
        );
    }
    assert_eq!(error(&legacy("no/such", json!({}))), (200, -32_601));
}

#[test]
fn a_capability_that_was_not_declared_is_asked_for() {
    let (answer, _) = modern(
        "tools/call",
        json!({"name": "sample"}),
        &[("mcp-name", "sample")],
    );
    assert_eq!(error(&answer), (400, -32_021));
    let needed = &answer.body.unwrap()["error"]["data"]["requiredCapabilities"];
    assert_eq!(*needed, json!({"sampling": {}}));
}

#[test]
fn marked_parameters_are_compared() {
    let call = json!({"name": "echo", "arguments": {"at": "here"}});
    let name = ("mcp-name", "echo");
    assert_eq!(
        error(&modern("tools/call", call.clone(), &[name]).0),
        (400, -32_020)
    );
    let with = [name, ("mcp-param-at", "here")];
    assert_eq!(modern("tools/call", call.clone(), &with).0.status, 200);
    let with = [name, ("mcp-param-at", "=?base64?aGVyZQ==?=")];
    assert_eq!(modern("tools/call", call, &with).0.status, 200);
}

#[test]
fn notifications_come_to_those_who_asked_for_them() {
    let call = |more: Value| json!({"name": "echo", "_meta": modern_meta(more)});
    let name = [("mcp-name", "echo")];
    assert_eq!(modern("tools/call", call(json!({})), &name).1.len(), 0);
    let (_, heard) = modern("tools/call", call(json!({"progressToken": "t"})), &name);
    assert_eq!(
        heard[0]["params"],
        json!({"progressToken": "t", "progress": 1.0, "total": 2.0})
    );
    let level = |level: &str| call(json!({meta::LOG_LEVEL: level}));
    assert_eq!(modern("tools/call", level("debug"), &name).1.len(), 1);
    assert_eq!(modern("tools/call", level("error"), &name).1.len(), 0);
}

#[test]
fn a_subscription_is_acknowledged_first_and_marked() {
    let filter = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    let (answer, heard) = modern("subscriptions/listen", filter, &[]);
    assert_eq!(
        heard[0]["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(
        heard[0]["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    assert_eq!(heard[1]["method"], "notifications/tools/list_changed");
    for one in &heard {
        assert_eq!(one["params"]["_meta"][meta::SUBSCRIPTION], 7);
    }
    assert_eq!(result(&answer)["_meta"][meta::SUBSCRIPTION], 7);
}

#[test]
fn the_earlier_eras_begin_with_a_handshake_and_keep_nothing() {
    let hello =
        |version: &str| json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {}});
    for (asked, got) in [("2025-03-26", "2025-03-26"), ("2024-11-05", "2025-11-25")] {
        let answer = legacy("initialize", hello(asked));
        assert_eq!(result(&answer)["protocolVersion"], got);
    }
    assert_eq!(*result(&legacy("ping", json!({}))), json!({}));
    let answer = legacy("tools/list", json!({}));
    assert!(result(&answer).get("resultType").is_none());
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let (answer, _) = ask(&fields(&[]), &note);
    assert_eq!((answer.status, answer.body), (202, None));
}

#[test]
fn messages_come_together_in_one_revision_alone() {
    let two = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"x": 1},
        {"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    let (answer, _) = ask(&fields(&[]), &two);
    let body = answer.body.unwrap();
    assert_eq!(
        (body[0]["id"].clone(), body[1]["error"]["code"].clone()),
        (json!(1), json!(-32_600))
    );
    let later = fields(&[("mcp-protocol-version", "2025-11-25")]);
    assert_eq!(ask(&later, &two).0.status, 400);
}

#[test]
fn the_transport_refuses_what_is_no_message_for_it() {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let status = |method: Method, more: &[(&str, &str)], body: &str| {
        let rules = Rules {
            origins: vec!["https://app.example.com".into()],
        };
        match receive(&method, &fields(more), body.as_bytes(), &rules) {
            Received::Answer(answer) => answer.status,
            _ => 200,
        }
    };
    assert_eq!(status(Method::POST, &[], &body), 200);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(status(method, &[], ""), 405);
    }
    assert_eq!(
        status(Method::POST, &[("accept", "application/json")], &body),
        406
    );
    assert_eq!(status(Method::POST, &[("accept", "*/*")], &body), 200);
    assert_eq!(
        status(Method::POST, &[("content-type", "text/plain")], &body),
        415
    );
    assert_eq!(status(Method::POST, &[], "{"), 400);
    assert_eq!(
        status(Method::POST, &[("mcp-protocol-version", "v9")], &body),
        400
    );
    for (origin, expected) in [
        ("https://app.example.com", 200),
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:3000", 200),
        ("http://[::1]:3000", 200),
        ("https://evil.example.com", 403),
        ("http://localhost.evil.example.com", 403),
        ("null", 403),
    ] {
        assert_eq!(
            status(Method::POST, &[("origin", origin)], &body),
            expected,
            "{origin}"
        );
    }
}
