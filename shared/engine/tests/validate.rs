//! Documents that are refused, each fault with its pointer and code.

use std::time::Instant;

use nodeai_engine::{catalogue, compile, validate};
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "position": {"x": 1, "y": 2}, "data": {}},
            {"id": "ask", "type": "llm", "data": {"model": "builtin/echo", "prompt": "{{ inputs.q }}"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output.text }}"}},
        ],
        "edges": [{"id": "e1", "source": "in", "target": "ask"}, {"id": "e2", "source": "ask", "target": "out"}],
        "viewport": {"zoom": 1},
    })
}

/// The good document with one place changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = good();
    *document.pointer_mut(pointer).expect(pointer) = value;
    document
}

fn check(document: Value, expected: &[&str]) {
    let faults = validate(&document).err().unwrap_or_default();
    let found: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.code))
        .collect();
    assert_eq!(found, expected, "{faults:#?}");
}

#[test]
fn a_good_document_keeps_what_front_ends_put_there() {
    let definition = validate(&good()).expect("valid");
    let back = serde_json::to_value(&definition).expect("JSON");
    assert_eq!(back["viewport"], json!({"zoom": 1}));
    assert_eq!(back["nodes"][0]["position"], json!({"x": 1, "y": 2}));
    assert_eq!(back["edges"][0]["id"], "e1");
}

#[test]
fn looks_do_not_change_the_hash_but_meaning_does() {
    let hash = |document: Value| compile(&document).ok().map(|plan| plan.hash().to_owned());
    assert_eq!(hash(good()), hash(with("/nodes/0/position/x", json!(500))));
    assert_ne!(
        hash(good()),
        hash(with("/nodes/1/data/prompt", json!("other")))
    );
}

#[test]
fn shapes_are_checked() {
    check(json!([]), &[" wrong_type"]);
    check(json!({}), &["/nodes required", "/edges required"]);
    check(
        json!({"nodes": {}, "edges": 1}),
        &["/nodes wrong_type", "/edges wrong_type"],
    );
    check(json!({"nodes": [1], "edges": []}), &["/nodes/0 wrong_type"]);
    check(with("/nodes/0/id", json!(1)), &["/nodes/0/id wrong_type"]);
    check(with("/nodes/0/id", json!("a b")), &["/nodes/0/id bad_id"]);
    check(
        with("/nodes/0/data", json!([])),
        &["/nodes/0/data wrong_type"],
    );
    check(
        with("/edges/0/source", json!(null)),
        &["/edges/0/source wrong_type"],
    );
    check(
        json!({"nodes": [], "edges": []}),
        &["/nodes missing_input", "/nodes missing_output"],
    );
}

#[test]
fn nodes_are_checked() {
    check(
        with("/nodes/1/type", json!("lmm")),
        &["/nodes/1/type unknown_type"],
    );
    check(
        with("/nodes/1/data", json!({"prompt": "x"})),
        &["/nodes/1/data/model required"],
    );
    check(
        with("/nodes/1/data", json!({"model": "builtin/echo"})),
        &["/nodes/1/data required"],
    );
    check(
        with(
            "/nodes/1/data",
            json!({"model": "builtin/echo", "prompt": "x", "temperature": "hot", "nope": 1}),
        ),
        &[
            "/nodes/1/data/temperature wrong_type",
            "/nodes/1/data/nope unknown_field",
        ],
    );
    check(
        with("/nodes/1/data/model", json!("acme/x")),
        &["/nodes/1/data/model bad_model"],
    );
    check(
        with("/nodes/1/data/model", json!("{{ inputs.model }}")),
        &[],
    );
    let retry = json!({"model": "builtin/echo", "prompt": "x", "retry": {"max_attempts": 0}, "timeout_ms": "{{ 1 }}"});
    check(
        with("/nodes/1/data", retry),
        &[
            "/nodes/1/data/retry/max_attempts out_of_range",
            "/nodes/1/data not_allowed",
        ],
    );
    let url = |url: &str| {
        with(
            "/nodes/1",
            json!({"id": "ask", "type": "http", "data": {"url": url}}),
        )
    };
    check(url("ftp://example.com"), &["/nodes/1/data/url bad_url"]);
    check(url("example.com"), &["/nodes/1/data/url bad_url"]);
    check(url("https://example.com/{{ inputs.id }}"), &[]);
}

#[test]
fn literals_may_not_be_templates() {
    let mut document = good();
    document["nodes"][1] =
        json!({"id": "ask", "type": "merge", "data": {"join": "{{ inputs.join }}"}});
    check(document, &["/nodes/1/data/join not_allowed"]);
}

