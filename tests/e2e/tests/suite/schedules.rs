//! Schedules: what comes when, what runs once it has come, and what does not.

use super::{app, documents::hello, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SCHEDULES: &str = "/api/v1/workflows/execute/schedules";

/// Makes a schedule of a workflow that greets; once a year, so that nothing comes by itself.
fn schedule(me: &Tenant, more: Value) -> Value {
    let mut body = json!({"name": "s", "cron": "0 0 1 1 *", "inputs": {"name": "Ada"}});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    if body["workflow_id"].is_null() {
        body["workflow_id"] = json!(me.workflow("scheduled", &hello()));
    }
    let made = me.post(SCHEDULES, &body);
    assert_status(&made, 201);
    assert_eq!(made.header("location"), place(&made.json));
    made.json
}

fn place(schedule: &Value) -> String {
    format!("{SCHEDULES}/{}", schedule["id"].as_str().unwrap())
}

/// The clock goes on: the schedule's next instant was `ago`, such as `3 days`. `None` where the database is not known here.
fn comes(schedule: &Value, ago: &str) -> Option<()> {
    let id = schedule["id"].as_str().unwrap();
    let at = format!("date_trunc('minute', now()) - interval '{ago}'");
    app().owner(&format!(
        "UPDATE public.schedules SET next_scheduled_at = {at}, next_at = {at} WHERE id = '{id}'"
    ))
}

fn drain(me: &Tenant) {
    assert_status(&me.post(&format!("{SCHEDULES}/drain"), &json!({})), 200);
}

/// What became of its instants, once it is as wanted.
fn firings(me: &Tenant, schedule: &Value, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let listed = me.get(&format!("{}/firings", place(schedule)));
        assert_status(&listed, 200);
        let found = listed.json["data"].as_array().unwrap().clone();
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{}", listed.text);
        // On a host without a ticker somebody has to come.
        drain(me);
        let runs = me.post("/api/v1/workflows/execute/drain", &json!({}));
        assert_status(&runs, 200);
    }
}

fn outcomes(firings: &[Value]) -> Vec<&str> {
    let mut all: Vec<_> = firings
        .iter()
        .filter_map(|f| f["outcome"].as_str())
        .collect();
    all.sort_unstable();
    all
}

fn ended(firing: &Value) -> bool {
    matches!(firing["status"].as_str(), Some("succeeded" | "failed"))
}

#[test]
fn an_expression_shows_what_comes_over_a_change_of_clocks() {
    let me = app().tenant();
    let ask = |body: Value| me.post(&format!("{SCHEDULES}/preview"), &body);
    let body = json!({"cron": "30 2 * * *", "time_zone": "America/New_York", "from": "2026-03-07T12:00:00Z", "count": 2});
    let shown = ask(body);
    assert_status(&shown, 200);
    let want = json!([
        {"at": "2026-03-08T07:00:00+00:00", "local": "2026-03-08T03:00:00-04:00"},
        {"at": "2026-03-09T06:30:00+00:00", "local": "2026-03-09T02:30:00-04:00"},
    ]);
    assert_eq!(shown.json["data"], want);
    let body = json!({"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "from": "2026-10-24T12:00:00Z", "count": 2});
    let instants = ask(body).json;
    assert_eq!(instants["data"][0]["at"], "2026-10-25T00:30:00+00:00");
    assert_eq!(instants["data"][1]["at"], "2026-10-26T01:30:00+00:00");
    for (body, pointer) in [
        (json!({"cron": "61 * * * *"}), "/cron"),
        (json!({"cron": "0 0 30 2 *"}), "/cron"),
        (
            json!({"cron": "* * * * *", "time_zone": "Mars/Olympus"}),
            "/time_zone",
        ),
        (json!({"cron": "* * * * *", "count": 101}), "/count"),
    ] {
        let refused = ask(body);
        assert_problem(&refused, 400, "invalid-input");
        assert_eq!(
            refused.json["errors"][0]["pointer"], pointer,
            "{}",
            refused.text
        );
    }
}

#[test]
fn what_has_come_runs_once_whoever_looks() {
    let me = app().tenant();
    let made = schedule(&me, json!({"time_zone": "Europe/Berlin"}));
    let next = me.get(&format!("{}/next?count=2", place(&made)));
    assert_status(&next, 200);
    assert_eq!(next.json["data"][0]["at"], made["next_scheduled_at"]);
    if comes(&made, "0 minutes").is_none() {
        return; // the database is not known here, and a year is longer than a test
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drain(&me));
        }
    });
    let fired = firings(&me, &made, |all| all.iter().any(ended));
    assert_eq!(outcomes(&fired), ["started"]);
    let run = me.get(&format!(
        "/api/v1/workflows/execute/{}",
        fired[0]["execution_id"].as_str().unwrap()
    ));
    assert_eq!(run.json["outputs"]["out"], "Hello, Ada!", "{}", run.text);
    let now = me.get(&place(&made)).json;
    assert_eq!(now["last_execution_id"], fired[0]["execution_id"]);
    assert_eq!((&now["failures"], &now["version"]), (&json!(0), &json!(1)));
    assert_eq!(now["next_scheduled_at"], made["next_scheduled_at"]);
    // The same instant once more, as after a crash between the two: the run is the first one.
    let (id, instant) = (
        made["id"].as_str().unwrap(),
        fired[0]["scheduled_at"].as_str().unwrap(),
    );
    app().owner(&format!(
        "UPDATE public.schedules SET next_scheduled_at = '{instant}', next_at = '{instant}' WHERE id = '{id}'"
    ));
    let fired = firings(&me, &made, |all| all.len() == 2);
    assert_eq!(outcomes(&fired), ["repeated", "started"]);
    assert_eq!(fired[0]["execution_id"], fired[1]["execution_id"]);
}

