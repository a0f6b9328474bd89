//! Code nodes in whole runs: what goes in and comes out, where its lines go, and how it is stopped beside others.

mod support;

use nodeai_engine::{Status, compile};
use nodeai_runner::Finished;
use serde_json::{Value, json};
use support::App;

/// input → the nodes, each after the one before → output of the last.
fn chain(nodes: &[(&str, &str, Value)]) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input", "data": {}})];
    all.extend(
        nodes
            .iter()
            .map(|(id, kind, data)| json!({"id": id, "type": kind, "data": data})),
    );
    let last = nodes.last().map_or("in", |node| node.0);
    all.push(json!({"id": "out", "type": "output", "data": {"value": format!("{{{{ nodes.{last}.output }}}}")}}));
    let edges: Vec<Value> = all
        .windows(2)
        .map(|pair| json!({"source": pair[0]["id"], "target": pair[1]["id"]}))
        .collect();
    json!({"nodes": all, "edges": edges, "vars": {"factor": 3}})
}

fn code(source: &str) -> Value {
    chain(&[("n", "code", json!({"source": source}))])
}

fn output(finished: &Finished) -> &Value {
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    &finished.outputs["out"]
}

fn failure(finished: &Finished) -> (&str, &str) {
    finished.error.as_ref().map_or(("none", ""), |error| {
        (error.kind.as_str(), error.message.as_str())
    })
}

#[test]
fn values_flow_through_code() {
    let document = chain(&[
        (
            "first",
            "transform",
            json!({"fields": {"list": "{{ inputs.list }}"}}),
        ),
        (
            "n",
            "code",
            json!({"source": "const { list } = input;\nreturn { sum: list.reduce((a, b) => a + b) * vars.factor,\n  same: nodes.first.output.list.length === inputs.list.length, state: nodes.first.state }"}),
        ),
        (
            "after",
            "code",
            json!({"input": "{{ nodes.n.output.sum + 1 }}", "source": "return await Promise.resolve(input + 1)"}),
        ),
    ]);
    let finished = App::start().run(&document, json!({"list": [1, 2, 3]}));
    assert_eq!(output(&finished), &json!(20));
    let n = finished
        .spans
        .iter()
        .find(|span| span.node_id.as_deref() == Some("n"));
    let n = n.expect("a span");
    assert_eq!(
        n.attributes["nodeai.output"],
        json!({"sum": 18, "same": true, "state": "finished"})
    );
    // The log has what the code saw, and nothing that it did not name.
    assert_eq!(n.attributes["nodeai.input"]["vars"], json!({"factor": 3}));
    assert!(n.attributes["nodeai.input"].get("run").is_none());
}

#[test]
fn code_in_a_loop_sees_its_names() {
    let document = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "each", "type": "for_each", "data": {"items": "{{ inputs.list }}"}},
            {"id": "n", "type": "code", "parentId": "each", "data": {"source": "return `${index}:${item}/${loops.each.index}`"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output }}"}},
        ],
        "edges": [{"source": "in", "target": "each"}, {"source": "each", "target": "out"}],
    });
    let finished = App::start().run(&document, json!({"list": ["a", "b"]}));
    assert_eq!(output(&finished), &json!(["0:a/0", "1:b/1"]));
}

#[test]
fn several_values_come_in_by_their_source() {
    let document = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "a", "type": "template", "data": {"template": "A"}},
            {"id": "b", "type": "template", "data": {"template": "B"}},
            {"id": "n", "type": "code", "data": {"source": "return input"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
        ],
        "edges": [{"source": "in", "target": "a"}, {"source": "in", "target": "b"}, {"source": "a", "target": "n"},
            {"source": "b", "target": "n"}, {"source": "n", "target": "out"}],
    });
    assert_eq!(
        output(&App::start().run(&document, json!({}))),
        &json!({"a": {"text": "A"}, "b": {"text": "B"}})
    );
}

#[test]
fn lines_on_the_console_are_events_of_the_span() {
    let finished = App::start().run(
        &code("console.log('one', { n: 1 }); console.error('two'); return 1"),
        json!({}),
    );
    let span = finished
        .spans
        .iter()
        .find(|span| span.node_id.as_deref() == Some("n"));
    let lines: Vec<_> = span
        .expect("a span")
        .events
        .iter()
        .map(|event| &event.attributes)
        .collect();
    assert_eq!(lines[0]["message"], "one {\"n\":1}");
    assert_eq!(
        (&lines[1]["level"], &lines[1]["message"]),
        (&json!("error"), &json!("two"))
    );
    // A failed attempt's are there too.
    let finished = App::start().run(&code("console.log('before'); null.x"), json!({}));
    let span = finished
        .spans
        .iter()
        .find(|span| span.node_id.as_deref() == Some("n"));
    assert_eq!(
        span.expect("a span").events[0].attributes["message"],
        "before"
    );
}

#[test]
fn a_repeated_run_gives_the_same() {
    let document =
        code("return [Math.random(), new Date(run.started_at.slice(0, 23) + 'Z') - new Date()]");
    let finished = App::start().run(&document, json!({}));
    let first = output(&finished).clone();
    assert_eq!(first[1], json!(0));
    let again = App::start().run(&document, json!({}));
    assert_eq!(output(&again)[0], first[0], "the same run draws the same");
}

