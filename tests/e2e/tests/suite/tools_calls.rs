//! Calls of tools: functions, operations of OpenAPI documents, deployed workflows.

use super::app;
use super::deployments::deploy;
use super::documents::hello;
use super::tools::{TOOLS, call, echo, function, registered};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

fn called(me: &Tenant, path: &str, body: Value) -> Value {
    let reply = call(me, path, body);
    assert_status(&reply, 200);
    reply.json
}

fn failed(me: &Tenant, path: &str, body: Value) -> String {
    let said = called(me, path, body);
    assert_eq!(said["is_error"], true, "{said}");
    said["error"]["kind"].as_str().unwrap().to_owned()
}

fn secret(me: &Tenant, name: &str, value: &str) {
    let stored = me.post("/api/v1/secrets", &json!({"name": name, "value": value}));
    assert_status(&stored, 201);
}

#[test]
fn a_function_is_called_with_what_its_schema_takes() {
    let me = app().tenant();
    secret(&me, "KEY", "hush-hush");
    let schema = json!({"type": "object", "required": ["city"], "additionalProperties": false,
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}}});
    let config = json!({"url": echo(), "headers": {"X-Key": "k {{ secrets.KEY }}"}, "auth": {"bearer": "KEY"}});
    let path = registered(
        &me,
        &function("weather", json!({"input_schema": schema, "config": config})),
    );
    let said = called(&me, &path, json!({"arguments": {"city": "Paris"}}));
    assert_eq!(
        (&said["is_error"], &said["http_status"]),
        (&json!(false), &json!(200))
    );
    assert_eq!(said["output"]["method"], "POST");
    assert_eq!(said["output"]["body"], r#"{"city":"Paris"}"#);
    // The endpoint got the secret, whoever reads the answer does not.
    assert_eq!(said["output"]["headers"]["x-key"], "k [secret]");
    assert_eq!(
        said["output"]["headers"]["authorization"],
        "Bearer [secret]"
    );
    let arrived = app().llm.requests();
    assert!(
        arrived
            .iter()
            .any(|one| one.headers.get("x-key") == Some(&json!("k hush-hush")))
    );

    let wrong = call(&me, &path, json!({"arguments": {"days": 0, "x": 1}}));
    assert_problem(&wrong, 400, "invalid-input");
    let mut pointers: Vec<&str> = wrong.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/arguments/city", "/arguments/days", "/arguments/x"]
    );
    let by_name = me.post(
        &format!("{TOOLS}/call"),
        &json!({"name": "weather", "arguments": {"city": "Rome"}}),
    );
    assert_status(&by_name, 200);
    assert_eq!(by_name.json["tool"], "weather");
}

#[test]
fn each_call_is_a_span_of_its_request() {
    let me = app().tenant();
    let path = registered(&me, &function("traced", json!({})));
    let reply = call(&me, &path, json!({"arguments": {"a": 1}}));
    let trace = reply.header("x-trace-id").to_owned();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let tree = loop {
        let tree = me.get(&format!("/api/v1/traces/{trace}"));
        if tree.status == 200 {
            break tree;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the trace does not come"
        );
    };
    let span = &tree.json["spans"][0]["children"][0];
    assert_eq!(span["name"], "execute_tool traced");
    let attributes = &span["attributes"];
    assert_eq!(attributes["gen_ai.operation.name"], "execute_tool");
    assert_eq!(attributes["gen_ai.tool.name"], "traced");
    assert_eq!(attributes["gen_ai.tool.call.id"], reply.json["call_id"]);
    assert_eq!(attributes["nodeai.input"], json!({"a": 1}));
}

#[test]
fn what_goes_wrong_on_the_way_is_an_answer() {
    let me = app().tenant();
    let web = |path: &str| json!({"config": {"url": format!("{}/web/{path}", app().llm.url), "method": "GET"}});
    let tool = |name: &str, more: Value| registered(&me, &function(name, more));
    let path = tool("status", web("status/503"));
    let said = called(&me, &path, json!({}));
    assert_eq!(
        (&said["error"]["kind"], &said["http_status"]),
        (&json!("http_status"), &json!(503))
    );
    assert_eq!(said["error"]["retryable"], true);
    assert_eq!(
        failed(&me, &tool("redirect", web("redirect/1")), json!({})),
        "redirect_refused"
    );
    assert_eq!(
        failed(
            &me,
            &tool("slow", web("slow/5000")),
            json!({"timeout_ms": 200})
        ),
        "timeout"
    );
    let mut big = web("big/5000");
    big["limits"] = json!({"max_bytes": 1_024});
    assert_eq!(failed(&me, &tool("big", big), json!({})), "too_large");
    let missing = json!({"config": {"url": echo(), "auth": {"bearer": "NOT_THERE"}}});
    assert_eq!(
        failed(&me, &tool("missing", missing), json!({})),
        "secret_missing"
    );
    let bound = json!({"name": "BOUND", "value": "elsewhere", "hosts": ["api.example.com"]});
    assert_status(&me.post("/api/v1/secrets", &bound), 201);
    let bound = json!({"config": {"url": echo(), "auth": {"bearer": "BOUND"}}});
    assert_eq!(
        failed(&me, &tool("bound", bound), json!({})),
        "secret_refused"
    );
}

