//! Postgres goes away for five seconds under load: 503 with `Retry-After` meanwhile, recovery without a restart, and
//! the spans of requests that ended meanwhile are in the log and come back by `nodeai spans replay`.

use super::definition;
use e2e::app::{Backend, JWT_SECRET, Setup, ready_file, wait_for};
use e2e::cluster::Cluster;
use e2e::process::{Running, binary};
use e2e::project::Project;
use e2e::{Tenant, assert_problem, database, token};
use llm_standin::{Behaviour, StandIn};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

fn tenant(url: &str) -> Tenant {
    let user = uuid::Uuid::now_v7().to_string();
    let token = token::user(&user, None, JWT_SECRET);
    Tenant::new(url, user, token)
}

fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_outage_is_503_and_heals_by_itself() {
    let cluster = Cluster::start();
    let app = Setup::on(Backend::Postgres).start_on(&cluster.url());
    let me = app.tenant();
    assert_eq!(me.get("/api/v1/workflows").status, 200);

    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (me, stop) = (me.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut replies = Vec::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    replies.push(me.get("/api/v1/workflows"));
                }
                replies
            })
        })
        .collect();
    cluster.down();
    let down_since = Instant::now();
    let during = eventually("no 503 came", Duration::from_secs(30), || {
        let reply = me.get("/api/v1/workflows");
        (reply.status == 503).then_some(reply)
    });
    assert_problem(&during, 503, "unavailable");
    assert!(during.header("retry-after").parse::<u64>().is_ok());
    assert_eq!(me.get("/healthz").status, 200);
    while down_since.elapsed() < Duration::from_secs(5) {
        assert_eq!(me.get("/api/v1/workflows").status, 503);
    }
    cluster.up();
    eventually("it did not heal", Duration::from_secs(60), || {
        (me.get("/api/v1/workflows").status == 200).then_some(())
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for reply in load.into_iter().flat_map(|thread| thread.join().unwrap()) {
        match reply.status {
            200 => {}
            _ => assert_problem(&reply, 503, "unavailable"),
        }
    }
}

#[test]
fn spans_of_runs_that_end_meanwhile_are_logged_and_replayed() {
    let cluster = Cluster::start();
    let llm = StandIn::start().unwrap();
    let project = Project::new();
    let ready = ready_file();
    let mut command = project.up(&ready);
    command
        .args(["--database-url", &cluster.url()])
        .env("SPIN_VARIABLE_NODEAI_JWT_SECRET", JWT_SECRET);
    let mut host = Running::start(command);
    let told = wait_for(&ready, &mut host);
    let me = tenant(told["url"].as_str().unwrap());

    // The run is at the model when the database goes; it ends long before the database is back.
    llm.script([Behaviour {
        latency_ms: 1_500,
        ..Behaviour::answer("late")
    }]);
    let body = json!({"definition": definition(&llm.openai()), "inputs": {"q": "?"}});
    let running = {
        let me = me.clone();
        std::thread::spawn(move || me.post("/api/v1/workflows/execute", &body))
    };
    eventually("the model was not asked", Duration::from_secs(60), || {
        (!llm.requests().is_empty()).then_some(())
    });
    cluster.down();
    let reply = running.join().unwrap();
    assert_problem(&reply, 503, "unavailable");
    let trace_id = reply.json["trace_id"].as_str().unwrap().to_owned();

    let log = project.path().join(".nodeai/spans/unflushed.jsonl");
    let logged = eventually(
        "the spans are not in the log",
        Duration::from_secs(60),
        || {
            std::fs::read_to_string(&log)
                .ok()
                .filter(|text| text.contains(&trace_id))
        },
    );
    assert!(!logged.contains("sk-test"));
    cluster.up();
    eventually("it did not heal", Duration::from_secs(60), || {
        (me.get("/api/v1/workflows").status == 200).then_some(())
    });
    assert_eq!(me.get(&format!("/api/v1/traces/{trace_id}")).status, 404);

    let said = replay(&project, &cluster, &log);
    assert!(said.contains('5'), "{said}");
    let trace = me.get(&format!("/api/v1/traces/{trace_id}"));
    assert_eq!(trace.status, 200, "{}", trace.text);
    assert_eq!(
        trace.json["spans"][0]["children"].as_array().unwrap().len(),
        4
    );
    // Twice is once.
    replay(&project, &cluster, &log);
    let count = format!("SELECT count(*)::text FROM public.spans WHERE trace_id = '{trace_id}'");
    assert_eq!(database::text(&cluster.url(), &count).as_deref(), Some("5"));
    assert_ne!(trace.json["trace"], Value::Null);
}

fn replay(project: &Project, cluster: &Cluster, log: &std::path::Path) -> String {
    let output = Command::new(binary("nodeai"))
        .current_dir(project.path())
        .args(["spans", "replay", "--database-url", &cluster.url()])
        .arg(log)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}