#[test]
fn failures_name_line_and_column() {
    let app = App::start();
    let finished = app.run(&code("const a = 1;\nreturn a.b.c"), json!({}));
    let (kind, message) = failure(&finished);
    assert_eq!(kind, "code_error");
    assert!(
        message.starts_with("/source: TypeError: ") && message.contains("(line 2, column "),
        "{message}"
    );
    let finished = app.run(&code("return ]"), json!({}));
    assert_eq!(failure(&finished).0, "code_syntax");
    let finished = app.run(&code("return fetch('http://169.254.169.254/')"), json!({}));
    assert!(
        failure(&finished).1.contains("ReferenceError"),
        "{:?}",
        failure(&finished)
    );
}

#[test]
fn what_is_stopped_leaves_its_neighbours_alone() {
    let app = App::start();
    for source in ["while (true) {}", "trap", "return 'x'.repeat(1e8)"] {
        let document = json!({
            "nodes": [
                {"id": "in", "type": "input", "data": {}},
                {"id": "bad", "type": "code", "data": {"source": source, "on_error": "continue"}},
                {"id": "good", "type": "code", "data": {"source": "return inputs.n + 1"}},
                {"id": "out", "type": "output", "data": {"value": {"bad": "{{ nodes.bad.output }}", "good": "{{ nodes.good.output }}"}}},
            ],
            "edges": [{"source": "in", "target": "bad"}, {"source": "in", "target": "good"},
                {"source": "bad", "target": "out"}, {"source": "good", "target": "out"}],
        });
        let finished = app.run(&document, json!({"n": 1}));
        let output = output(&finished);
        assert_eq!(output["good"], 2, "{source}");
        assert_eq!(
            output["bad"]["error"]["kind"], "code_limit",
            "{source}: {output}"
        );
    }
}

#[test]
fn code_is_a_tool_of_an_agent() {
    let app = App::start();
    app.standin.script([
        llm_standin::Behaviour {
            tool_call: Some(json!({"name": "double", "arguments": {"n": 21}})),
            ..llm_standin::Behaviour::default()
        },
        llm_standin::Behaviour::answer("It is 42."),
    ]);
    let tools = json!([{"name": "double", "node": {"type": "code", "data": {"source": "return args.n * inputs.factor"}}}]);
    let agent = json!({"model": "openai/gpt-4o-mini", "base_url": app.standin.openai(), "api_key": "k",
        "prompt": "How many?", "tools": tools});
    let finished = app.run(&chain(&[("n", "agent", agent)]), json!({"factor": 2}));
    // As the model was told: in words.
    assert_eq!(output(&finished)["calls"][0]["result"], "42");
}

#[test]
fn a_kept_result_is_taken_again() {
    let app = App::start();
    let document = chain(&[(
        "n",
        "code",
        json!({"source": "return [inputs.n, Math.random()]", "cache": {"ttl_ms": 60_000}}),
    )]);
    let first = output(&app.run(&document, json!({"n": 1}))).clone();
    assert_eq!(output(&app.run(&document, json!({"n": 1}))), &first);
    assert_eq!(output(&app.run(&document, json!({"n": 2})))[0], json!(2));
}

#[test]
fn no_request_of_a_users_reaches_the_component() {
    let mut app = App::start();
    for allowed in ["*", "code.spin.internal"] {
        app.options.guard = nodeai_runner::UrlGuard::allowing([allowed.to_owned()]);
        let document = chain(&[(
            "n",
            "http",
            json!({"method": "POST", "url": "http://code.spin.internal/", "body": {"source": "return 1"}}),
        )]);
        assert_eq!(failure(&app.run(&document, json!({}))).0, "url_refused");
    }
}

#[test]
fn a_custom_node_hears_of_its_workflows_hosts() {
    let mut document = chain(&[("n", "custom.lists", json!({}))]);
    let finished = App::start().run(&document, json!({}));
    assert_eq!(output(&finished), &json!([]));
    document["settings"] = json!({"egress": ["a.example", "*.b.example"]});
    let mut app = App::start();
    app.options.guard = nodeai_runner::UrlGuard::default().narrowed(["a.example"]);
    let finished = app.run(&document, json!({}));
    let lists = json!(["a.example,*.b.example", "a.example"]);
    assert_eq!(output(&finished), &lists);
    document["settings"] = json!({"egress": []});
    let finished = App::start().run(&document, json!({}));
    assert_eq!(output(&finished), &json!([""]));
}

#[test]
fn faults_of_a_source_are_found_when_it_is_saved() {
    let codes = |data: Value| -> Vec<(String, String)> {
        let faults = compile(&chain(&[("n", "code", data)]))
            .err()
            .unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| (fault.pointer, fault.code.to_string()))
            .collect()
    };
    let one = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert!(
        codes(json!({"source": "return `{{ not a template }} ${nodes.in.output}`"})).is_empty()
    );
    assert_eq!(
        codes(json!({"source": "return nodes.nobody.output"})),
        one("/nodes/1/data", "unknown_reference")
    );
    assert_eq!(
        codes(json!({"source": "return nodes.out.output"})),
        one("/nodes/1/data", "not_upstream")
    );
    assert_eq!(
        codes(json!({"source": "return secrets.KEY"})),
        one("/nodes/1/data/source", "not_allowed")
    );
    assert_eq!(
        codes(json!({"source": "return 1", "input": "{{ secrets.KEY }}"})),
        one("/nodes/1/data", "not_allowed")
    );
    assert_eq!(
        codes(json!({"source": "[".repeat(101)})),
        one("/nodes/1/data/source", "bad_source")
    );
    assert!(!codes(json!({"source": "x".repeat(70_000)})).is_empty());
}
