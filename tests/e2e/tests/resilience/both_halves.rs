//! A search by words and by vectors looks for both at the same time: neither half waits for the other.

use super::fresh_database;
use e2e::mortal::Mortal;
use e2e::{assert_status, database};
use serde_json::json;
use std::time::{Duration, Instant};

/// Keeps both halves from what they read until both wait for it, each over a connection of its own.
const UNTIL_BOTH_WAIT: &str = "BEGIN;
    LOCK TABLE public.term_stats, nodeai.chunk_codes IN ACCESS EXCLUSIVE MODE;
    DO $$
    DECLARE
      until timestamptz := clock_timestamp() + interval '60 s';
    BEGIN
      LOOP
        PERFORM pg_catalog.pg_stat_clear_snapshot();
        EXIT WHEN (SELECT count(DISTINCT l.pid) FILTER (WHERE l.relation = 'public.term_stats'::regclass) = 1
            AND count(DISTINCT l.pid) FILTER (WHERE l.relation = 'nodeai.chunk_codes'::regclass) = 1
            AND count(DISTINCT l.pid) = 2 FROM pg_catalog.pg_locks l WHERE NOT l.granted);
        IF clock_timestamp() > until THEN
          RAISE EXCEPTION 'one half waits for the other';
        END IF;
        PERFORM pg_catalog.pg_sleep(0.01);
      END LOOP;
    END $$;
    COMMIT";
const HELD: &str = "SELECT (EXISTS (SELECT FROM pg_catalog.pg_locks l
    WHERE l.relation = 'nodeai.chunk_codes'::regclass AND l.granted AND l.mode = 'AccessExclusiveLock'))::text";

/// Until a query says `wanted`.
fn until(url: &str, sql: &str, wanted: &str) {
    let begun = Instant::now();
    while database::text(url, sql).as_deref() != Some(wanted) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{sql}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn words_and_vectors_are_looked_for_at_the_same_time() {
    let (_, _, url) = fresh_database();
    let mortal = Mortal::new(&url, &format!("1:{}", "ab".repeat(32)));
    mortal.start();
    let me = mortal.tenant();
    let settings = json!({"embedding": {"model": "builtin/hash", "dimensions": 64}});
    let made = me.post(
        "/api/v1/knowledge-base",
        &json!({"name": "k", "settings": settings}),
    );
    assert_status(&made, 201);
    let base = made.header("location").to_owned();
    let whales =
        json!({"documents": [{"title": "whales", "text": "Whales sing in the deep sea."}]});
    assert_status(&me.post(&format!("{base}/documents"), &whales), 202);
    let waiting = "SELECT count(*)::text FROM public.documents WHERE status <> 'ready'";
    until(&url, waiting, "0");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| database::execute(&url, UNTIL_BOTH_WAIT));
        until(&url, HELD, "true");
        let body = json!({"query": "whales", "mode": "hybrid"});
        let found = me.post(&format!("{base}/search"), &body);
        held.join().expect("both waited at the same time");
        assert_status(&found, 200);
        assert_eq!(found.json["results"][0]["title"], "whales");
    });
}
