//! Bad input gets a clear 4xx, and nothing is stored or half-run.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem};
use reqwest::Method;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn nothing_is_stored(me: &Tenant) {
    assert_eq!(me.get("/api/v1/workflows").json["data"], json!([]));
    assert_eq!(me.get("/api/v1/workflows/execute").json["data"], json!([]));
}

#[test]
fn what_is_not_json_is_malformed() {
    let me = app().tenant();
    let deep = format!("{{\"definition\":{}", "[".repeat(200_000));
    let bodies: [&[u8]; 5] = [
        b"",
        b"{",
        b"not json",
        b"{\"definition\":\"\xff\xfe\"}",
        deep.as_bytes(),
    ];
    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/execute",
        "/api/v1/workflows/validate",
    ] {
        for body in bodies {
            let reply = me.send(Method::POST, path, &JSON, body.to_vec());
            assert_problem(&reply, 400, "malformed-json");
        }
    }
    nothing_is_stored(&me);
}

#[test]
fn each_wrong_field_is_named() {
    let me = app().tenant();
    let cases: [(Value, &str); 6] = [
        (json!({"definition": hello()}), "/name"),
        (json!({"name": "", "definition": hello()}), "/name"),
        (json!({"name": 5, "definition": hello()}), "/name"),
        (
            json!({"name": "x", "definition": hello(), "colour": "red"}),
            "/colour",
        ),
        (json!({"name": "x", "definition": []}), "/definition"),
        (
            json!({"name": "x", "definition": hello(), "tags": ["ok", ""]}),
            "/tags/1",
        ),
    ];
    for (body, pointer) in cases {
        let reply = me.post("/api/v1/workflows", &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer, "{body}");
    }
    nothing_is_stored(&me);
}

#[test]
fn broken_graphs_are_refused_with_pointers() {
    let me = app().tenant();
    let edit = |change: fn(&mut Value)| {
        let mut definition = hello();
        change(&mut definition);
        definition
    };
    let cases = [
        edit(|d| d["nodes"][1]["type"] = json!("teleport")),
        edit(|d| d["nodes"][1]["id"] = json!("in")),
        edit(|d| d["nodes"][1]["data"] = json!({})),
        edit(|d| d["nodes"][1]["data"]["template"] = json!("{{ unclosed")),
        edit(|d| d["edges"][0]["target"] = json!("nowhere")),
        edit(|d| d["edges"][1]["target"] = json!("greet")),
        edit(|d| d["edges"] = json!([])),
    ];
    for definition in cases {
        for (path, body) in [
            (
                "/api/v1/workflows",
                json!({"name": "x", "definition": definition}),
            ),
            (
                "/api/v1/workflows/execute",
                json!({"definition": definition}),
            ),
        ] {
            let reply = me.post(path, &body);
            assert_problem(&reply, 400, "invalid-input");
            let pointer = reply.json["errors"][0]["pointer"].as_str().unwrap();
            assert!(
                pointer.starts_with("/definition/"),
                "{pointer} for {definition}"
            );
        }
    }
    nothing_is_stored(&me);
}

#[test]
fn oversize_bodies_and_huge_graphs_are_refused() {
    let me = app().tenant();
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(5 << 20));
    let reply = me.send(Method::POST, "/api/v1/workflows", &JSON, huge.into_bytes());
    assert_problem(&reply, 413, "body-too-large");
    let node = json!({"id": "n", "type": "template", "data": {}}).to_string();
    let million = format!(
        "{{\"nodes\":[{}],\"edges\":[]}}",
        vec![node.as_str(); 1_000_000].join(",")
    );
    let body = format!("{{\"name\":\"x\",\"definition\":{million}}}");
    let reply = me.send(Method::POST, "/api/v1/workflows", &JSON, body.into_bytes());
    assert_problem(&reply, 413, "body-too-large");
    // As many nodes as fit into a body.
    let many = format!(
        "{{\"nodes\":[{}],\"edges\":[]}}",
        vec!["1"; 1_900_000].join(",")
    );
    let body = format!("{{\"name\":\"x\",\"definition\":{many}}}");
    let reply = me.send(Method::POST, "/api/v1/workflows", &JSON, body.into_bytes());
    assert_problem(&reply, 400, "invalid-input");
    nothing_is_stored(&me);
}

#[test]
fn unknown_parameters_and_wrong_types_are_named() {
    let me = app().tenant();
    let cases = [
        ("/api/v1/workflows?limt=5", "limt"),
        ("/api/v1/workflows?limit=0", "limit"),
        ("/api/v1/workflows?limit=201", "limit"),
        ("/api/v1/workflows?limit=many", "limit"),
        ("/api/v1/workflows?cursor=zzz", "cursor"),
        ("/api/v1/traces?workflow_id=7", "workflow_id"),
        ("/api/v1/traces?from=yesterday", "from"),
        ("/api/v1/traces?kind=strange", "kind"),
        ("/api/v1/workflows/execute?status=odd", "status"),
    ];
    for (path, parameter) in cases {
        let reply = me.get(path);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["parameter"], parameter,
            "{path}: {}",
            reply.text
        );
    }
}

#[test]
fn other_media_types_are_refused() {
    let me = app().tenant();
    let reply = me.send(
        Method::POST,
        "/api/v1/workflows",
        &[("content-type", "text/plain")],
        b"{}".to_vec(),
    );
    assert_problem(&reply, 415, "unsupported-media-type");
}

#[test]
fn a_run_request_names_exactly_one_thing_to_run() {
    let me = app().tenant();
    for body in [
        json!({}),
        json!({"workflow_id": "0190c7a0-0000-7000-8000-000000000000", "definition": hello()}),
        json!({"workflow_id": "seven"}),
        json!({"definition": hello(), "version": 1}),
        json!({"definition": hello(), "inputs": [1]}),
    ] {
        assert_problem(
            &me.post("/api/v1/workflows/execute", &body),
            400,
            "invalid-input",
        );
    }
    let nul = me.run(&hello(), json!({"name": "a\u{0}b"}));
    assert_problem(&nul, 400, "invalid-input");
    nothing_is_stored(&me);
}
