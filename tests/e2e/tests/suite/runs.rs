//! Runs: sync execution, failures, providers, cancellation.

use super::{app, documents::hello};
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

/// A definition of `nodes` joined by `edges` given as (source, handle, target).
pub fn graph(nodes: Value, edges: &[(&str, Option<&str>, &str)]) -> Value {
    let edges: Vec<Value> = edges
        .iter()
        .enumerate()
        .map(|(i, (source, handle, target))| {
            let mut edge = json!({"id": format!("e{i}"), "source": source, "target": target});
            if let Some(handle) = handle {
                edge["sourceHandle"] = json!(handle);
            }
            edge
        })
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

/// Input → one llm node at the stand-in → output.
pub fn ask(model: &str, extra: Value) -> Value {
    let mut data = json!({"model": model, "prompt": "{{ inputs.question }}",
        "base_url": app().llm.openai(), "api_key": "sk-test"});
    data.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "llm", "data": data},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "ask"), ("ask", None, "out")])
}

#[test]
fn a_run_gives_outputs_usage_and_a_trace() {
    let me = app().tenant();
    let run = me.run(&hello(), json!({"name": "Ada"}));
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded");
    assert_eq!(run.json["outputs"]["out"], "Hello, Ada!");
    assert_eq!(
        run.json["usage"],
        json!({"prompt_tokens": 0, "completion_tokens": 0, "cost_usd_micros": 0})
    );
    let trace_id = run.json["trace_id"].as_str().unwrap();
    assert_eq!(run.header("x-trace-id"), trace_id);
    assert_status(&me.get(&format!("/api/v1/traces/{trace_id}")), 200);
}

#[test]
fn a_stored_workflow_runs_at_the_version_asked_for() {
    let me = app().tenant();
    let id = me.workflow("v", &hello());
    let mut second = hello();
    second["nodes"][1]["data"]["template"] = json!("Bye, {{ inputs.name }}!");
    let body = json!({"name": "v", "definition": second});
    assert_status(
        &me.put_with(
            &format!("/api/v1/workflows/{id}"),
            &[("if-match", "*")],
            &body,
        ),
        200,
    );
    let output = |request: Value| {
        let run = me.post("/api/v1/workflows/execute", &request);
        assert_status(&run, 200);
        run.json["outputs"]["out"].as_str().unwrap().to_owned()
    };
    let inputs = json!({"name": "Ada"});
    assert_eq!(
        output(json!({"workflow_id": id, "inputs": inputs})),
        "Bye, Ada!"
    );
    assert_eq!(
        output(json!({"workflow_id": id, "version": 1, "inputs": inputs})),
        "Hello, Ada!"
    );
    let missing = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": id, "version": 9}),
    );
    assert_problem(&missing, 404, "not-found");
}

#[test]
fn a_run_reads_back_and_lists() {
    let me = app().tenant();
    let id = me.workflow("listed", &hello());
    let run = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": id, "inputs": {"name": "x"}}),
    );
    let execution = run.json["execution_id"].as_str().unwrap();
    let read = me.get(&format!("/api/v1/workflows/execute/{execution}"));
    assert_status(&read, 200);
    assert_eq!(read.json["outputs"], run.json["outputs"]);
    assert_eq!(read.json["inputs"], json!({"name": "x"}));
    assert_eq!(read.json["status"], "succeeded");
    let list = me.get(&format!(
        "/api/v1/workflows/execute?workflow_id={id}&status=succeeded"
    ));
    assert_eq!(list.json["data"][0]["execution_id"], execution);
    let none = me.get(&format!(
        "/api/v1/workflows/execute?workflow_id={id}&status=failed"
    ));
    assert_eq!(none.json["data"], json!([]));
}

#[test]
fn a_failing_node_fails_the_run_with_its_cause() {
    let me = app().tenant();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "boom", "type": "transform", "data": {"expression": "{{ inputs.missing.field }}"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.boom.output }}"}},
    ]);
    let run = me.run(
        &graph(nodes, &[("in", None, "boom"), ("boom", None, "out")]),
        json!({}),
    );
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "failed");
    assert_eq!(run.json["error"]["node_id"], "boom");
    assert!(!run.json["error"]["message"].as_str().unwrap().is_empty());
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    assert_eq!(trace.json["trace"]["status"], "error");
}

