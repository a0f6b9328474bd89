//! Data nodes on the built components, one workflow per family, and previews.

use super::{app, runs::graph};
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

/// input → the nodes, each after the one before → output of the last.
fn chain(nodes: &[(&str, Value)]) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input", "data": {}})];
    let mut ids = vec!["in".to_owned()];
    for (at, (kind, data)) in nodes.iter().enumerate() {
        ids.push(format!("n{at}"));
        all.push(json!({"id": format!("n{at}"), "type": kind, "data": data}));
    }
    let last = format!("{{{{ nodes.n{}.output }}}}", nodes.len() - 1);
    all.push(json!({"id": "out", "type": "output", "data": {"value": last}}));
    ids.push("out".to_owned());
    let edges: Vec<_> = ids
        .windows(2)
        .map(|pair| (pair[0].as_str(), None, pair[1].as_str()))
        .collect();
    graph(json!(all), &edges)
}

fn gives(nodes: &[(&str, Value)], inputs: Value, expected: Value) {
    let run = app().tenant().run(&chain(nodes), inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.json);
    assert_eq!(run.json["outputs"]["out"], expected);
}

#[test]
fn lists_are_filtered_sorted_joined_and_summarised() {
    let nodes = [
        (
            "join",
            json!({"left": "{{ inputs.orders }}", "right": "{{ inputs.people }}", "left_key": ["person"], "right_key": ["id"], "join": "left"}),
        ),
        ("filter", json!({"expression": "item.total > 1"})),
        (
            "set",
            json!({"fields": {"who": "{{ item.name | default('nobody') | upper }}"}}),
        ),
        (
            "summarise",
            json!({"group_by": ["who"], "fields": [{"operation": "sum", "field": "total", "as": "total"}]}),
        ),
        (
            "sort",
            json!({"by": [{"field": "total", "order": "descending"}]}),
        ),
        ("limit", json!({"count": 1})),
    ];
    let inputs = json!({"orders": [{"person": 1, "total": 5}, {"person": 2, "total": 1}, {"person": 1, "total": 4}, {"person": 9, "total": 3}], "people": [{"id": 1, "name": "Ada"}]});
    gives(&nodes, inputs, json!([{"who": "ADA", "total": 9}]));
}

#[test]
fn jq_runs_within_bounds() {
    gives(
        &[(
            "jq",
            json!({"program": "map(.n * $by) | add", "input": "{{ inputs.l }}", "args": {"by": 2}}),
        )],
        json!({"l": [{"n": 1}, {"n": 2}]}),
        json!(6),
    );
    for program in [
        "def f: f; f",
        "def f: [f]; f",
        "def f: 1 + f; f",
        "reduce range(60) as $i (1; [., .])",
    ] {
        let run = app()
            .tenant()
            .run(&chain(&[("jq", json!({"program": program}))]), json!({}));
        assert_status(&run, 200);
        assert_eq!(
            (&run.json["error"]["kind"], &run.json["error"]["node_id"]),
            (&json!("jq"), &json!("n0")),
            "{program}: {}",
            run.json
        );
    }
}

#[test]
fn formats_are_read_and_written() {
    let table = "a,b\n1,x\n2,y\n";
    gives(
        &[
            (
                "csv",
                json!({"operation": "parse", "value": "{{ inputs.t }}", "types": true}),
            ),
            (
                "xml",
                json!({"operation": "format", "root": "rows", "value": {"row": "{{ nodes.n0.output }}"}, "declaration": false}),
            ),
        ],
        json!({"t": table}),
        json!("<rows><row><a>1</a><b>x</b></row><row><a>2</a><b>y</b></row></rows>"),
    );
    gives(
        &[
            ("markdown", json!({"markdown": "# {{ inputs.t }}"})),
            (
                "html",
                json!({"operation": "extract", "fields": [{"name": "h", "selector": "h1"}]}),
            ),
        ],
        json!({"t": "Hi"}),
        json!({"h": "Hi"}),
    );
    gives(
        &[
            (
                "text",
                json!({"operation": "slugify", "text": "{{ inputs.t }}"}),
            ),
            ("crypto", json!({"operation": "hash"})),
        ],
        json!({"t": "A b"}),
        json!("d44362d67d921091c7b9674d752e9e23c1f9ec8a4f0b82741bf01364eb97c830"),
    );
}

#[test]
fn dates_know_time_zones() {
    let add = json!({"operation": "add", "value": "2024-03-09T12:00", "amount": 1, "unit": "days", "zone": "America/New_York"});
    gives(
        &[
            ("date", add),
            ("transform", json!({"expression": "nodes.n0.output.iso"})),
        ],
        json!({}),
        json!("2024-03-10T12:00:00-04:00"),
    );
}

#[test]
fn a_run_answers_stops_and_ignores_notes() {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "note", "type": "note", "data": {"text": "why"}},
        {"id": "answer", "type": "respond", "data": {"status": 201, "body": {"n": "{{ inputs.n }}"}}},
    ]);
    let run = app()
        .tenant()
        .run(&graph(nodes, &[("in", None, "answer")]), json!({"n": 1}));
    assert_status(&run, 200);
    assert_eq!(
        run.json["outputs"]["answer"],
        json!({"status": 201, "headers": {"content-type": "application/json"}, "body": {"n": 1}})
    );
    let run = app().tenant().run(
        &chain(&[(
            "stop",
            json!({"message": "No {{ inputs.n }}", "kind": "mine"}),
        )]),
        json!({"n": 1}),
    );
    assert_eq!(
        (&run.json["error"]["kind"], &run.json["error"]["message"]),
        (&json!("mine"), &json!("No 1"))
    );
}

#[test]
fn previews_evaluate_without_secrets() {
    let me = app().tenant();
    let ask = |body: Value| {
        let answer = me.post("/api/v1/nodes/evaluate", &body);
        assert_status(&answer, 200);
        answer.json
    };
    assert_eq!(
        ask(json!({"expression": "inputs.a + 1", "inputs": {"a": 1}}))["output"],
        2
    );
    assert_eq!(
        ask(json!({"template": "{{ secrets.KEY }}"}))["output"],
        "[secret KEY]"
    );
    let wrong = ask(json!({"template": "a {{ inputs.nope }}"}));
    assert_eq!(wrong["ok"], false);
    assert!(
        wrong["error"]["message"]
            .as_str()
            .unwrap()
            .contains("(line 1, column 6)"),
        "{wrong}"
    );
    let node = json!({"type": "filter", "data": {"expression": "item > 1"}});
    assert_eq!(
        ask(json!({"node": node, "incoming": {"x": [1, 2]}}))["output"],
        json!([2])
    );
    let faults = ask(json!({"node": {"type": "filter", "data": {}}}));
    assert_eq!(faults["faults"][0]["pointer"], "/node/data", "{faults}");
    assert_problem(
        &me.post("/api/v1/nodes/evaluate", &json!({})),
        400,
        "invalid-input",
    );
}
