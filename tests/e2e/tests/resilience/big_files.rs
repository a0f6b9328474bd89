//! A big file goes up through the official tus client, which is cut off three times, into each store: it arrives whole, and the host
//! does not grow with it. `NODEAI_SOAK_FILE_MB=200` makes it bigger.

use e2e::app::Setup;
use e2e::{App, Backend, filestores};
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// By how much the host may grow, bytes, however big the file is.
const GROWTH: u64 = 32 << 20;

fn uploads(app: &App, store: &str) {
    let megabytes = std::env::var("NODEAI_SOAK_FILE_MB").ok();
    let size = megabytes.and_then(|n| n.parse().ok()).unwrap_or(24_u64) << 20;
    let me = app.tenant();
    let endpoint = format!("{}/api/v1/files/uploads", app.url);
    // What one file takes, whatever its size, is there before it is looked at: instances, as many as are cut off, connections, buffers.
    filestores::upload(&endpoint, &me.credential, 24 << 20, 3);
    let before = app.host_memory().unwrap();
    let (ended, most) = (AtomicBool::new(false), AtomicU64::new(before));
    let said: Value = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(app.host_memory().unwrap_or(0), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let said = filestores::upload(&endpoint, &me.credential, size, 3);
        ended.store(true, Ordering::Relaxed);
        said
    });
    let grown = most.load(Ordering::Relaxed).saturating_sub(before);
    let id = said["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let file = me.get(&format!("/api/v1/files/{id}")).json;
    assert_eq!(
        (&file["sha256"], &file["size_bytes"]),
        (&said["sha256"], &size.into()),
        "{store}"
    );
    let path = format!("/api/v1/files/{id}/content");
    let content = me.send(Method::GET, &path, &[], Vec::new());
    let digest: String = Sha256::digest(&content.bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(said["sha256"], digest.as_str(), "{store}");
    println!(
        "{store}: {size} bytes, resumed {}, the host grew by {} KiB",
        said["resumed"],
        grown >> 10
    );
    assert!(grown < GROWTH, "{store}: the host grew by {grown} bytes");
}

#[test]
fn a_big_file_arrives_whole_in_every_store_and_the_host_does_not_grow_with_it() {
    uploads(&Setup::on(Backend::Postgres).start(), "postgres");
    let s3 = filestores::S3::start();
    let app = Setup::on(Backend::Postgres).with(s3.variables()).start();
    uploads(&app, "s3");
    let app = Setup::on(Backend::Postgres)
        .storing_files_in_supabase()
        .start();
    uploads(&app, "supabase");
}
