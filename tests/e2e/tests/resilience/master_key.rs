//! The master key is rotated under fifty readers and writers, the host is killed in the middle and goes on: no secret
//! is lost, none is unreadable, and no row of the old key is left.

use super::fresh_database;
use e2e::mortal::Mortal;
use e2e::{Tenant, assert_status, database};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SECRETS: usize = 1_500;
const CLIENTS: usize = 50;

fn key(version: u32, byte: &str) -> String {
    format!("{version}:{}", byte.repeat(32))
}

/// Stores `n` secrets with a few writers; the values by id.
fn fill(mortal: &Arc<Mortal>, me: &Tenant, n: usize) -> BTreeMap<String, String> {
    let made = Arc::new(Mutex::new(BTreeMap::new()));
    let next = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (me, made, next, mortal) = (me.clone(), made.clone(), next.clone(), mortal.clone());
            std::thread::spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::SeqCst);
                    if i >= n {
                        return;
                    }
                    let (name, value) = (format!("S_{i}"), format!("value {i}"));
                    let body = json!({"name": name, "value": value});
                    let reply = mortal.insist(|| me.try_post("/api/v1/secrets", &body));
                    assert_status(&reply, 201);
                    let id = reply.json["id"].as_str().unwrap().to_owned();
                    made.lock().unwrap().insert(id, value);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    Arc::try_unwrap(made).unwrap().into_inner().unwrap()
}

fn reveal(mortal: &Mortal, me: &Tenant, id: &str) -> String {
    let path = format!("/api/v1/secrets/{id}/reveal");
    let reply = mortal.insist(|| me.try_post(&path, &json!({})).filter(|r| r.status != 503));
    assert_status(&reply, 200);
    reply.json["value"].as_str().unwrap().to_owned()
}

#[test]
fn no_secret_is_lost_when_the_master_key_is_rotated() {
    let (_, _, url) = fresh_database();
    let (old, new) = (key(1, "11"), key(2, "22"));
    let mortal = Arc::new(Mortal::new(&url, &old));
    mortal.start();
    let me = mortal.tenant();
    assert_status(&me.get("/api/v1/secrets"), 200);
    // Bursts of fifty clients are what is tested here, not the limit.
    database::execute(
        &url,
        "UPDATE public.organizations SET rate_per_minute = 6000000, rate_burst = 100000",
    );
    let values = Arc::new(fill(&mortal, &me, SECRETS));
    mortal.kill();
    mortal.set_master_keys(&format!("{new},{old}"));
    mortal.start();

    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(Mutex::new(BTreeMap::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (mortal, me, values) = (mortal.clone(), me.clone(), values.clone());
            let (stop, written) = (stop.clone(), written.clone());
            std::thread::spawn(move || {
                let own: Vec<&String> = values.keys().skip(client).step_by(CLIENTS).collect();
                for (round, id) in own.iter().cycle().enumerate() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let known = written.lock().unwrap().get(*id).cloned();
                    let want = known.unwrap_or_else(|| values[*id].clone());
                    assert_eq!(reveal(&mortal, &me, id), want);
                    if round % 3 == 0 {
                        let value = format!("written {client} {round}");
                        let path = format!("/api/v1/secrets/{id}/versions");
                        let key = format!("{client}-{round}");
                        let body = json!({"value": value});
                        let headers = [("idempotency-key", key.as_str())];
                        let reply = mortal.insist(|| {
                            me.try_post_with(&path, &headers, &body)
                                .filter(|r| r.status != 503)
                        });
                        assert_status(&reply, 201);
                        written.lock().unwrap().insert((*id).clone(), value);
                    }
                }
            })
        })
        .collect();
    rotate_and_kill(&mortal, &me, &url);
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|c| c.join().unwrap());

    let left = "SELECT count(*)::text FROM public.secret_versions WHERE key_version <> 2";
    assert_eq!(database::text(&url, left).as_deref(), Some("0"));
    // The old key is gone for good; everything opens with the new one alone.
    mortal.kill();
    mortal.set_master_keys(&new);
    mortal.start();
    let written = written.lock().unwrap();
    assert!(!written.is_empty());
    for (id, first) in values.iter() {
        let want = written.get(id).unwrap_or(first);
        assert_eq!(&reveal(&mortal, &me, id), want);
    }
}

