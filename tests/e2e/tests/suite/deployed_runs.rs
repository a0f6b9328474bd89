//! What the runs of a deployment leave: statistics, and what each ran with.

use super::app;
use super::deployments::{DEPLOYMENTS, deploy, invoke, path_of, said, saying};
use e2e::client::events;
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

#[test]
fn failures_are_counted_and_a_retry_is_no_second_run() {
    let me = app().tenant();
    let workflow = me.workflow("fails", &saying("{{ inputs.name.first }}"));
    let made = deploy(&me, &workflow, "fails", json!({}));
    let path = format!("{DEPLOYMENTS}/fails/invoke");
    assert_eq!(me.post(&path, &json!({})).json["status"], "failed");
    let body = json!({"inputs": {"name": {"first": "Ada"}}});
    let once = [("idempotency-key", "once")];
    let first = me.post_with(&path, &once, &body);
    assert_eq!(said(&first), "Ada");
    let again = me.post_with(&path, &once, &body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json["execution_id"], first.json["execution_id"]);
    let elsewhere = me.post_with(&format!("{path}?environment=prod"), &once, &body);
    assert_problem(&elsewhere, 422, "idempotency-key-reused");
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let last = events(&me.post(&path, &streamed).text).pop().unwrap();
    assert_eq!(last.0, "run_finished");
    assert_eq!(last.1["outputs"]["out"], "Ada");

    let stats = me.get(&format!("{}/stats", path_of(&made))).json;
    let total = &stats["total"];
    assert_eq!(
        (&total["runs"], &total["succeeded"], &total["failed"]),
        (&json!(3), &json!(2), &json!(1)),
        "{stats}"
    );
    let rate = total["error_rate"].as_f64().unwrap();
    assert!((rate - 1.0 / 3.0).abs() < 1e-9, "{rate}");
    assert!(total["p95_ms"].as_f64() >= total["p50_ms"].as_f64());
    let before = format!("{}/stats?to=2020-01-01T00:00:00Z", path_of(&made));
    let none = me.get(&before).json;
    assert_eq!(
        (&none["total"]["runs"], &none["versions"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(none["from"], "2019-12-31T00:00:00+00:00");
}

#[test]
fn a_run_says_what_it_ran_with() {
    let me = app().tenant();
    let mut definition = saying("{{ vars.greeting }} {{ vars.mark }}");
    definition["vars"] = json!({"greeting": "Hi", "mark": "."});
    let workflow = me.workflow("w", &definition);
    let made = deploy(&me, &workflow, "kept", json!({"variables": {"mark": "!"}}));
    let first = invoke(&me, "kept");
    assert_eq!(said(&first), "Hi !");
    let patch = json!({"variables": {"mark": "?"}});
    assert_status(&me.patch(&path_of(&made), &patch), 200);
    assert_eq!(said(&invoke(&me, "kept")), "Hi ?");
    me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow}),
    );
    let run = first.json["execution_id"].as_str().unwrap();
    let run = me.get(&format!("/api/v1/workflows/execute/{run}")).json;
    assert_eq!(run["variables"], json!({"greeting": "Hi", "mark": "!"}));
    let kept = (
        &run["deployment_id"],
        &run["deployment_version"],
        &run["environment"],
    );
    assert_eq!(kept, (&made["id"], &json!(1), &json!("prod")));
    let id = made["id"].as_str().unwrap();
    let list = me
        .get(&format!("/api/v1/workflows/execute?deployment_id={id}"))
        .json;
    let versions: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["deployment_version"])
        .collect();
    assert_eq!(versions, [&json!(2), &json!(1)]);
    let bad = me.get("/api/v1/workflows/execute?deployment_id=7");
    assert_problem(&bad, 400, "invalid-input");
}
