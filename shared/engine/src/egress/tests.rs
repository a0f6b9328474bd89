//! Hosts: read from documents, declared, and held to.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::{WorkflowRef, compile, compile_with};

/// An input, these nodes side by side, an output; the nodes come first.
fn document(nodes: Value, settings: Value) -> Value {
    let mut nodes = nodes.as_array().cloned().unwrap_or_default();
    let ids: Vec<Value> = nodes.iter().map(|node| node["id"].clone()).collect();
    let edges = ids.iter().flat_map(|id| {
        [
            json!({"source": "in", "target": id}),
            json!({"source": id, "target": "out"}),
        ]
    });
    let edges: Vec<Value> = edges.collect();
    nodes.push(node("in", "input", json!({})));
    nodes.push(node("out", "output", json!({"value": "x"})));
    json!({"nodes": nodes, "edges": edges, "settings": settings})
}

fn node(id: &str, kind: &str, data: Value) -> Value {
    json!({"id": id, "type": kind, "data": data})
}

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

#[test]
fn hosts_are_read_from_the_nodes() {
    let tool = json!({"name": "t", "node": {"type": "http", "data": {"url": "https://tool.example/{{ args.x }}"}}});
    let nodes = json!([
        node(
            "a",
            "http",
            json!({"url": "https://API.example.com:8443/x"})
        ),
        node(
            "b",
            "http",
            json!({"url": "https://b.example/{{ inputs.id }}"})
        ),
        node(
            "c",
            "llm",
            json!({"model": "openai/gpt-4o", "prompt": "x",
            "fallbacks": ["anthropic/claude-sonnet-4-5", {"model": "m", "base_url": "http://127.0.0.1:11434/v1"}]})
        ),
        node(
            "d",
            "agent",
            json!({"model": "gemini/{{ inputs.m }}", "prompt": "x", "tools": [tool]})
        ),
        node(
            "e",
            "llm",
            json!({"model": "builtin/echo", "prompt": "https://not.a.call/"})
        ),
        node(
            "f",
            "embed",
            json!({"model": "voyage/voyage-3.5", "text": "x"})
        ),
        node(
            "g",
            "slack",
            json!({"operation": "list_channels", "token": "t"})
        ),
        node(
            "h",
            "email",
            json!({"provider": "postmark", "api_key": "k", "from": "a@b.c", "to": ["d@e.f"], "subject": "s", "text": "t"})
        ),
        node(
            "i",
            "notion",
            json!({"operation": "get_page", "token": "t", "page_id": "p", "base_url": "https://notion.example/v1"})
        ),
    ]);
    let found = egress(&document(nodes, json!({})));
    assert_eq!(found.declared, None);
    assert_eq!(
        found.hosts,
        [
            "127.0.0.1:11434",
            "api.anthropic.com",
            "api.example.com:8443",
            "api.openai.com",
            "api.postmarkapp.com",
            "api.voyageai.com",
            "b.example",
            "generativelanguage.googleapis.com",
            "notion.example",
            "slack.com",
            "tool.example"
        ]
    );
    assert_eq!(found.open, [""; 0]);
}

#[test]
fn what_only_a_run_knows_is_open() {
    for open in [
        "{{ inputs.url }}",
        "https://{{ inputs.host }}/x",
        "https://a.example{{ inputs.rest }}",
        "https://a.example:{{ inputs.port }}/",
        "https://a.example@{{ inputs.host }}/",
        "{# c #}https://a.example/",
        "{% if x %}https://a.example/{% endif %}",
    ] {
        let nodes = json!([node("a", "http", json!({"url": open}))]);
        let found = egress(&document(nodes, json!({})));
        assert_eq!((found.hosts.len(), found.open.len()), (0, 1), "{open}");
    }
    let nodes = json!([
        node(
            "a",
            "llm",
            json!({"model": "{{ inputs.m }}", "prompt": "x", "fallbacks": ["{{ inputs.n }}"]})
        ),
        node(
            "b",
            "http",
            json!({"url": "https://b.example/", "pagination": {"by": "link"}})
        ),
    ]);
    let found = egress(&document(nodes, json!({})));
    let open = [
        "/nodes/0/data/model",
        "/nodes/0/data/fallbacks/0",
        "/nodes/1/data/pagination",
    ];
    assert_eq!(found.open, open);
    assert_eq!(found.hosts, ["b.example"]);
}

