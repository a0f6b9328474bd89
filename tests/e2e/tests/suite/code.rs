//! Code nodes on the built components: values flow, what has no end is stopped with a clear error, neighbours finish, and there
//! is no way out.

use super::{app, runs::graph};
use e2e::{Reply, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Input → one code node → output.
fn code(data: Value) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "n", "type": "code", "data": data},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
    ]);
    graph(nodes, &[("in", None, "n"), ("n", None, "out")])
}

fn run(source: &str, inputs: Value) -> Reply {
    let run = app().tenant().run(&code(json!({"source": source})), inputs);
    assert_status(&run, 200);
    run
}

fn gives(source: &str, inputs: Value, expected: Value) {
    let run = run(source, inputs);
    assert_eq!(
        run.json["outputs"]["out"], expected,
        "{source}: {}",
        run.text
    );
}

/// Kind and message of the error of a source.
fn fails(source: &str) -> (String, String) {
    let run = run(source, json!({}));
    let word = |name: &str| {
        run.json["error"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(run.json["error"]["node_id"], "n", "{source}: {}", run.text);
    (word("kind"), word("message"))
}

/// Beside a node with code that has to be stopped, its neighbours: other code, a template, and a loop of code.
fn beside(source: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "bad", "type": "code", "data": {"source": source, "on_error": "continue"}},
        {"id": "good", "type": "code", "data": {"source": "return inputs.n + 1"}},
        {"id": "text", "type": "template", "data": {"template": "{{ inputs.n }}!"}},
        {"id": "each", "type": "for_each", "data": {"items": [1, 2, 3, 4, 5, 6, 7, 8], "concurrency": 8}},
        {"id": "one", "type": "code", "parentId": "each", "data": {"source": "return item * 2"}},
        {"id": "out", "type": "output", "data": {"value": {"bad": "{{ nodes.bad.output.error }}", "good": "{{ nodes.good.output }}",
            "text": "{{ nodes.text.output.text }}", "each": "{{ nodes.each.output }}"}}},
    ]);
    let edges = ["bad", "good", "text", "each"].map(|id| [("in", None, id), (id, None, "out")]);
    graph(nodes, edges.as_flattened())
}

#[test]
fn values_flow_through_code() {
    gives(
        "const { list } = inputs;\nconsole.log(`${list.length} items`);\nreturn { sum: list.reduce((a, b) => a + b, 0), upper: list.map(x => `n${x}`).join() }",
        json!({"list": [1, 2, 3]}),
        json!({"sum": 6, "upper": "n1,n2,n3"}),
    );
    gives(
        "return await Promise.all([input, 1])",
        json!({}),
        json!([{}, 1]),
    );
    gives("// nothing", json!({}), Value::Null);
    gives(
        "return 'é😀'.normalize('NFD').length + [...'é😀'].length + /(?<y>\\d{4})/u.exec('in 2024').groups.y",
        json!({}),
        json!("62024"),
    );
}

#[test]
fn lines_on_the_console_are_in_the_trace() {
    let me = app().tenant();
    let run = me.run(
        &code(json!({"source": "console.log('here', { n: 1 }); return 1"})),
        json!({}),
    );
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
    let spans = trace.json["spans"][0]["children"].as_array().unwrap();
    let span = spans.iter().find(|span| span["node_id"] == "n").unwrap();
    let event = &span["events"][0];
    assert_eq!(
        (&event["name"], &event["attributes"]["message"]),
        (&json!("console"), &json!("here {\"n\":1}")),
        "{span}"
    );
}

/// What the interpreter does not come back from. Stock Spin lets it compute on after its node has failed (the README says
/// so), and two of them keep both cores of a small machine from everybody else.
fn is_inside_one_function(source: &str) -> bool {
    source.contains(".test(") || source.contains(".indexOf(")
}