#[test]
fn templates_are_checked() {
    check(
        with("/nodes/1/data/prompt", json!("{{ inputs. }}")),
        &["/nodes/1/data/prompt bad_expression"],
    );
    check(
        with("/nodes/1/data/prompt", json!("{% for x in y %}")),
        &["/nodes/1/data/prompt bad_expression"],
    );
    check(
        with("/nodes/1/data/prompt", json!("{{ input.q }}")),
        &["/nodes/1/data/prompt unknown_name"],
    );
    check(
        with("/nodes/1/data/prompt", json!("{{ inputs.q | uper }}")),
        &["/nodes/1/data/prompt unknown_filter"],
    );
    check(
        with(
            "/nodes/1/data/prompt",
            json!("{{ inputs.q | upper | default('a | b') }} | c"),
        ),
        &[],
    );
    check(
        with("/nodes/1/data/prompt", json!("{{ nodes.nope.output }}")),
        &["/nodes/1/data unknown_reference"],
    );
    check(
        with("/nodes/1/data/prompt", json!("{{ nodes.out.output }}")),
        &["/nodes/1/data not_upstream"],
    );
    check(
        with("/nodes/1/data/prompt", json!("{{ secrets[inputs.q] }}")),
        &["/nodes/1/data/prompt computed_secret"],
    );
    let condition = json!({"id": "ask", "type": "condition", "data": {"expression": "1 +"}});
    let mut document = with("/nodes/1", condition);
    document["edges"][1]["sourceHandle"] = "true".into();
    check(document, &["/nodes/1/data/expression bad_expression"]);
}

#[test]
fn addresses_are_those_of_waits_that_a_node_can_mean() {
    let say = |text: &str, wait: Value, parent: Value| {
        let mut document = good();
        document["nodes"][1]["data"]["prompt"] = text.into();
        let nodes = document["nodes"].as_array_mut().expect("nodes");
        nodes.push(json!({"id": "each", "type": "for_each", "data": {"items": []}}));
        nodes.push(json!({"id": "inner", "type": "template", "parentId": "each", "data": {"template": "x"}}));
        nodes.push(json!({"id": "w", "type": "wait", "data": wait}));
        let before = match parent == Value::Null {
            true => "each",
            false => "inner",
        };
        if parent != Value::Null {
            nodes[5]["parentId"] = parent;
        }
        let edges = document["edges"].as_array_mut().expect("edges");
        edges.push(json!({"source": "ask", "target": "each"}));
        edges.push(json!({"source": before, "target": "w"}));
        document
    };
    let webhook = || json!({"webhook": {}});
    check(
        say(
            "{{ waits.w.url }} {{ waits['w'].url }}",
            webhook(),
            Value::Null,
        ),
        &[],
    );
    let unknown = &["/nodes/1/data unknown_reference"];
    check(say("{{ waits.nope.url }}", webhook(), Value::Null), unknown);
    check(say("{{ waits.out.url }}", webhook(), Value::Null), unknown);
    let approval = json!({"approval": {"title": "Go?"}});
    check(say("{{ waits.w.url }}", approval, Value::Null), unknown);
    check(
        say("{{ waits.w.url }}", webhook(), json!("each")),
        &["/nodes/1/data inside_loop"],
    );
    check(
        say("{{ waits[inputs.q].url }}", webhook(), Value::Null),
        &["/nodes/1/data/prompt computed_wait"],
    );
    let bad = json!({"webhook": {"methods": ["DELETE"], "respond": {"status": 500}}});
    check(
        say("x", bad, Value::Null),
        &[
            "/nodes/5/data/webhook/methods/0 not_allowed",
            "/nodes/5/data/webhook/respond/status out_of_range",
        ],
    );
}

#[test]
fn a_memory_has_a_session_and_bounds() {
    let memory = |memory: Value| {
        let mut document = good();
        document["nodes"][1]["data"]["memory"] = memory;
        document
    };
    check(
        memory(
            json!({"session": "{{ inputs.q }}", "name": "n", "scope": "organisation", "max_messages": 200,
            "ttl_ms": 60_000}),
        ),
        &[],
    );
    for (bad, fault) in [
        (json!({}), "/session required"),
        (json!({"session": ""}), "/session too_short"),
        (
            json!({"session": "s", "max_messages": 201}),
            "/max_messages out_of_range",
        ),
        (
            json!({"session": "s", "scope": "user"}),
            "/scope not_allowed",
        ),
        (
            json!({"session": "s", "window": 1}),
            "/window unknown_field",
        ),
    ] {
        check(memory(bad), &[&format!("/nodes/1/data/memory{fault}")]);
    }
}

#[test]
fn edges_are_checked() {
    check(
        with("/edges/1/target", json!("nope")),
        &["/edges/1/target unknown_node"],
    );
    let mut document = good();
    document["edges"][1]["sourceHandle"] = "true".into();
    check(document, &["/edges/1/sourceHandle unknown_handle"]);
    let mut document = good();
    document["edges"][1]["sourceHandle"] = "error".into();
    check(document.clone(), &["/edges/1/sourceHandle unknown_handle"]);
    document["nodes"][1]["data"]["on_error"] = "error_edge".into();
    check(document, &[]);
    check(
        with(
            "/nodes/1/data",
            json!({"model": "builtin/echo", "prompt": "x", "on_error": "error_edge"}),
        ),
        &["/nodes/1/data/on_error missing_error_edge"],
    );
    let mut document = good();
    document["edges"][0]["targetHandle"] = "left".into();
    check(document, &["/edges/0/targetHandle unknown_handle"]);
    let mut document = good();
    document["nodes"][2]["id"] = "ask".into();
    check(
        document,
        &["/nodes/2/id duplicate_id", "/edges/1/target unknown_node"],
    );
}

