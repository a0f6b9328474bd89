//! kill -9 again and again while events go out to a receiver that fails, redirects, hangs and asks for time: every delivery arrives, under
//! one id, and is tried when its schedule says. `NODEAI_SOAK_DELIVERIES=10000` makes more of them, with a kill every 30 s.

use super::fresh_database;
use super::receiver::Receiver;
use e2e::mortal::Mortal;
use e2e::{Tenant, database};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Webhooks that want each event.
const HOOKS: usize = 20;
/// Clients that cause events at the same time.
const CLIENTS: usize = 3;
/// Time before each attempt, counted from the one before, in seconds: the example of Standard Webhooks 1.0.
const SCHEDULE_S: &str = "{0,5,300,1800,7200,18000,36000,50400,72000,86400}";

/// Deliveries whose next attempt is not when it should be: a tenth earlier or later, and later by what an answer took or asked for.
/// Those that wait for a receiver that has asked for silence are left out: the clock has gone on before, so that a shorter silence
/// than the longest may be what they wait for.
/// The clock then goes on to it.
fn go_on(url: &str) {
    let wrong = format!(
        "SELECT string_agg(format('step %s: %s s', x.step, x.wait), ', ') FROM (
           SELECT d.step, extract(epoch FROM d.next_at - a.at) AS wait, ('{SCHEDULE_S}'::numeric[])[d.step + 1] AS usual
           FROM public.webhook_deliveries d JOIN public.webhook_attempts a ON a.delivery_id = d.id AND a.number = d.attempts
             JOIN public.webhooks w ON w.id = d.webhook_id AND coalesce(w.throttled_until < d.next_at, true)
           WHERE d.status = 'pending' AND d.next_at > clock_timestamp()) x
         WHERE x.wait < 0.899 * x.usual OR x.wait > 1.101 * x.usual + 60"
    );
    assert_eq!(database::text(url, &wrong), None);
    // What somebody else has in hand has its turn the next time: rows are never waited for in another order than theirs.
    database::execute(
        url,
        "UPDATE public.webhook_deliveries SET next_at = clock_timestamp() WHERE id IN (SELECT d.id FROM public.webhook_deliveries d
           WHERE d.status = 'pending' AND d.next_at > clock_timestamp() FOR UPDATE SKIP LOCKED)",
    );
}

fn count(url: &str, condition: &str) -> usize {
    let sql = format!("SELECT count(*)::text FROM public.webhook_deliveries WHERE {condition}");
    database::text(url, &sql).unwrap().parse().unwrap()
}

fn subscribe(mortal: &Mortal, me: &Tenant, receiver: &Receiver) {
    for n in 0..HOOKS {
        let body = json!({"name": format!("hook {n}"), "url": receiver.hook(n), "event_types": ["run.completed"]});
        let made = mortal.insist(|| me.try_post("/api/v1/webhooks", &body));
        assert_eq!(made.status, 201, "{}", made.text);
    }
}

fn document() -> Value {
    json!({"nodes": [{"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"value": "{{ inputs.n }}"}}],
        "edges": [{"id": "a", "source": "in", "target": "out"}]})
}

#[test]
fn every_delivery_arrives_whatever_dies() {
    let wanted = std::env::var("NODEAI_SOAK_DELIVERIES").ok();
    let wanted: usize = wanted.and_then(|n| n.parse().ok()).unwrap_or(240);
    let between = Duration::from_secs(if wanted > 5_000 { 30 } else { 6 });
    let (_, _, url) = fresh_database();
    let mortal = Mortal::new(&url, &format!("1:{}", "ab".repeat(32)));
    mortal.start();
    let (me, receiver) = (mortal.tenant(), Receiver::start());
    subscribe(&mortal, &me, &receiver);

    let (runs, next, ended) = (
        wanted.div_ceil(HOOKS),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let mut kills = 0;
    let deadline =
        Instant::now() + Duration::from_secs(240) + Duration::from_millis(100) * wanted as u32;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= runs {
                        return;
                    }
                    let key = format!("run-{n}");
                    let body = json!({"definition": document(), "inputs": {"n": n}});
                    let headers = [("idempotency-key", key.as_str())];
                    let ask = || me.try_post_with("/api/v1/workflows/execute", &headers, &body);
                    // A run that a dead host had begun is ended by housekeeping, and is an event, too, then.
                    while matches!(mortal.insist(ask).status, 409 | 503 | 504) {}
                }
            });
        }
        // Time goes on beside the hosts that come and go.
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                go_on(&url);
                std::thread::park_timeout(Duration::from_millis(500));
            }
        });
        loop {
            let until = Instant::now() + between;
            let mut open = usize::MAX;
            while open > 0 && Instant::now() < until {
                open = count(&url, "status IN ('pending', 'delivering')");
                open += runs.saturating_sub(next.load(Ordering::SeqCst));
                std::thread::park_timeout(Duration::from_millis(200));
            }
            if (open == 0 && kills >= 3) || Instant::now() > deadline {
                ended.store(true, Ordering::Relaxed);
                break;
            }
            mortal.kill();
            mortal.start();
            kills += 1;
        }
    });
    let all = count(&url, "true");
    assert_eq!(
        count(&url, "status <> 'delivered'"),
        0,
        "of {all}, after {kills} kills"
    );
    assert!(all >= wanted - HOOKS, "only {all} deliveries");
    let came = receiver.came();
    assert_eq!(came.len(), all, "one id for each delivery");
    for (id, came) in &came {
        assert!(came.taken >= 1, "{id} never was taken: {came:?}");
        assert_eq!(came.bodies.len(), 1, "{id} had several bodies");
    }
    assert_eq!(
        receiver.strays(),
        Vec::<String>::new(),
        "redirects are not followed"
    );
    let tried: usize = came.values().map(|came| came.times).sum();
    println!("{all} deliveries, {tried} requests, {kills} kills");
}