#[test]
fn what_was_missed_goes_by_the_policy() {
    let me = app().tenant();
    let hourly = |missed: &str| schedule(&me, json!({"cron": "0 * * * *", "missed": missed}));
    let (skip, once, all) = (hourly("skip"), hourly("run_once"), hourly("run_all"));
    for schedule in [&skip, &once, &all] {
        // At half past nothing comes by itself; whatever the time is now, two or three hours were missed.
        if comes(schedule, "170 minutes").is_none() {
            return;
        }
    }
    let missed = |firings: &[Value]| -> i64 {
        let missed = firings.iter().filter(|f| f["outcome"] == "missed");
        missed.filter_map(|f| f["count"].as_i64()).sum()
    };
    let started = |firings: &[Value]| firings.iter().filter(|f| f["outcome"] == "started").count();
    let some = |all: &[Value]| !all.is_empty();
    let (skip, once, all) = (
        firings(&me, &skip, some),
        firings(&me, &once, some),
        firings(&me, &all, some),
    );
    assert_eq!(started(&once), 1, "{once:?}");
    assert!(missed(&once) >= 1, "{once:?}");
    assert!(started(&skip) <= 1 && missed(&skip) >= 2, "{skip:?}");
    assert!(started(&all) >= 2 && missed(&all) == 0, "{all:?}");
}

#[test]
fn a_run_that_has_not_ended_keeps_the_next_one_back_when_that_is_said() {
    let me = app().tenant();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "wait", "data": {"approval": {"title": "Go?"}, "expires_ms": 600_000}},
        {"id": "yes", "type": "output", "data": {"value": "yes"}},
    ]);
    let waits = graph(
        nodes,
        &[("in", None, "ask"), ("ask", Some("approved"), "yes")],
    );
    let workflow = me.workflow("waits", &waits);
    let made = schedule(&me, json!({"workflow_id": workflow, "overlap": "skip"}));
    if comes(&made, "1 minute").is_none() {
        return;
    }
    firings(&me, &made, |all| all.len() == 1);
    comes(&made, "0 minutes");
    let fired = firings(&me, &made, |all| all.len() == 2);
    assert_eq!(outcomes(&fired), ["overlapped", "started"]);
}

#[test]
fn failures_in_a_row_are_counted() {
    let me = app().tenant();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "get", "type": "http", "data": {"url": "http://169.254.169.254/", "method": "GET"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.get.output.status }}"}},
    ]);
    let fails = graph(nodes, &[("in", None, "get"), ("get", None, "out")]);
    let workflow = me.workflow("fails", &fails);
    let made = schedule(&me, json!({"workflow_id": workflow}));
    for n in 1..=2 {
        if comes(&made, &format!("{} minutes", 3 - n)).is_none() {
            return;
        }
        firings(&me, &made, |all| all.len() == n && all.iter().all(ended));
        assert_eq!(me.get(&place(&made)).json["failures"], json!(n));
    }
}

