//! Links without a login.

use super::{FILES, path_of, stored};
use crate::suite::app;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

fn link(me: &Tenant, file: &Value, body: &Value) -> Value {
    let made = me.post(&format!("{}/signed-url", path_of(file)), body);
    assert_status(&made, 201);
    made.json
}

#[test]
fn a_link_opens_one_file_for_anybody_until_it_is_revoked() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"hello");
    let made = link(&me, &file, &json!({"inline": true}));
    let url = made["url"].as_str().unwrap();
    let nobody = app().with_credential("");
    let opened = nobody.get(url);
    assert_eq!((opened.status, opened.text.as_str()), (200, "hello"));
    assert!(opened.header("content-disposition").starts_with("inline"));
    let part = nobody.send(
        reqwest::Method::GET,
        url,
        &[("range", "bytes=1-2")],
        Vec::new(),
    );
    assert_eq!((part.status, part.text.as_str()), (206, "el"));
    let id = made["id"].as_str().unwrap();
    let list = me.get(&format!(
        "{FILES}/links?file_id={}",
        file["id"].as_str().unwrap()
    ));
    assert_eq!(list.json["data"][0]["id"], id, "{}", list.text);
    assert_eq!(list.json["data"][0]["used_count"], 2);
    assert!(!list.text.contains(url.rsplit('/').next().unwrap()));
    assert_status(&me.delete(&format!("{FILES}/links/{id}")), 204);
    assert_problem(&nobody.get(url), 404, "not-found");
    assert_problem(&me.delete(&format!("{FILES}/links/{id}")), 404, "not-found");
}

#[test]
fn a_link_that_was_changed_or_has_expired_opens_nothing() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"hello");
    let made = link(&me, &file, &json!({"expires_in_s": 1}));
    let url = made["url"].as_str().unwrap();
    let nobody = app().with_credential("");
    let other = if url.ends_with("AA") { "BA" } else { "AA" };
    let changed = format!("{}{other}", &url[..url.len() - 2]);
    assert_problem(&nobody.get(&changed), 404, "not-found");
    // Followed once alone: an address that tries links is slowed down.
    let over = SystemTime::now() + Duration::from_secs(2);
    while SystemTime::now() < over {
        assert_status(&me.get(&path_of(&file)), 200);
    }
    assert_problem(&nobody.get(url), 404, "not-found");
    let long = json!({"expires_in_s": 10_000_000});
    let refused = me.post(&format!("{}/signed-url", path_of(&file)), &long);
    assert_eq!(
        refused.json["errors"][0]["pointer"], "/expires_in_s",
        "{}",
        refused.text
    );
}

#[test]
fn a_links_file_that_was_removed_is_gone() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"hello");
    let made = link(&me, &file, &json!({}));
    assert_status(&me.delete(&path_of(&file)), 204);
    let nobody = app().with_credential("");
    assert_problem(&nobody.get(made["url"].as_str().unwrap()), 404, "not-found");
}
