//! Forecasts, health and metrics over what runs have left: numbers that add up, and questions that are refused.

use super::{app, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const FORECAST: &str = "/api/v1/cost-forecast";
const HEALTH: &str = "/api/v1/observability/health";
const METRICS: &str = "/api/v1/metrics/query";

/// Asks the test model: 2 tokens in, 3 out for "Hello, Ada!".
fn echo() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "llm", "data": {"model": "builtin/echo", "prompt": "Hello, {{ inputs.name }}!"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.say.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "say"), ("say", None, "out")])
}

fn runs(me: &Tenant, n: usize) {
    for _ in 0..n {
        assert_status(&me.run(&echo(), json!({"name": "Ada"})), 200);
    }
}

#[test]
fn a_new_tenant_has_no_forecast_and_is_told_why() {
    let me = app().tenant();
    let reply = me.get(&format!("{FORECAST}?horizon=7"));
    assert_status(&reply, 200);
    let total = &reply.json["data"][0];
    assert_eq!(total["method"].as_str().unwrap_or("none"), "none");
    assert!(total["reason"].is_string(), "{}", reply.text);
    for path in ["/accuracy", "/anomalies"] {
        assert_status(&me.get(&format!("{FORECAST}{path}")), 200);
    }
    let what_if = me.post(
        &format!("{FORECAST}/what-if"),
        &json!({"traffic_percent": 20}),
    );
    assert_status(&what_if, 200);
    assert_eq!(what_if.json["difference_usd_micros"], Value::Null);
}

#[test]
fn a_budgets_breach_is_forecast_where_it_can_be() {
    let me = app().tenant();
    let budget = |body: Value| {
        let made = me.post("/api/v1/cost-intelligence/budgets", &body);
        assert_status(&made, 201);
        format!("{FORECAST}/budgets/{}", made.json["id"].as_str().unwrap())
    };
    let usd = json!({"name": "usd", "subject": "organization", "period": "month", "limit_usd_micros": 1_000_000});
    let reply = me.get(&budget(usd));
    assert_status(&reply, 200);
    assert_eq!(reply.json["probability"], Value::Null);
    assert!(reply.json["reason"].is_string());
    let tokens =
        json!({"name": "tokens", "subject": "organization", "period": "day", "limit_tokens": 10});
    assert_problem(&me.get(&budget(tokens)), 422, "does-not-fit");
}

#[test]
fn runs_are_in_health_and_metrics_at_once() {
    let me = app().tenant();
    runs(&me, 3);
    let health = me.get(HEALTH);
    assert_status(&health, 200);
    let count = |data: &Value| -> i64 {
        let rows = data.as_array().unwrap().iter();
        rows.map(|row| row["count"].as_i64().unwrap()).sum()
    };
    assert_eq!(count(&health.json["data"]), 3, "{}", health.text);
    assert_eq!(health.json["data"][0]["success_rate"], 1.0);
    assert!(health.json["data"][0]["p95_ms"].as_f64().unwrap() > 0.0);
    let tokens = me.get(&format!(
        "{METRICS}?measure=prompt_tokens&by=model&step=total"
    ));
    assert_status(&tokens, 200);
    let series = tokens.json["series"].as_array().unwrap();
    let echo = series
        .iter()
        .find(|s| s["key"]["model"].as_str().unwrap().contains("echo"));
    assert_eq!(echo.expect(&tokens.text)["points"][0]["value"], 6.0);
    let slowest = me.get("/api/v1/observability/slowest").json;
    assert!(
        !slowest["data"][0]["sample_trace_ids"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let other = app().tenant();
    assert_eq!(other.get(HEALTH).json["data"], json!([]));
}

#[test]
fn prometheus_reads_what_runs_have_cost() {
    let me = app().tenant();
    runs(&me, 1);
    let reply = me.get("/api/v1/metrics/prometheus");
    assert_status(&reply, 200);
    assert!(
        reply
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        reply.text.contains("# TYPE nodeai_calls_total counter"),
        "{}",
        reply.text
    );
    assert!(
        reply.text.contains("nodeai_completion_tokens_total{"),
        "{}",
        reply.text
    );
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let me = app().tenant();
    for (path, parameter) in [
        (format!("{FORECAST}?horizon=93"), "horizon"),
        (format!("{FORECAST}?workflow_id=x"), "workflow_id"),
        (format!("{FORECAST}/anomalies?threshold=1"), "threshold"),
        (format!("{HEALTH}?from=yesterday"), "from"),
        ("/api/v1/observability/errors?limit=0".to_owned(), "limit"),
        (format!("{METRICS}?measure=calls&by=colour"), "by"),
    ] {
        let reply = me.get(&path);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["parameter"], parameter, "{path}");
    }
    let bad = json!({"swaps": [{"from": "gpt-4o"}]});
    let reply = me.post(&format!("{FORECAST}/what-if"), &bad);
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"][0]["pointer"], "/swaps/0/to");
}

#[test]
fn a_dashboard_is_kept_as_it_was_saved() {
    let me = app().tenant();
    let path = "/api/v1/metrics/dashboards";
    let layout = json!([{"measure": "cost_usd_micros", "by": ["model"], "x": 0}]);
    let made = me.post(path, &json!({"name": "costs", "layout": layout}));
    assert_status(&made, 201);
    let own = format!("{path}/{}", made.json["id"].as_str().unwrap());
    assert_eq!(me.get(&own).json["layout"], layout);
    let changed = me.patch_with(&own, &[("if-match", "\"v1\"")], &json!({"name": "money"}));
    assert_status(&changed, 200);
    assert_eq!(changed.json["layout"], layout);
    let stale = me.patch_with(&own, &[("if-match", "\"v1\"")], &json!({"name": "more"}));
    assert_problem(&stale, 412, "stale-version");
    let bad = me.post(path, &json!({"name": "", "layout": [1]}));
    assert_problem(&bad, 400, "invalid-input");
    assert_eq!(bad.json["errors"][1]["pointer"], "/layout/0");
}

#[test]
fn a_rule_that_fires_has_one_alert_until_it_fires_no_more() {
    let me = app().tenant();
    let rules = "/api/v1/observability/rules";
    let condition =
        json!({"kind": "threshold", "measure": "runs", "op": "<", "value": 1, "window_hours": 1});
    let made = me.post(rules, &json!({"name": "quiet", "condition": condition}));
    assert_status(&made, 201);
    assert_eq!(made.json["kind"], "threshold");
    // The host's schedule may have asked before.
    let ask = || {
        let asked = me.post("/api/v1/observability/evaluate", &json!({})).json;
        assert_eq!(asked["evaluated"], 1, "{asked}");
        let opened = asked["opened"].as_array().map(Vec::len);
        opened.unwrap() as i64 + asked["still_open"].as_i64().unwrap()
    };
    assert_eq!((ask(), ask()), (1, 1));
    let alerts = || me.get("/api/v1/observability/alerts").json["data"].clone();
    assert_eq!(alerts().as_array().map(Vec::len), Some(1));
    runs(&me, 1);
    assert_eq!(ask(), 0);
    assert_eq!(
        (&alerts()[0]["state"], &alerts()[0]["rule_id"]),
        (&json!("resolved"), &made.json["id"])
    );
    let bad = json!({"name": "x", "condition": {"kind": "burn_rate", "objective": 2}});
    let refused = me.post(rules, &bad);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"][0]["pointer"], "/condition/objective");
}