#[test]
fn what_is_paused_stands_still_and_goes_on_from_now() {
    let me = app().tenant();
    let made = schedule(&me, json!({"cron": "0 0 1 1 *"}));
    let paused = me.patch_with(
        &place(&made),
        &[("if-match", "\"v1\"")],
        &json!({"paused": true}),
    );
    assert_status(&paused, 200);
    assert_eq!(paused.header("etag"), "\"v2\"");
    let stale = me.patch_with(
        &place(&made),
        &[("if-match", "\"v1\"")],
        &json!({"paused": false}),
    );
    assert_problem(&stale, 412, "stale-version");
    assert_eq!(
        me.get(&format!("{}/next", place(&made))).json["data"],
        json!([])
    );
    assert_eq!(me.get(&place(&made)).json["next_scheduled_at"], Value::Null);
    comes(&made, "1 minute");
    drain(&me);
    let none = me.get(&format!("{}/firings", place(&made))).json;
    assert_eq!(none["data"], json!([]));
    let changed = json!({"paused": false, "cron": "0 9 * * *", "time_zone": "Asia/Tokyo"});
    assert_status(&me.patch(&place(&made), &changed), 200);
    drain(&me);
    let now = me.get(&place(&made)).json;
    assert!(
        now["next_scheduled_at"]
            .as_str()
            .unwrap()
            .contains("T00:00:00"),
        "{now}"
    );
    assert_eq!(
        me.get(&format!("{}/firings", place(&made))).json["data"],
        json!([])
    );
    let listed = me.get(&format!("{SCHEDULES}?paused=false")).json;
    assert_eq!(listed["data"][0]["id"], made["id"]);
    assert_eq!(
        me.get(&format!("{SCHEDULES}?paused=true")).json["data"],
        json!([])
    );
    assert_status(&me.delete(&place(&made)), 204);
    assert_problem(&me.get(&place(&made)), 404, "not-found");
}

#[test]
fn a_schedule_whose_owner_may_not_run_it_any_more_is_paused() {
    let me = app().tenant();
    let scopes = json!(["schedules:write", "workflows:run", "workflows:write"]);
    let key = me
        .post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}))
        .json;
    let maker = app().with_credential(key["key"].as_str().unwrap());
    let made = schedule(&maker, json!({}));
    assert_status(
        &me.delete(&format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap())),
        204,
    );
    if comes(&made, "0 minutes").is_none() {
        return;
    }
    let fired = firings(&me, &made, |all| !all.is_empty());
    assert_eq!(outcomes(&fired), ["owner_gone"]);
    let now = me.get(&place(&made)).json;
    assert_eq!(now["paused"], true);
    assert!(
        now["paused_reason"].as_str().unwrap().contains("owner"),
        "{now}"
    );
    let log = me.get("/api/v1/audit-logs?action=schedule.refused").json;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1), "{log}");
    let resumed = me.patch(&place(&made), &json!({"paused": false}));
    assert_eq!(
        (&resumed.json["owner_id"], &resumed.json["owner_key_id"]),
        (&json!(me.user_id), &Value::Null)
    );
    // Who may not run workflows has nobody else run them.
    let writes = json!({"name": "k2", "scopes": ["schedules:write"]});
    let key = me.post("/api/v1/api-keys", &writes).json;
    let writer = app().with_credential(key["key"].as_str().unwrap());
    let body = json!({"name": "s", "cron": "@daily", "workflow_id": now["workflow_id"]});
    assert_problem(&writer.post(SCHEDULES, &body), 403, "forbidden");
}

#[test]
fn the_operators_token_drains_everything_and_no_other_does() {
    let Some(operator) = app().operator() else {
        return; // the token of an application that was not started here is not known
    };
    for path in [
        "/api/v1/webhooks/drain",
        "/api/v1/workflows/execute/drain",
        "/api/v1/workflows/execute/schedules/drain",
    ] {
        let drained = operator.post(path, &json!({"most": 1, "time_ms": 0}));
        assert_status(&drained, 200);
        assert!(["nothing", "busy", "more"].contains(&drained.json["left"].as_str().unwrap()));
        let nearly = format!("{}x", operator.credential);
        for wrong in ["", "a-drain-token-of-the-test", nearly.as_str(), "x"] {
            let refused = app().with_credential(wrong).post(path, &json!({}));
            assert_problem(&refused, 401, "unauthenticated");
        }
        let refused = operator.post(path, &json!({"most": 0}));
        assert_problem(&refused, 400, "invalid-input");
    }
    // It opens nothing else.
    for path in ["/api/v1/webhooks", "/api/v1/workflows", SCHEDULES] {
        assert_problem(&operator.get(path), 401, "unauthenticated");
    }
}