#[test]
fn what_has_no_end_is_stopped_and_its_neighbours_finish() {
    app(); // its start is no time of a node's
    for (source, bound) in [
        ("while (true) {}", ""),
        ("while (true) await null", ""),
        ("const f = () => f(); f()", "levels deep"),
        ("let s = 'xxxxxxxx'; while (true) s += s", "memory"),
        (
            // Memory or time, whichever bound a machine comes to first.
            "const all = []; while (true) all.push(new Array(1000).fill(all.length))",
            "",
        ),
        ("return 'x'.repeat(5e6)", "larger"),
        ("return /^(a+)+$/.test('a'.repeat(60) + 'b')", ""),
        ("return new Array(4294967295).indexOf(1)", ""),
        (
            "for await (const x of (async function* () { while (true) yield 1 })());",
            "",
        ),
    ] {
        if is_inside_one_function(source) && !app().is_on_our_host() {
            continue;
        }
        let begun = Instant::now();
        let run = app().tenant().run(&beside(source), json!({"n": 1}));
        assert_status(&run, 200);
        let out = &run.json["outputs"]["out"];
        assert_eq!(out["bad"]["kind"], "code_limit", "{source}: {}", run.text);
        let message = out["bad"]["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("/source: the ") && message.contains(bound),
            "{source}: {message}"
        );
        assert!(
            !message.contains("wasm") && !message.contains(".rs"),
            "{source}: {message}"
        );
        assert_eq!(
            (&out["good"], &out["text"]),
            (&json!(2), &json!("1!")),
            "{source}: {}",
            run.text
        );
        assert_eq!(
            out["each"],
            json!([2, 4, 6, 8, 10, 12, 14, 16]),
            "{source}: {}",
            run.text
        );
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{source}: {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_nodes_own_time_limit_holds() {
    app(); // its start is no time of the node's
    let begun = Instant::now();
    let source = match app().is_on_our_host() {
        true => "return /^(a+)+$/.test('a'.repeat(60) + 'b')",
        false => "while (true) {}",
    };
    let data = json!({"source": source, "timeout_ms": 300});
    let run = app().tenant().run(&code(data), json!({}));
    assert_status(&run, 200);
    let kind = run.json["error"]["kind"].as_str().unwrap_or_default();
    assert!(matches!(kind, "timeout" | "code_limit"), "{}", run.text);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    if app().is_on_our_host() {
        // Its instance goes with it, long before the expression could have come to an end.
        while !app().log().contains("nobody waits for its response") {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "the instance computes on"
            );
        }
    }
}

#[test]
fn there_is_no_way_out() {
    for source in [
        "return await fetch('https://example.com/')",
        "return new XMLHttpRequest()",
        "return require('fs')",
        "return process.env",
        "return await import('https://example.com/x.js')",
        "return await import('/etc/passwd')",
        "return new Function('return 1')()",
        "return eval('1')",
    ] {
        let (kind, message) = fails(source);
        assert_eq!(kind, "code_error", "{source}: {message}");
        assert!(message.starts_with("/source: "), "{source}: {message}");
    }
}

#[test]
fn nothing_is_left_for_the_next_call() {
    let first =
        "globalThis.left = 1; Object.prototype.left = 1; Array.prototype.map = null; return 1";
    gives(first, json!({}), json!(1));
    for _ in 0..4 {
        gives(
            "return [typeof left, ({}).left ?? 0, typeof [].map]",
            json!({}),
            json!(["undefined", 0, "function"]),
        );
    }
}

#[test]
fn errors_name_the_place() {
    let (kind, message) = fails("const a = {};\nreturn a.b.c");
    assert_eq!(kind, "code_error");
    assert!(
        message.contains("TypeError") && message.contains("(line 2, column "),
        "{message}"
    );
    let (kind, message) = fails("const a = 1;\nconst b = ;");
    assert_eq!(kind, "code_syntax", "{message}");
    assert!(message.contains("(line 2, column "), "{message}");
    let refused = app().tenant().run(
        &code(json!({"source": "return nodes.nobody.output"})),
        json!({}),
    );
    assert_problem(&refused, 400, "invalid-input");
    let refused = app()
        .tenant()
        .run(&code(json!({"source": "return secrets.KEY"})), json!({}));
    assert_problem(&refused, 400, "invalid-input");
}

#[test]
fn the_component_is_not_reached_from_outside() {
    // Neither by a route of its own,
    let me = app().tenant();
    let reply = me.post("/code", &json!({"source": "return 1"}));
    assert_eq!(reply.status, 404, "{}", reply.text);
    // nor by a request of a user's.
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "n", "type": "http", "data": {"url": "http://code.spin.internal/", "method": "POST", "body": {"source": "return 1"}}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
    ]);
    let run = me.run(
        &graph(nodes, &[("in", None, "n"), ("n", None, "out")]),
        json!({}),
    );
    assert_eq!(run.json["error"]["kind"], "url_refused", "{}", run.text);
}

#[test]
fn a_preview_gives_what_a_run_gives() {
    let me = app().tenant();
    let ask = |source: &str| {
        let node = json!({"type": "code", "data": {"source": source}});
        let body = json!({"node": node, "inputs": {"n": 2}, "nodes": {"before": 5}, "incoming": {"before": 5}});
        let reply = me.post("/api/v1/nodes/evaluate", &body);
        assert_status(&reply, 200);
        reply.json
    };
    let answer = ask("console.log('hi'); return inputs.n + input + nodes.before.output");
    assert_eq!(
        (&answer["output"], &answer["handle"]),
        (&json!(12), &json!("output")),
        "{answer}"
    );
    assert_eq!(answer["logs"], json!([{"level": "info", "text": "hi"}]));
    let answer = ask("return input.a.b");
    assert_eq!(
        (&answer["ok"], &answer["error"]["kind"]),
        (&json!(false), &json!("code_error")),
        "{answer}"
    );
    assert_eq!(ask("while (true) {}")["error"]["kind"], "code_limit");
}