#[test]
fn a_list_must_have_what_the_nodes_name() {
    let nodes = json!([node(
        "a",
        "http",
        json!({"url": "https://api.example.com/"})
    )]);
    let faults = |list: Value| {
        let faults = compile(&document(nodes.clone(), json!({"egress": list})));
        let faults = faults.err().unwrap_or_default().into_iter();
        let told = faults.map(|fault| format!("{} {}", fault.pointer, fault.code));
        told.collect::<Vec<_>>()
    };
    assert_eq!(faults(json!(["API.example.com"])), [""; 0]);
    assert_eq!(faults(json!(["*.example.com"])), [""; 0]);
    assert_eq!(faults(json!(["*"])), [""; 0]);
    let undeclared = ["/nodes/0/data/url egress_undeclared"];
    assert_eq!(faults(json!([])), undeclared);
    assert_eq!(
        faults(json!(["example.com", "api.example.com:81"])),
        undeclared
    );
    assert_eq!(faults(json!("*")), ["/settings/egress wrong_type"]);
    let bad = faults(json!([
        "*",
        "https://a.example",
        "a b",
        "*.10.0.0.1",
        5,
        "{{ x }}"
    ]));
    assert_eq!(bad.len(), 5, "{bad:?}");
    assert!(
        bad.iter().all(|fault| fault.ends_with("bad_host")),
        "{bad:?}"
    );
}

#[test]
fn patterns_mean_hosts_and_nothing_like_them() {
    for (pattern, text, fits) in [
        ("a.example", "https://a.example/", true),
        ("a.example", "https://A.EXAMPLE:81/", true),
        ("a.example", "https://b.a.example/", false),
        ("a.example", "https://a.example.evil.org/", false),
        ("a.example", "https://a.example@evil.org/", false),
        ("*.a.example", "https://x.y.a.example/", true),
        ("*.a.example", "https://a.example/", false),
        ("*.a.example", "https://xa.example/", false),
        ("a.example:443", "https://a.example/", true),
        ("a.example:80", "https://a.example/", false),
        ("[::1]", "http://[::1]:9/", true),
        ("[::1]:9", "http://[::1]:8/", false),
        ("*", "https://anything.example/", true),
    ] {
        assert_eq!(host_matches(pattern, &url(text)), fits, "{pattern} {text}");
    }
}

