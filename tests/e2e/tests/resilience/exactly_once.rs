//! A thousand requests under fifty idempotency keys, from twenty clients, with the host killed after the answer to one
//! of its statements, again and again: every effect exactly once, and every client ends with the same answer.

use super::fresh_database;
use e2e::mortal::Mortal;
use e2e::proxy::Proxy;
use e2e::{Reply, Tenant, database};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CLIENTS: usize = 20;
const REQUESTS: usize = 1_000;
const KEYS: usize = 50;
const KILLS: usize = 12;

/// Every third key runs, every third issues a key, the others store a workflow.
fn request(n: usize) -> (&'static str, Value) {
    let definition = json!({
        "nodes": [{"id": "in", "type": "input", "data": {}},
            {"id": "out", "type": "output", "data": {"value": format!("answer {n}")}}],
        "edges": [{"id": "a", "source": "in", "target": "out"}],
    });
    match n % 3 {
        0 => (
            "/api/v1/workflows/execute",
            json!({"definition": definition}),
        ),
        1 => (
            "/api/v1/api-keys",
            json!({"name": format!("key {n}"), "scopes": ["workflows:read"]}),
        ),
        _ => (
            "/api/v1/workflows",
            json!({"name": format!("workflow {n}"), "definition": definition}),
        ),
    }
}

/// Asks until there is an answer that is not "still running".
fn ask(mortal: &Mortal, me: &Tenant, n: usize) -> Reply {
    let (path, body) = request(n);
    let key = format!("key-{n}");
    loop {
        let reply = mortal.insist(|| me.try_post_with(path, &[("idempotency-key", &key)], &body));
        // 409: the run was begun by a host that is dead now; housekeeping ends it. 503: the database was cut off. 504: it was
        // so for longer than a request may take.
        if !matches!(reply.status, 409 | 503 | 504) {
            return reply;
        }
        if reply.json["detail"]
            .as_str()
            .is_some_and(|d| d.contains("still running"))
        {
            return reply;
        }
    }
}

#[test]
fn every_effect_happens_once_whatever_dies() {
    let (port, name, url) = fresh_database();
    let proxy = Proxy::to(port);
    let through = format!("postgres://postgres@127.0.0.1:{}/{name}", proxy.port());
    let keys = format!("1:{}", "ab".repeat(32));
    let mortal = Arc::new(Mortal::new(&through, &keys));
    let mut pid = mortal.start();
    let me = mortal.tenant();
    assert_eq!(me.get("/api/v1/workflows").status, 200);

    let next = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(Mutex::new(BTreeMap::<usize, Vec<Reply>>::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mortal, me) = (mortal.clone(), me.clone());
            let (next, answers) = (next.clone(), answers.clone());
            std::thread::spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::SeqCst);
                    if i >= REQUESTS {
                        return;
                    }
                    // Repetitions come close together, so that they meet each other and the kills.
                    let n = (i / CLIENTS) % KEYS;
                    let reply = ask(&mortal, &me, n);
                    answers.lock().unwrap().entry(n).or_default().push(reply);
                }
            })
        })
        .collect();
    for kill in 0..KILLS {
        // From the first statements of a request to the middle of many.
        let killed = proxy.kill_at(1 + 7 * kill as i64 % 31, pid);
        if killed
            .recv_timeout(std::time::Duration::from_secs(30))
            .is_err()
        {
            break; // the clients have ended
        }
        mortal.kill();
        pid = mortal.start();
    }
    for client in clients {
        client.join().unwrap();
    }
    check(&answers.lock().unwrap(), &url);
}

fn check(answers: &BTreeMap<usize, Vec<Reply>>, url: &str) {
    assert_eq!(answers.len(), KEYS);
    assert_eq!(answers.values().map(Vec::len).sum::<usize>(), REQUESTS);
    let mut lost_runs = 0;
    for (n, replies) in answers {
        let whole: Vec<&Reply> = replies.iter().filter(|r| r.status < 300).collect();
        // A run that a dead host had begun is never begun a second time: it says so until housekeeping ends it.
        if n % 3 == 0 && whole.is_empty() {
            lost_runs += 1;
            continue;
        }
        assert!(n % 3 == 0 || whole.len() == replies.len(), "{replies:?}");
        for reply in &whole {
            assert_eq!(reply.json, whole[0].json, "key {n}");
        }
    }
    assert!(
        lost_runs <= KILLS,
        "{lost_runs} runs were lost in {KILLS} kills"
    );
    let count = |sql: &str| database::text(url, sql).unwrap().parse::<usize>().unwrap();
    let of = |kind: usize| (0..KEYS).filter(|n| n % 3 == kind).count();
    let workflows = "SELECT count(*)::text FROM public.workflows";
    assert_eq!(count(workflows), of(2));
    let versions = "SELECT count(*)::text FROM public.workflow_versions";
    assert_eq!(count(versions), of(2));
    let made = "SELECT count(*)::text FROM public.audit_logs WHERE action = 'workflow.created'";
    assert_eq!(count(made), of(2));
    let keys = "SELECT count(*)::text FROM public.api_keys WHERE name LIKE 'key %'";
    assert_eq!(count(keys), of(1));
    let runs = "SELECT count(*)::text FROM public.execution_queue";
    assert_eq!(count(runs), of(0));
    let usage = "SELECT count(*)::text FROM public.usage_logs WHERE kind = 'run'";
    assert_eq!(count(usage), of(0) - lost_runs);
}
