//! Objectives: their rules, and what their status counts.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/observability/slos";

fn objective(more: Value) -> Value {
    let mut slo =
        json!({"name": "runs", "objective": 0.75, "window_days": 7, "indicator": "success"});
    let members = more.as_object().unwrap().clone();
    slo.as_object_mut().unwrap().extend(members);
    slo
}

fn made(me: &Tenant, more: Value) -> String {
    let reply = me.post(PATH, &objective(more));
    assert_status(&reply, 201);
    format!("{PATH}/{}", reply.json["id"].as_str().unwrap())
}

/// A workflow that ends with an error.
fn failing() -> Value {
    json!({
        "nodes": [{"id": "in", "type": "input", "data": {}}, {"id": "no", "type": "stop", "data": {"message": "no"}},
            {"id": "out", "type": "output", "data": {"value": 1}}],
        "edges": [{"id": "a", "source": "in", "target": "no"}, {"id": "b", "source": "no", "target": "out"}],
    })
}

fn run(me: &Tenant, workflow: &str) {
    let body = json!({"workflow_id": workflow, "inputs": {"name": "Ada"}});
    let reply = me.post("/api/v1/workflows/execute", &body);
    assert!(reply.status < 500, "{}", reply.text);
}

#[test]
fn an_objective_is_made_changed_and_removed() {
    let me = app().tenant();
    let path = made(&me, json!({"indicator": "latency", "threshold_ms": 500}));
    let got = me.get(&path);
    assert_eq!(
        (&got.json["objective"], &got.json["threshold_ms"]),
        (&json!(0.75), &json!(500))
    );
    let changed = me.patch(&path, &json!({"objective": 0.999, "threshold_ms": 800}));
    assert_status(&changed, 200);
    assert_eq!(
        (&changed.json["objective"], &changed.json["version"]),
        (&json!(0.999), &json!(2))
    );
    let stale = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"name": "x"}));
    assert_problem(&stale, 412, "stale-version");
    assert_eq!(me.get(PATH).json["data"].as_array().unwrap().len(), 1);
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&format!("{path}/status")), 404, "not-found");
}

#[test]
fn what_is_no_objective_is_said() {
    let me = app().tenant();
    for (more, pointer) in [
        (json!({"objective": 1}), "/objective"),
        (json!({"objective": 0.4}), "/objective"),
        (json!({"window_days": 91}), "/window_days"),
        (json!({"indicator": "latency"}), "/threshold_ms"),
        (json!({"threshold_ms": 5}), "/threshold_ms"),
        (json!({"workflow_id": "x"}), "/workflow_id"),
        (json!({"name": ""}), "/name"),
    ] {
        let reply = me.post(PATH, &objective(more));
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
    // A threshold is for latencies; the row keeps that rule too.
    let path = made(&me, json!({}));
    let reply = me.patch(&path, &json!({"threshold_ms": 5}));
    assert!((400..500).contains(&reply.status), "{}", reply.text);
}

#[test]
fn a_status_counts_runs_and_their_budget() {
    let me = app().tenant();
    let good = me.workflow("good", &hello());
    let bad = me.workflow("bad", &failing());
    let (all, of_good) = (
        made(&me, json!({})),
        made(&me, json!({"workflow_id": good})),
    );
    let empty = me.get(&format!("{all}/status")).json;
    assert_eq!(
        (
            &empty["total"],
            &empty["attainment"],
            &empty["burn_rates"]["1h"]
        ),
        (&json!(0), &Value::Null, &Value::Null)
    );
    assert_eq!(empty["error_budget_remaining"], 1.0);
    for workflow in [&good, &good, &good, &bad] {
        run(&me, workflow);
    }
    let status = me.get(&format!("{all}/status")).json;
    assert_eq!((&status["total"], &status["good"]), (&json!(4), &json!(3)));
    assert_eq!(status["attainment"], 0.75);
    assert_eq!(status["error_budget_remaining"], 0.0);
    for window in ["1h", "6h", "3d"] {
        assert_eq!(status["burn_rates"][window], 1.0, "{window}");
    }
    let one = me.get(&format!("{of_good}/status")).json;
    assert_eq!((&one["total"], &one["good"]), (&json!(3), &json!(3)));
    assert_eq!(one["exhausts_at"], Value::Null);
    // Whatever they took, a day was enough; a millisecond may not have been.
    let slow = made(
        &me,
        json!({"indicator": "latency", "threshold_ms": 86_400_000}),
    );
    let status = me.get(&format!("{slow}/status")).json;
    assert_eq!((&status["total"], &status["good"]), (&json!(4), &json!(4)));
}

#[test]
fn another_tenants_workflow_has_no_objective_here() {
    let (me, other) = (app().tenant(), app().tenant());
    let theirs = other.workflow("theirs", &hello());
    let reply = me.post(PATH, &objective(json!({"workflow_id": theirs})));
    assert!((400..500).contains(&reply.status), "{}", reply.text);
    let path = made(&other, json!({"workflow_id": theirs}));
    assert_problem(&me.get(&format!("{path}/status")), 404, "not-found");
}