#[test]
fn a_run_is_held_to_its_list_and_a_called_workflow_to_both() {
    const ID: &str = "01a2102f-a96a-7131-a977-a20fa5f762fa";
    let callee = document(
        json!([node(
            "get",
            "http",
            json!({"url": "https://{{ inputs.host }}/"})
        )]),
        json!({"egress": ["inner.example", "both.example"]}),
    );
    let outer = document(
        json!([
            node("call", "workflow", json!({"workflow_id": ID, "version": 1})),
            node("own", "http", json!({"url": "{{ inputs.url }}"})),
        ]),
        json!({"egress": ["outer.example", "both.example"]}),
    );
    let which = WorkflowRef {
        workflow_id: ID.to_owned(),
        version: 1,
    };
    let library = BTreeMap::from([(which, callee.clone())]);
    let plan = compile_with(&outer, &library).expect("valid");
    let may = |node: &str, host: &str| {
        let checked = plan.check_egress(node, &url(&format!("https://{host}/")));
        assert!(
            checked
                .as_ref()
                .err()
                .is_none_or(|e| e.kind == "egress_refused")
        );
        checked.is_ok()
    };
    assert!(may("own", "outer.example") && may("own", "both.example"));
    assert!(!may("own", "inner.example") && !may("own", "evil.example"));
    assert!(may("call[0]/get", "both.example"));
    assert!(!may("call[0]/get", "inner.example") && !may("call[0]/get", "outer.example"));
    // Without a list of its own, the run is held to that of what it calls, there alone.
    let mut open = outer;
    open["settings"] = json!({});
    let plan = compile_with(&open, &library).expect("valid");
    let may = |node: &str, host: &str| {
        let checked = plan.check_egress(node, &url(&format!("https://{host}/")));
        checked.is_ok()
    };
    assert!(may("own", "evil.example") && may("call[0]/get", "inner.example"));
    assert!(!may("call[0]/get", "evil.example"));
    let plain = compile(&document(
        json!([node("own", "http", json!({"url": "{{ inputs.url }}"}))]),
        json!({}),
    ));
    let plain = plain.expect("valid");
    assert!(
        plain
            .check_egress("own", &url("https://evil.example/"))
            .is_ok()
    );
}

#[test]
fn an_error_workflow_is_held_to_the_list_of_the_run_too() {
    const ID: &str = "01a2102f-a96a-7131-a977-a20fa5f762fa";
    let handler = document(
        json!([node("tell", "http", json!({"url": "{{ inputs.u }}"}))]),
        json!({}),
    );
    let own = document(
        json!([node("a", "template", json!({"template": "x"}))]),
        json!({"egress": ["a.example"], "error_workflow": {"workflow_id": ID, "version": 1}}),
    );
    let which = WorkflowRef {
        workflow_id: ID.to_owned(),
        version: 1,
    };
    let plan = compile_with(&own, &BTreeMap::from([(which, handler)])).expect("valid");
    assert!(
        plan.check_egress("@error/tell", &url("https://a.example/"))
            .is_ok()
    );
    assert!(
        plan.check_egress("@error/tell", &url("https://b.example/"))
            .is_err()
    );
}

#[test]
fn custom_nodes_reach_what_their_components_declare() {
    let tool = json!({"name": "t", "node": {"type": "custom.tool", "data": {}}});
    let nodes = json!([
        node("a", "custom.far", json!({})),
        node("b", "custom.near", json!({})),
        node("c", "custom.unknown", json!({})),
        node(
            "d",
            "agent",
            json!({"model": "openai/gpt-4o", "prompt": "x", "tools": [tool]})
        ),
    ]);
    let plain = document(nodes.clone(), json!({}));
    let used: Vec<&str> = customs_of(&plain).into_iter().collect();
    let all = ["custom.far", "custom.near", "custom.tool", "custom.unknown"];
    assert_eq!(used, all);
    let known = CustomHosts::from([
        (
            "custom.far".to_owned(),
            vec!["far.example".to_owned(), "*.b.example".to_owned()],
        ),
        ("custom.near".to_owned(), Vec::new()),
        ("custom.tool".to_owned(), vec!["tool.example".to_owned()]),
    ]);
    let (found, faults) = egress_with(&plain, &known);
    let hosts = [
        "*.b.example",
        "api.openai.com",
        "far.example",
        "tool.example",
    ];
    assert_eq!(found.hosts, hosts);
    assert_eq!(found.open, ["/nodes/2"]);
    assert!(faults.is_empty(), "{faults:?}");
    // Without knowing them they are left out.
    assert_eq!(egress(&plain).hosts, ["api.openai.com"]);
    let listed = document(
        nodes,
        json!({"egress": ["api.openai.com", "far.example", "b.example"]}),
    );
    let (_, faults) = egress_with(&listed, &known);
    let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(places, ["/nodes/0", "/nodes/3/data/tools/0/node"]);
    assert!(faults.iter().all(|fault| fault.code == "egress_undeclared"));
}
