//! kill -9 at random under a load of queued runs: every run that was accepted ends well, and whatever was sent more than
//! once was sent with the same idempotency key. `NODEAI_SOAK_SECONDS` makes it longer than a minute's work.

use e2e::Tenant;
use e2e::app::{ready_file, wait_for};
use e2e::process::Running;
use e2e::project::Project;
use llm_standin::StandIn;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

/// Clients that enqueue at the same time.
const CLIENTS: usize = 4;
/// How long accepted runs may take to end once hosts live on.
const SETTLING: Duration = Duration::from_secs(120);

fn start(project: &Project) -> (Running, Tenant) {
    let ready = ready_file();
    let mut host = Running::start(project.up(&ready));
    let told = wait_for(&ready, &mut host);
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let tenant = Tenant::new(&text("url"), text("user_id"), text("api_key"));
    (host, tenant)
}

/// Two calls one after the other and two beside them, joined.
fn definition(llm: &str) -> Value {
    let ask = |id: &str| {
        json!({"id": id, "type": "llm", "data": {"model": "openai/latency-150", "base_url": llm, "api_key": "sk-test",
            "prompt": format!("{id} of {{{{ inputs.n }}}}")}})
    };
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}}, ask("a"), ask("b"), ask("c"), ask("d"),
        {"id": "all", "type": "merge", "data": {"mode": "array"}},
        {"id": "out", "type": "output", "data": {"value": "{{ inputs.n }}"}},
    ]);
    let edge = |source: &str, target: &str| json!({"id": format!("{source}{target}"), "source": source, "target": target});
    let edges = [
        edge("in", "a"),
        edge("a", "b"),
        edge("in", "c"),
        edge("in", "d"),
        edge("b", "all"),
        edge("c", "all"),
        edge("d", "all"),
        edge("all", "out"),
    ];
    json!({"nodes": nodes, "edges": edges})
}

#[test]
fn accepted_runs_end_whatever_dies() {
    let seconds = std::env::var("NODEAI_SOAK_SECONDS").ok();
    let load = Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(40));
    let project = Project::new();
    let llm = StandIn::start().unwrap();
    let definition = definition(&llm.openai());
    let (host, me) = start(&project);
    let (host, me) = (Mutex::new(host), RwLock::new(me));
    let accepted = Mutex::new(Vec::<(usize, String)>::new());
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut kills = 0;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let body = json!({"definition": definition, "inputs": {"n": n}, "async": true});
                    let caller = me.read().unwrap().clone();
                    let reply = caller.try_post("/api/v1/workflows/execute", &body);
                    if let Some(reply) = reply.filter(|reply| reply.status == 202)
                        && let Some(id) = reply.json["execution_id"].as_str()
                    {
                        accepted.lock().unwrap().push((n, id.to_owned()));
                    }
                    // A load, not a flood: what is accepted has to end on this machine.
                    std::thread::park_timeout(Duration::from_millis(250));
                }
            });
        }
        let until = Instant::now() + load;
        let mut random = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while Instant::now() < until {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::park_timeout(Duration::from_millis(1_500 + random % 6_000));
            host.lock().unwrap().kill();
            kills += 1;
            let (again, caller) = start(&project);
            *host.lock().unwrap() = again;
            *me.write().unwrap() = caller;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (accepted, me) = (accepted.into_inner().unwrap(), me.into_inner().unwrap());
    assert!(kills >= 3, "the host was killed {kills} times only");
    assert!(
        accepted.len() > 20,
        "only {} runs were accepted",
        accepted.len()
    );
    // A longer load leaves more behind that has yet to be done.
    let deadline = Instant::now() + SETTLING + load;
    for (n, id) in &accepted {
        ends_well(&me, *n, id, deadline);
    }
    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    for request in llm.requests() {
        let prompt = request.body["messages"].to_string();
        let key = request.headers["idempotency-key"]
            .as_str()
            .unwrap()
            .to_owned();
        keys.entry(prompt).or_default().insert(key);
    }
    let torn: Vec<_> = keys.iter().filter(|(_, keys)| keys.len() != 1).collect();
    // A request that was refused or not answered may have left a run too, with keys of its own.
    let known: BTreeSet<String> = accepted.iter().map(|(n, _)| format!(" of {n}\"")).collect();
    let torn = torn
        .iter()
        .filter(|(prompt, _)| known.iter().any(|n| prompt.contains(n)));
    assert_eq!(torn.count(), 0, "{keys:?}");
}

fn ends_well(me: &Tenant, n: usize, id: &str, deadline: Instant) {
    loop {
        let run = me.get(&format!("/api/v1/workflows/execute/{id}"));
        if !run.json["finished_at"].is_null() {
            assert_eq!(run.json["status"], "succeeded", "{}", run.text);
            assert_eq!(run.json["outputs"]["out"], json!(n), "{}", run.text);
            let trace = run.json["trace_id"].as_str().unwrap();
            let trace = me.get(&format!("/api/v1/traces/{trace}"));
            // Whoever asks too often is told to come back.
            if trace.status != 429 {
                assert_eq!(trace.status, 200, "{} has no trace", run.text);
                return;
            }
        }
        assert!(Instant::now() < deadline, "it has not ended: {}", run.text);
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