#[test]
fn a_model_answers_over_http_with_tokens_and_cost() {
    let me = app().tenant();
    let run = me.run(
        &ask("openai/gpt-4o-mini", json!({})),
        json!({"question": "What is Wasm?"}),
    );
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    assert!(!run.json["outputs"]["out"].as_str().unwrap().is_empty());
    assert!(run.json["usage"]["prompt_tokens"].as_i64().unwrap() > 0);
    assert!(run.json["usage"]["completion_tokens"].as_i64().unwrap() > 0);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    let spans = trace.json["spans"][0]["children"].as_array().unwrap();
    let chat = spans.iter().find(|span| span["node_id"] == "ask").unwrap();
    assert_eq!(chat["attributes"]["gen_ai.operation.name"], "chat");
    assert_eq!(chat["attributes"]["gen_ai.provider.name"], "openai");
    assert_eq!(chat["attributes"]["gen_ai.request.model"], "gpt-4o-mini");
    assert_eq!(
        chat["attributes"]["gen_ai.usage.input_tokens"],
        run.json["usage"]["prompt_tokens"]
    );
    assert_eq!(chat["prompt_tokens"], run.json["usage"]["prompt_tokens"]);
    assert!(!trace.text.contains("sk-test"), "the key is in the trace");
}

#[test]
fn branches_not_taken_are_skipped() {
    let me = app().tenant();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "urgent", "type": "condition", "data": {"expression": "{{ inputs.priority > 5 }}"}},
        {"id": "page", "type": "template", "data": {"template": "page somebody"}},
        {"id": "queue", "type": "template", "data": {"template": "queue it"}},
        {"id": "join", "type": "merge", "data": {"mode": "first", "join": "any"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.join.output.text }}"}},
    ]);
    let definition = graph(
        nodes,
        &[
            ("in", None, "urgent"),
            ("urgent", Some("true"), "page"),
            ("urgent", Some("false"), "queue"),
            ("page", None, "join"),
            ("queue", None, "join"),
            ("join", None, "out"),
        ],
    );
    for (priority, want) in [(9, "page somebody"), (1, "queue it")] {
        let run = me.run(&definition, json!({"priority": priority}));
        assert_eq!(run.json["outputs"]["out"], want, "{}", run.text);
    }
}

#[test]
fn private_addresses_are_refused_by_the_http_node() {
    let me = app().tenant();
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:80/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ] {
        let nodes = json!([
            {"id": "in", "type": "input", "data": {}},
            {"id": "call", "type": "http", "data": {"method": "GET", "url": "{{ inputs.url }}"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.call.output.body }}"}},
        ]);
        let run = me.run(
            &graph(nodes, &[("in", None, "call"), ("call", None, "out")]),
            json!({"url": url}),
        );
        assert_status(&run, 200);
        assert_eq!(run.json["status"], "failed", "{url}: {}", run.text);
        assert_eq!(run.json["error"]["node_id"], "call");
    }
}

#[test]
fn inputs_that_do_not_fit_leave_no_run_behind() {
    let me = app().tenant();
    let mut definition = hello();
    definition["nodes"][0]["data"] =
        json!({"schema": [{"name": "name", "type": "string", "required": true}]});
    let id = me.workflow("typed", &definition);
    for inputs in [json!({}), json!({"name": 7})] {
        let run = me.post(
            "/api/v1/workflows/execute",
            &json!({"workflow_id": id, "inputs": inputs}),
        );
        assert_problem(&run, 400, "invalid-input");
        assert_eq!(run.json["errors"][0]["pointer"], "/inputs/name");
    }
    assert_eq!(me.get("/api/v1/workflows/execute").json["data"], json!([]));
}

#[test]
fn what_a_model_says_with_nul_is_still_committed() {
    let me = app().tenant();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "nul", "type": "template", "data": {"template": "a{{ '\\x00' }}b"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.nul.output.text }}"}},
    ]);
    let run = me.run(
        &graph(nodes, &[("in", None, "nul"), ("nul", None, "out")]),
        json!({}),
    );
    assert_status(&run, 200);
    let trace_id = run.json["trace_id"].as_str().unwrap();
    assert_status(&me.get(&format!("/api/v1/traces/{trace_id}")), 200);
}