/// Rotates; kills the host once some rows are done and some are not; rotates to the end.
fn rotate_and_kill(mortal: &Arc<Mortal>, me: &Tenant, url: &str) {
    let rotation = {
        let me = me.clone();
        std::thread::spawn(move || me.try_post("/api/v1/secrets/rotate-master", &json!({})))
    };
    let old_rows = || -> usize {
        let sql = "SELECT count(*)::text FROM public.secret_versions WHERE key_version = 1";
        database::text(url, sql).unwrap().parse().unwrap()
    };
    while old_rows() == SECRETS && !rotation.is_finished() {
        std::thread::yield_now();
    }
    mortal.kill();
    let _ = rotation.join().unwrap();
    let between = old_rows();
    assert!(between < SECRETS, "the rotation had not begun");
    mortal.start();
    loop {
        let ask = || me.try_post("/api/v1/secrets/rotate-master", &json!({}));
        let reply = mortal.insist(|| ask().filter(|r| r.status != 503));
        assert_status(&reply, 200);
        if reply.json["done"] == true {
            return;
        }
    }
}

/// `nodeai secrets rotate` with these keys: whether it ended well, and what it said.
fn rotate(url: &str, keys: &str) -> (bool, String) {
    let output = std::process::Command::new(e2e::process::binary("nodeai"))
        .current_dir(e2e::process::root())
        .args(["secrets", "rotate", "--quiet", "--database-url", url])
        .env("SPIN_VARIABLE_NODEAI_MASTER_KEYS", keys)
        .output()
        .expect("nodeai runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_operator_rotates_for_all_organisations() {
    let (_, _, url) = fresh_database();
    let (old, new) = (key(1, "11"), key(2, "22"));
    let mortal = Arc::new(Mortal::new(&url, &old));
    mortal.start();
    let mut values = Vec::new();
    for me in [mortal.tenant(), mortal.tenant()] {
        for n in 0..40 {
            let body = json!({"name": format!("S_{n}"), "value": format!("{} {n}", me.user_id)});
            let made = me.post("/api/v1/secrets", &body);
            assert_status(&made, 201);
            values.push((
                me.clone(),
                made.json["id"].as_str().unwrap().to_owned(),
                body["value"].clone(),
            ));
        }
    }
    // Without the old key nothing can be done, and it says so and changes nothing.
    let (well, said) = rotate(&url, &new);
    assert!(
        !well && said.contains("80 data keys could not be re-wrapped"),
        "{said}"
    );
    assert!(said.contains("version 1 is not configured"), "{said}");
    let (well, said) = rotate(&url, "2:abc");
    assert!(!well && said.contains("64 hex digits"), "{said}");
    // One that was tampered with is named; all others are done.
    database::execute(
        &url,
        "UPDATE public.secret_versions SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)
         WHERE id = (SELECT min(id::text)::uuid FROM public.secret_versions)",
    );
    let both = format!("{new},{old}");
    let (well, said) = rotate(&url, &both);
    assert!(
        !well && said.contains("1 data keys could not be re-wrapped"),
        "{said}"
    );
    database::execute(
        &url,
        "UPDATE public.secret_versions SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)
         WHERE key_version = 1",
    );
    let (well, said) = rotate(&url, &both);
    assert!(
        well && said.contains("1 data keys re-wrapped, 0 to go"),
        "{said}"
    );
    let (well, said) = rotate(&url, &both);
    assert!(
        well && said.contains("every data key is wrapped by the master key of version 2"),
        "{said}"
    );
    // The old key may go: the application opens everything with the new one alone.
    mortal.kill();
    mortal.set_master_keys(&new);
    mortal.start();
    for (me, id, value) in values {
        assert_eq!(reveal(&mortal, &me, &id), value.as_str().unwrap());
        let log = me.get("/api/v1/audit-logs?action=vault.master_rotated");
        assert_eq!(log.json["data"][0]["details"]["by"], "operator");
    }
}
