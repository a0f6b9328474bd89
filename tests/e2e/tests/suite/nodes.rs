//! The node catalogue.

use super::app;
use e2e::{assert_problem, assert_status};

#[test]
fn every_type_has_schemas_and_an_example_that_validates() {
    let me = app().tenant();
    let list = me.get("/api/v1/nodes");
    assert_status(&list, 200);
    let types: Vec<&str> = list.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|n| n["type"].as_str())
        .collect();
    for wanted in [
        "input",
        "output",
        "llm",
        "http",
        "template",
        "condition",
        "transform",
        "merge",
        "code",
    ] {
        assert!(types.contains(&wanted), "{wanted} is missing");
        let one = me.get(&format!("/api/v1/nodes/{wanted}"));
        assert_status(&one, 200);
        for field in [
            "title",
            "description",
            "config_schema",
            "inputs",
            "outputs",
            "example",
        ] {
            assert!(!one.json[field].is_null(), "{wanted} has no {field}");
        }
    }
    assert_problem(&me.get("/api/v1/nodes/teleport"), 404, "not-found");
}
