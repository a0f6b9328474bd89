//! Loops, called workflows, waits, the error workflow and kept results, as the API runs them.

use super::{app, documents::hello, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Input → for each of `inputs.names` a greeting → output.
fn greetings() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "each", "type": "for_each", "data": {"items": "{{ inputs.names }}", "concurrency": 3}},
        {"id": "one", "type": "template", "parentId": "each", "data": {"template": "{{ index }}: {{ item }}"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output | map(attribute='text') | list }}"}},
    ]);
    graph(nodes, &[("in", None, "each"), ("each", None, "out")])
}

/// Input → a version of another workflow → output of what that gave.
fn calling(workflow_id: &str, version: i64) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "call", "type": "workflow", "data": {"workflow_id": workflow_id, "version": version,
            "inputs": {"name": "{{ inputs.name }}"}}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.call.output.out }}"}},
    ]);
    graph(nodes, &[("in", None, "call"), ("call", None, "out")])
}

#[test]
fn a_loop_gives_its_results_in_order() {
    let me = app().tenant();
    let run = me.run(&greetings(), json!({"names": ["Ada", "Bo", "Cy"]}));
    assert_status(&run, 200);
    assert_eq!(
        run.json["outputs"]["out"],
        json!(["0: Ada", "1: Bo", "2: Cy"]),
        "{}",
        run.text
    );
}

#[test]
fn a_called_workflow_runs_at_its_pinned_version() {
    let me = app().tenant();
    let id = me.workflow("callee", &hello());
    let mut second = hello();
    second["nodes"][1]["data"]["template"] = json!("Bye, {{ inputs.name }}!");
    let put = me.put_with(
        &format!("/api/v1/workflows/{id}"),
        &[("if-match", "*")],
        &json!({"name": "callee", "definition": second}),
    );
    assert_status(&put, 200);
    for (version, said) in [(1, "Hello, Ada!"), (2, "Bye, Ada!")] {
        let run = me.run(&calling(&id, version), json!({"name": "Ada"}));
        assert_eq!(run.json["outputs"]["out"], said, "{}", run.text);
    }
    // A stored one that calls it runs the same.
    let caller = me.workflow("caller", &calling(&id, 1));
    let run = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": caller, "inputs": {"name": "Bo"}}),
    );
    assert_eq!(run.json["outputs"]["out"], "Hello, Bo!", "{}", run.text);
    let missing = me.run(&calling(&id, 9), json!({"name": "Ada"}));
    assert_problem(&missing, 400, "invalid-input");
    assert!(
        missing.text.contains("unknown_workflow"),
        "{}",
        missing.text
    );
    // Another tenant's is not there.
    let theirs = app().tenant().run(&calling(&id, 1), json!({"name": "Ada"}));
    assert!(theirs.text.contains("unknown_workflow"), "{}", theirs.text);
}

#[test]
fn a_failed_run_tells_its_error_workflow() {
    let me = app().tenant();
    let handler = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "tell", "type": "llm", "data": {"model": "openai/x", "base_url": app().llm.openai(), "api_key": "k",
                "prompt": "{{ inputs.execution_id }} failed: {{ inputs.error.kind }}"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.tell.output.text }}"}},
        ],
        "edges": [{"source": "in", "target": "tell"}, {"source": "tell", "target": "out"}],
    });
    let handler = me.workflow("handler", &handler);
    let mut failing = hello();
    failing["nodes"][1]["data"]["template"] = json!("{{ inputs.nope }}");
    failing["settings"] = json!({"error_workflow": {"workflow_id": handler, "version": 1}});
    let run = me.run(&failing, json!({"name": "Ada"}));
    assert_eq!(run.json["status"], "failed", "{}", run.text);
    assert_eq!(run.json["error"]["kind"], "expression");
    let said = format!(
        "{} failed: expression",
        run.json["execution_id"].as_str().unwrap()
    );
    let told = app()
        .llm
        .requests()
        .iter()
        .any(|request| request.body.to_string().contains(&said));
    assert!(told, "the error workflow was not told");
}

#[test]
fn a_kept_result_is_taken_again_by_the_same_organisation_only() {
    let (me, other) = (app().tenant(), app().tenant());
    let question = format!("what is {}?", uuid());
    let definition = super::runs::ask("openai/x", json!({"cache": {"ttl_ms": 600_000}}));
    let ask = |who: &Tenant| {
        let run = who.run(&definition, json!({"question": question}));
        assert_eq!(run.json["status"], "succeeded", "{}", run.text);
        run.json["usage"]["completion_tokens"].as_i64().unwrap()
    };
    let asked = || {
        let requests = app().llm.requests();
        requests
            .iter()
            .filter(|request| request.body.to_string().contains(&question))
            .count()
    };
    assert!(ask(&me) > 0);
    assert_eq!(ask(&me), 0, "kept results cost nothing");
    assert_eq!(asked(), 1);
    ask(&other);
    assert_eq!(asked(), 2);
}

fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn approval() -> Value {
    let form =
        json!({"type": "object", "required": ["note"], "properties": {"note": {"type": "string"}}});
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "wait", "data": {"approval": {"title": "Pay {{ inputs.sum }}?", "form": form}, "expires_ms": 60_000}},
        {"id": "yes", "type": "output", "data": {"value": "{{ nodes.ask.output.data.note }}"}},
        {"id": "no", "type": "output", "data": {"value": "no"}},
    ]);
    graph(
        nodes,
        &[
            ("in", None, "ask"),
            ("ask", Some("approved"), "yes"),
            ("ask", Some("rejected"), "no"),
        ],
    )
}

/// The tenant's run that waits.
fn waiting_run(me: &Tenant) -> (String, Value) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let runs = me.get("/api/v1/workflows/execute");
        for run in runs.json["data"].as_array().into_iter().flatten() {
            let id = run["execution_id"].as_str().unwrap_or_default();
            let run = me.get(&format!("/api/v1/workflows/execute/{id}"));
            if run.json["waits"]
                .as_array()
                .is_some_and(|waits| !waits.is_empty())
            {
                return (id.to_owned(), run.json["waits"].clone());
            }
        }
        std::thread::yield_now();
    }
    panic!("no run waits");
}

#[test]
fn somebody_approves_and_the_run_goes_on() {
    let me = app().tenant();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| me.run(&approval(), json!({"sum": 5})));
        let (id, waits) = waiting_run(&me);
        assert_eq!(
            (&waits[0]["node"], &waits[0]["title"]),
            (&json!("ask"), &json!("Pay 5?"))
        );
        let resume =
            |body: Value| me.post(&format!("/api/v1/workflows/execute/{id}/resume"), &body);
        assert_problem(
            &resume(json!({"node": "in", "decision": "approved"})),
            409,
            "conflict",
        );
        let unfit = resume(json!({"node": "ask", "decision": "approved", "data": {}}));
        assert_problem(&unfit, 400, "invalid-input");
        assert!(unfit.text.contains("/data/note"), "{}", unfit.text);
        assert_problem(
            &resume(json!({"node": "ask", "data": {"note": "x"}})),
            400,
            "invalid-input",
        );
        let answer = json!({"node": "ask", "decision": "approved", "data": {"note": "fine"}});
        assert_status(&resume(answer.clone()), 200);
        assert_problem(&resume(answer), 409, "conflict");
        let run = run.join().unwrap();
        assert_eq!(run.json["outputs"], json!({"yes": "fine"}), "{}", run.text);
    });
}
