//! Alert rules as they are asked: what is absent, and what is silenced.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const RULES: &str = "/api/v1/observability/rules";
const ALERTS: &str = "/api/v1/observability/alerts";

/// Makes a rule, and gives its path.
fn rule(me: &Tenant, condition: Value) -> String {
    let made = me.post(RULES, &json!({"name": "r", "condition": condition}));
    assert_status(&made, 201);
    format!("{RULES}/{}", made.json["id"].as_str().unwrap())
}

/// How many alerts asking the rules opens, leaves open and resolves.
fn evaluate(me: &Tenant) -> [usize; 3] {
    let reply = me.post("/api/v1/observability/evaluate", &json!({}));
    assert_status(&reply, 200);
    let count = |name: &str| reply.json[name].as_u64().unwrap() as usize;
    let opened = reply.json["opened"].as_array().unwrap().len();
    [opened, count("still_open"), count("resolved")]
}

fn state(me: &Tenant) -> Vec<Value> {
    let alerts = me.get(ALERTS).json;
    let rows = alerts["data"].as_array().unwrap().iter();
    rows.map(|alert| alert["state"].clone()).collect()
}

#[test]
fn an_absence_fires_until_something_comes() {
    let me = app().tenant();
    let workflow = me.workflow("expected", &hello());
    // Of this workflow alone: runs of others are none of its.
    rule(
        &me,
        json!({"kind": "absence", "of": "runs", "window_hours": 24, "workflow_id": workflow}),
    );
    assert_status(&me.run(&hello(), json!({"name": "other"})), 200);
    assert_eq!(evaluate(&me), [1, 0, 0]);
    assert_eq!(evaluate(&me), [0, 1, 0], "one alert, seen again");
    assert_eq!(state(&me), ["open"]);
    let run = json!({"workflow_id": workflow, "inputs": {"name": "x"}});
    assert_status(&me.post("/api/v1/workflows/execute", &run), 200);
    assert_eq!(evaluate(&me), [0, 0, 1]);
    assert_eq!(evaluate(&me), [0, 0, 0]);
    assert_eq!(state(&me), ["resolved"]);
}

#[test]
fn a_silenced_rule_opens_nothing() {
    let me = app().tenant();
    let path = rule(
        &me,
        json!({"kind": "absence", "of": "calls", "window_hours": 1}),
    );
    let silence = |until: Value| {
        let reply = me.patch(&path, &json!({"silenced_until": until}));
        assert_status(&reply, 200);
        reply.json["silenced_until"].clone()
    };
    let wrong = me.patch(&path, &json!({"silenced_until": "tomorrow"}));
    assert_problem(&wrong, 400, "invalid-input");
    assert_eq!(wrong.json["errors"][0]["pointer"], "/silenced_until");

    assert!(silence(json!("2999-01-01T00:00:00Z")).is_string());
    assert_eq!(evaluate(&me), [0, 0, 0]);
    assert_eq!(state(&me), Vec::<Value>::new());
    // A silence that is over, and one that is taken back.
    silence(json!("2020-01-01T00:00:00Z"));
    assert_eq!(evaluate(&me), [1, 0, 0]);
    // What is open stays so, and is not opened a second time.
    silence(json!("2999-01-01T00:00:00Z"));
    assert_eq!(evaluate(&me), [0, 1, 0]);
    assert_eq!(silence(Value::Null), Value::Null);
    assert_eq!(evaluate(&me), [0, 1, 0]);
    assert_eq!(state(&me), ["open"]);
}
