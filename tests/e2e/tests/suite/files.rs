//! Files: uploads of every kind, downloads, links, quotas, documents, other stores.

mod documents;
mod downloads;
mod links;
mod quotas;
mod resumed;
mod stores;
mod uploads;

use e2e::{Reply, Tenant, assert_status};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const FILES: &str = "/api/v1/files";

/// Uploads `content` as a raw body.
fn upload(me: &Tenant, name: &str, content: &[u8]) -> Reply {
    let path = format!("{FILES}?name={}", name.replace(' ', "%20"));
    me.send(Method::POST, &path, &[], content.to_vec())
}

/// A file that was stored.
fn stored(me: &Tenant, name: &str, content: &[u8]) -> Value {
    let reply = upload(me, name, content);
    assert_status(&reply, 201);
    reply.json
}

fn path_of(file: &Value) -> String {
    format!("{FILES}/{}", file["id"].as_str().unwrap())
}

fn content(me: &Tenant, file: &Value, headers: &[(&str, &str)]) -> Reply {
    let path = format!("{}/content", path_of(file));
    me.send(Method::GET, &path, headers, Vec::new())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Bytes that repeat late, so that a part in the wrong place is noticed.
fn bytes(n: usize) -> Vec<u8> {
    (0..n)
        .map(|i| (i * 31 + (i >> 8) * 7 + (i >> 16) * 13) as u8)
        .collect()
}

/// Removes what is due of the caller's organisation.
fn drain(me: &Tenant) -> Value {
    let reply = me.post(&format!("{FILES}/drain"), &json!({}));
    assert_status(&reply, 200);
    reply.json
}