#[test]
fn cycles_are_found_and_shown() {
    let step = |id: &str| json!({"id": id, "type": "merge"});
    let mut document = good();
    for id in ["a", "b", "c"] {
        document["nodes"]
            .as_array_mut()
            .expect("list")
            .push(step(id));
    }
    for (source, target) in [("in", "a"), ("a", "b"), ("b", "c"), ("c", "a")] {
        document["edges"]
            .as_array_mut()
            .expect("list")
            .push(json!({"source": source, "target": target}));
    }
    let faults = validate(&document).expect_err("a cycle");
    assert_eq!((faults.len(), faults[0].code.as_str()), (1, "cycle"));
    assert!(faults[0].pointer.starts_with("/edges/"), "{faults:?}");
    let mut document = good();
    document["edges"]
        .as_array_mut()
        .expect("list")
        .push(json!({"source": "ask", "target": "ask"}));
    check(document, &["/edges/2 cycle"]);
}

#[test]
fn huge_documents_are_refused_at_little_cost() {
    let node = json!({"id": "n", "type": "merge"});
    let document = json!({"nodes": vec![node; 1_000_000], "edges": []});
    let begun = Instant::now();
    let faults = validate(&document).expect_err("too many");
    assert_eq!((faults.len(), faults[0].code.as_str()), (1, "too_many"));
    assert!(begun.elapsed().as_millis() < 5_000, "{:?}", begun.elapsed());
    let mut deep = json!(1);
    for _ in 0..1_000 {
        deep = Value::Array(vec![deep]);
    }
    check(
        with("/nodes/0/data", json!({"schema": deep})),
        &[" too_deep"],
    );
    check(
        with("/nodes/1/data/prompt", json!("x".repeat(300_000))),
        &[" too_long"],
    );
}

#[test]
fn the_largest_document_is_checked_in_little_time() {
    let mut nodes = vec![json!({"id": "n0", "type": "input"})];
    let mut edges = Vec::new();
    for at in 1..1_999 {
        let value = format!("{{{{ nodes.n{}.output }}}}", at - 1);
        nodes.push(
            json!({"id": format!("n{at}"), "type": "transform", "data": {"fields": {"x": value}}}),
        );
        for back in 1..=5.min(at) {
            edges.push(json!({"source": format!("n{}", at - back), "target": format!("n{at}")}));
        }
    }
    nodes.push(json!({"id": "out", "type": "output", "data": {"value": 1}}));
    edges.push(json!({"source": "n1998", "target": "out"}));
    let begun = Instant::now();
    check(json!({"nodes": nodes, "edges": edges}), &[]);
    assert!(
        begun.elapsed().as_millis() < 30_000,
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn inputs_are_checked_and_filled_in() {
    let fields = json!({"schema": [
        {"name": "q", "type": "string", "required": true},
        {"name": "n", "type": "integer", "default": 3},
        {"name": "kind", "type": "string", "enum": ["a", "b"]},
    ]});
    let plan = compile(&with("/nodes/0/data", fields)).expect("valid");
    assert_eq!(
        plan.check_inputs(json!({"q": "x", "more": 1})),
        Ok(json!({"q": "x", "more": 1, "n": 3}))
    );
    let faults = plan
        .check_inputs(json!({"n": "three", "kind": "c"}))
        .expect_err("faults");
    let found: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.code))
        .collect();
    assert_eq!(
        found,
        [
            "/inputs/q required",
            "/inputs/n wrong_type",
            "/inputs/kind not_allowed"
        ]
    );
    let faults = plan.check_inputs(json!([])).expect_err("no object");
    assert_eq!(faults[0].pointer, "/inputs");
    // A template in an input is data like any other.
    assert!(
        plan.check_inputs(json!({"q": "x", "n": "{{ 1 }}"}))
            .is_err()
    );
    let bad_default = json!({"schema": [{"name": "n", "type": "integer", "default": "x"}]});
    check(
        with("/nodes/0/data", bad_default),
        &["/nodes/0/data/schema/0/default wrong_type"],
    );
}

#[test]
fn the_catalogue_describes_every_node() {
    let types: Vec<String> = catalogue().into_iter().map(|spec| spec.kind).collect();
    let all = "input llm agent classify extract summarise_text embed rerank http postgres code template transform condition switch for_each while workflow wait merge \
        set filter sort limit dedupe aggregate summarise split_out join compare jq date text crypto html markdown xml csv \
        email slack github notion google_sheets retrieve index tool file_read file_extract file_write webhook respond stop note output";
    assert_eq!(types.join(" "), all);
    for spec in catalogue() {
        assert_eq!(spec.config_schema["type"], "object");
        assert!(
            !spec.description.is_empty() && spec.example.is_object(),
            "{}",
            spec.kind
        );
    }
}
