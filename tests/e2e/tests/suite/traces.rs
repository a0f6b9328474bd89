//! Traces of runs and requests.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

#[test]
fn a_run_has_one_root_and_one_span_per_attempt() {
    let me = app().tenant();
    let run = me.run(&hello(), json!({"name": "Ada"}));
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
    assert_eq!(trace.json["trace"]["kind"], "run");
    assert_eq!(
        trace.json["trace"]["execution_id"],
        run.json["execution_id"]
    );
    let id = run.json["execution_id"].as_str().unwrap();
    let by_attribute = me.get(&format!("/api/v1/traces?q=attr.nodeai.execution.id={id}"));
    assert_eq!(
        by_attribute.json["data"][0]["trace_id"],
        run.json["trace_id"]
    );
    let roots = trace.json["spans"].as_array().unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(
        roots[0]["attributes"]["gen_ai.operation.name"],
        "invoke_workflow"
    );
    let nodes: Vec<&str> = roots[0]["children"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|s| s["node_id"].as_str())
        .collect();
    assert_eq!(nodes, ["in", "greet", "out"]);
    for span in roots[0]["children"].as_array().unwrap() {
        assert_eq!(span["attempt"], 1);
        assert_eq!(span["status"], "ok");
        assert!(span["duration_ms"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn a_callers_traceparent_is_continued() {
    let me = app().tenant();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let run = me.post_with(
        "/api/v1/workflows/execute",
        &[("traceparent", parent)],
        &json!({"definition": hello(), "inputs": {"name": "x"}}),
    );
    assert_eq!(run.json["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let trace = me.get("/api/v1/traces/0af7651916cd43dd8448eb211c80319c");
    assert_eq!(trace.json["spans"][0]["parent_span_id"], "b7ad6b7169203331");
}

#[test]
fn requests_leave_a_trace_of_their_own() {
    let me = app().tenant();
    let reply = me.get("/api/v1/workflows");
    let trace_id = reply.header("x-trace-id").to_owned();
    let trace = eventually(&me, &format!("/api/v1/traces/{trace_id}"));
    assert_eq!(trace["trace"]["name"], "GET /api/v1/workflows");
    assert_eq!(trace["trace"]["kind"], "request");
    assert_eq!(
        trace["spans"][0]["attributes"]["http.response.status_code"],
        200
    );
}

/// Spans of requests are flushed after the response: asks until they are there.
fn eventually(me: &Tenant, path: &str) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let reply = me.get(path);
        if reply.status == 200 {
            return reply.json;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{path} did not appear"
        );
    }
}

#[test]
fn lists_filter_and_page() {
    let me = app().tenant();
    for name in ["a", "b", "c"] {
        assert_status(&me.run(&hello(), json!({"name": name})), 200);
    }
    let first = me.get("/api/v1/traces?kind=run&status=ok&limit=2");
    assert_status(&first, 200);
    assert_eq!(first.json["data"].as_array().unwrap().len(), 2);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = me.get(&format!(
        "/api/v1/traces?kind=run&status=ok&limit=2&cursor={cursor}"
    ));
    assert_eq!(second.json["data"].as_array().unwrap().len(), 1);
    assert_eq!(second.json["next_cursor"], Value::Null);
    let failed = me.get("/api/v1/traces?kind=run&status=error");
    assert_eq!(failed.json["data"], json!([]));
    let past = me.get("/api/v1/traces?to=2020-01-01T00:00:00Z");
    assert_eq!(past.json["data"], json!([]));
}

#[test]
fn what_is_no_trace_is_not_found() {
    let me = app().tenant();
    for id in ["x", "0af7651916cd43dd8448eb211c8031", &"f".repeat(32)] {
        assert_problem(&me.get(&format!("/api/v1/traces/{id}")), 404, "not-found");
    }
    let head = me.send(Method::HEAD, "/api/v1/traces", &[], Vec::new());
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn admins_say_how_long_traces_are_kept() {
    const RETENTION: &str = "/api/v1/traces/retention";
    let me = app().tenant();
    assert_eq!(me.get(RETENTION).json, json!({"days": 30}));
    for days in [json!(0), json!(3_651), json!(-1)] {
        let refused = me.put_with(RETENTION, &[], &json!({"days": days}));
        assert_problem(&refused, 400, "invalid-input");
        assert_eq!(refused.json["errors"][0]["pointer"], "/days");
    }
    for body in [json!({}), json!({"days": null}), json!({"days": "7"})] {
        let refused = me.put_with(RETENTION, &[], &body);
        assert_problem(&refused, 400, "invalid-input");
    }
    for days in [1, 3_650] {
        let set = me.put_with(RETENTION, &[], &json!({"days": days}));
        assert_status(&set, 200);
        assert_eq!(set.json, json!({"days": days}));
        assert_eq!(me.get(RETENTION).json, json!({"days": days}));
    }
    let other = app().tenant();
    assert_eq!(other.get(RETENTION).json, json!({"days": 30}));
    let key = |scopes: Value| {
        let key = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}));
        app().with_credential(key.json["key"].as_str().unwrap())
    };
    let writer = key(json!(["traces:read", "traces:write"]));
    let refused = writer.put_with(RETENTION, &[], &json!({"days": 7}));
    assert_problem(&refused, 403, "scope-missing");
    let set = key(json!(["traces:admin"])).put_with(RETENTION, &[], &json!({"days": 7}));
    assert_status(&set, 200);
}