#[test]
fn an_output_that_does_not_fit_is_said_and_shown() {
    let me = app().tenant();
    let schema = json!({"type": "object", "properties": {"method": {"const": "GET"}}});
    let path = registered(&me, &function("typed", json!({"output_schema": schema})));
    let said = called(&me, &path, json!({}));
    assert_eq!(
        (&said["is_error"], &said["error"]["kind"]),
        (&json!(true), &json!("output_invalid"))
    );
    assert_eq!(said["output_errors"][0]["pointer"], "/output/method");
    assert_eq!(said["output"]["method"], "POST", "it is shown all the same");
}

#[test]
fn permissions_and_the_switch_hold() {
    let me = app().tenant();
    let path = registered(
        &me,
        &function("guarded", json!({"permissions": {"read_only": true}})),
    );
    assert_problem(&call(&me, &path, json!({})), 403, "forbidden");
    assert_status(
        &me.patch(&path, &json!({"permissions": {"deny": ["guard*"]}})),
        200,
    );
    assert_problem(&call(&me, &path, json!({})), 403, "forbidden");
    assert_eq!(
        me.get(&format!("{path}/functions")).json["data"][0]["enabled"],
        false
    );
    assert_status(&me.patch(&path, &json!({"permissions": {}})), 200);
    assert_status(&call(&me, &path, json!({})), 200);
    assert_status(&me.patch(&path, &json!({"enabled": false})), 200);
    assert_problem(&call(&me, &path, json!({})), 409, "conflict");
}

#[test]
fn an_openapi_document_is_tools() {
    let me = app().tenant();
    secret(&me, "KEY", "hush-hush");
    let url = format!("{}/web/openapi.yaml", app().llm.url);
    let body = json!({"name": "things", "kind": "openapi",
        "config": {"document_url": url, "security": {"key": {"bearer": "KEY"}}}});
    let path = registered(&me, &body);
    let offers = me.get(&format!("{path}/functions"));
    assert_status(&offers, 200);
    let data = offers.json["data"].as_array().unwrap();
    let names: Vec<&str> = data.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["getThing", "putThing"]);
    assert_eq!(offers.json["left_out"][0]["name"], "POST /upload");
    assert_eq!(data[0]["annotations"]["readOnlyHint"], true);
    let said = called(
        &me,
        &path,
        json!({"function": "getThing", "arguments": {"id": 7, "tags": ["a"]}}),
    );
    assert_eq!(
        (&said["output"]["method"], &said["output"]["query"]),
        (&json!("GET"), &json!({"tags": "a"}))
    );
    assert_eq!(said["output"]["headers"]["x-key"], "[secret]");
    let wrong = call(
        &me,
        &path,
        json!({"function": "putThing", "arguments": {"id": 1, "body": {}}}),
    );
    assert_eq!(wrong.json["errors"][0]["pointer"], "/arguments/body/name");
    assert_problem(&call(&me, &path, json!({})), 400, "invalid-input");
    assert_problem(
        &call(&me, &path, json!({"function": "none"})),
        400,
        "invalid-input",
    );
    let again = me.post(&format!("{path}/refresh"), &json!({}));
    assert_status(&again, 200);
    assert_eq!(again.json["version"], 2);
    let inline = json!({"name": "inline", "kind": "openapi", "config": {"server": echo()},
        "document": {"openapi": "3.1.0", "paths": {"/x": {"get": {"operationId": "x"}}}}});
    let path = registered(&me, &inline);
    assert_eq!(called(&me, &path, json!({}))["output"]["method"], "GET");
}

#[test]
fn a_deployed_workflow_is_a_tool() {
    let me = app().tenant();
    let mut definition = hello();
    definition["nodes"][0]["data"] =
        json!({"schema": [{"name": "name", "type": "string", "required": true}]});
    let workflow = me.workflow("greeting", &definition);
    deploy(&me, &workflow, "greet", json!({}));
    let path = registered(
        &me,
        &json!({"name": "hi", "kind": "workflow", "config": {"deployment": "greet"}}),
    );
    let offers = me.get(&format!("{path}/functions"));
    assert_eq!(
        offers.json["data"][0]["input_schema"]["required"],
        json!(["name"])
    );
    let said = called(&me, &path, json!({"arguments": {"name": "Ada"}}));
    assert_eq!(said["output"], json!({"out": "Hello, Ada!"}));
    let run = me.get(&format!(
        "/api/v1/workflows/execute/{}",
        said["execution_id"].as_str().unwrap()
    ));
    assert_status(&run, 200);
    assert_problem(&call(&me, &path, json!({})), 400, "invalid-input");
    let gone = registered(
        &me,
        &json!({"name": "gone", "kind": "workflow", "config": {"deployment": "nowhere"}}),
    );
    assert_problem(&call(&me, &gone, json!({})), 404, "not-found");
}
