//! kill -9 during 200 concurrent runs: every run that was answered has its whole trace, none is half written, and the
//! embedded database comes up again.

use super::definition;
use e2e::Tenant;
use e2e::app::{ready_file, wait_for};
use e2e::process::Running;
use e2e::project::Project;
use llm_standin::{Behaviour, StandIn};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const RUNS: usize = 200;
/// The host is killed when this many runs have been answered.
const ANSWERED_BEFORE: usize = 60;

fn start(project: &Project) -> (Running, Tenant) {
    let ready = ready_file();
    let mut host = Running::start(project.up(&ready));
    let told = wait_for(&ready, &mut host);
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let tenant = Tenant::new(&text("url"), text("user_id"), text("api_key"));
    (host, tenant)
}

#[test]
fn answered_runs_survive_kill_9() {
    let project = Project::new();
    let llm = StandIn::start().unwrap();
    llm.script((0..RUNS).map(|i| Behaviour {
        latency_ms: (i as u64 * 7) % 400,
        ..Behaviour::answer("yes")
    }));
    let (mut host, me) = start(&project);
    let body = json!({"definition": definition(&llm.openai()), "inputs": {"q": "?"}});

    let answered = Arc::new(Mutex::new(Vec::<Value>::new()));
    let count = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..RUNS)
        .map(|_| {
            let (me, body, answered, count) =
                (me.clone(), body.clone(), answered.clone(), count.clone());
            std::thread::spawn(move || {
                if let Some(json) = run(&me, &body) {
                    answered.lock().unwrap().push(json);
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while count.load(Ordering::SeqCst) < ANSWERED_BEFORE && threads.iter().any(|t| !t.is_finished())
    {
        std::thread::yield_now();
    }
    host.kill();
    for thread in threads {
        thread.join().unwrap();
    }
    let answered = answered.lock().unwrap().clone();
    assert!(
        answered.len() >= ANSWERED_BEFORE,
        "only {} runs were answered",
        answered.len()
    );

    let (_host, me) = start(&project);
    for run in &answered {
        assert_eq!(run["status"], "succeeded", "{run}");
        let trace = me.get(&format!(
            "/api/v1/traces/{}",
            run["trace_id"].as_str().unwrap()
        ));
        assert_eq!(trace.status, 200, "{run} has no trace");
        whole(&trace.json);
    }
    no_trace_is_half_written(&me);
}

/// A run's answer; `None` when the host has died. A busy host says 503 and when to come again.
fn run(me: &Tenant, body: &Value) -> Option<Value> {
    loop {
        let reply = me.try_post("/api/v1/workflows/execute", body)?;
        match reply.status {
            200 if !reply.json.is_null() => return Some(reply.json),
            503 => {
                let seconds = reply.header("retry-after").parse().unwrap_or(1);
                std::thread::park_timeout(Duration::from_secs(seconds));
            }
            _ => return None,
        }
    }
}

fn whole(trace: &Value) {
    let root = &trace["spans"][0];
    let nodes: Vec<&str> = root["children"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|span| span["node_id"].as_str())
        .collect();
    assert_eq!(nodes, ["in", "ask", "fmt", "out"], "{trace}");
    assert_eq!(trace["trace"]["span_count"], 5);
}

/// Also of runs that nobody was told of.
fn no_trace_is_half_written(me: &Tenant) {
    let mut path = "/api/v1/traces?kind=run&limit=200".to_owned();
    loop {
        let page = me.get(&path);
        for row in page.json["data"].as_array().unwrap() {
            let trace = me.get(&format!(
                "/api/v1/traces/{}",
                row["trace_id"].as_str().unwrap()
            ));
            whole(&trace.json);
        }
        match page.json["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/traces?kind=run&limit=200&cursor={cursor}"),
            None => return,
        }
    }
}
