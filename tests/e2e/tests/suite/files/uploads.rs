//! Uploads in one go.

use super::{FILES, bytes, content, path_of, sha256, stored, upload};
use crate::suite::app;
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A form of these fields, the file last.
fn form(me: &Tenant, fields: &[(&str, &str)], name: &str, file: &[u8]) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: image/png\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--XX--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=XX")];
    me.send(Method::POST, FILES, &headers, body)
}

#[test]
fn a_raw_body_becomes_a_file_as_it_was() {
    let me = app().tenant();
    // More than two rows, and not a whole number of them.
    let sent = bytes((2 << 20) + 12_345);
    let made = upload(&me, "b ig.bin", &sent);
    assert_status(&made, 201);
    assert_eq!(made.header("location"), path_of(&made.json));
    assert_eq!(made.json["name"], "b ig.bin");
    assert_eq!(made.json["size_bytes"], sent.len());
    assert_eq!(made.json["sha256"], sha256(&sent));
    assert_eq!(made.json["user_id"], me.user_id.as_str());
    let read = content(&me, &made.json, &[]);
    assert_status(&read, 200);
    assert!(read.bytes == sent, "the content is another one");
    let empty = stored(&me, "empty.txt", b"");
    assert_eq!(content(&me, &empty, &[]).bytes, b"");
    assert_eq!(empty["sha256"], sha256(b""));
}

#[test]
fn a_form_says_what_its_file_is() {
    let me = app().tenant();
    let file = bytes(1_500_000);
    let hash = sha256(&file);
    let fields = [
        ("folder", "in/2026"),
        ("tags", "a, b"),
        ("metadata", "{\"k\":1}"),
        ("sha256", hash.as_str()),
    ];
    let made = form(&me, &fields, "C:\\x\\y.bin", &file);
    assert_status(&made, 201);
    assert_eq!(made.json["name"], "y.bin");
    assert_eq!(made.json["folder"], "in/2026");
    assert_eq!(made.json["tags"], json!(["a", "b"]));
    assert_eq!(made.json["metadata"], json!({"k": 1}));
    assert!(content(&me, &made.json, &[]).bytes == file);
    let wrong = form(&me, &[("sha256", &sha256(b"x"))], "y.bin", &file);
    assert_problem(&wrong, 400, "digest-mismatch");
    let unknown = form(&me, &[("colour", "red")], "y.bin", &file);
    assert_problem(&unknown, 400, "invalid-input");
    assert_eq!(unknown.json["errors"][0]["parameter"], "colour");
    let headers = [("content-type", "multipart/form-data; boundary=XX")];
    let cut = me.send(Method::POST, FILES, &headers, b"--XX\r\n".to_vec());
    assert_problem(&cut, 400, "invalid-input");
    let list = me.get(FILES);
    assert_eq!(
        list.json["data"].as_array().unwrap().len(),
        1,
        "{}",
        list.text
    );
}

#[test]
fn a_type_is_what_the_content_says() {
    let me = app().tenant();
    let cases: [(&str, &[u8], &str); 4] = [
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        ("a.png", b"<!DOCTYPE html><p>hi", "text/html"),
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("a.pdf", b"\0\x01\x02", "application/octet-stream"),
    ];
    for (name, sent, want) in cases {
        let headers = [("content-type", "application/pdf")];
        let path = format!("{FILES}?name={name}");
        let made = me.send(Method::POST, &path, &headers, sent.to_vec());
        assert_status(&made, 201);
        assert_eq!(made.json["content_type"], want, "{name}");
    }
}

#[test]
fn a_digest_that_does_not_hold_stores_nothing() {
    let me = app().tenant();
    let send = |content: &[u8]| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(b"right"));
        let digest = format!("sha-256=:{hash}:");
        let path = format!("{FILES}?name=a.txt");
        me.send(
            Method::POST,
            &path,
            &[("content-digest", &digest)],
            content.to_vec(),
        )
    };
    assert_problem(&send(b"wrong"), 400, "digest-mismatch");
    assert_eq!(me.get(FILES).json["data"], json!([]));
    let usage = me.get(&format!("{FILES}/usage")).json;
    assert_eq!(usage["organization"]["bytes"], 0, "{usage}");
    let made = send(b"right");
    assert_status(&made, 201);
    let read = content(&me, &made.json, &[]);
    let said = read.header("repr-digest").to_owned();
    assert!(said.starts_with("sha-256=:"), "{said}");
}

#[test]
fn misleading_names_are_refused() {
    let me = app().tenant();
    for name in ["invoice%E2%80%AEfdp.exe", "a%00b", "..", "con.txt", "a%0Ab"] {
        let reply = me.send(Method::POST, &format!("{FILES}?name={name}"), &[], vec![1]);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["parameter"], "name",
            "{}",
            reply.text
        );
    }
    let up = me.send(
        Method::POST,
        &format!("{FILES}?name=a&folder=a/../b"),
        &[],
        vec![1],
    );
    assert_eq!(up.json["errors"][0]["parameter"], "folder", "{}", up.text);
    assert_eq!(me.get(FILES).json["data"], json!([]));
}

#[test]
fn a_repeated_upload_is_the_first_one() {
    let me = app().tenant();
    let send = |content: &[u8]| {
        let headers = [("idempotency-key", "once")];
        let path = format!("{FILES}?name=a.txt");
        me.send(Method::POST, &path, &headers, content.to_vec())
    };
    let (first, again) = (send(b"same"), send(b"same"));
    assert_status(&first, 201);
    assert_status(&again, 201);
    assert_eq!(first.json["id"], again.json["id"]);
    assert_problem(&send(b"other"), 422, "idempotency-key-reused");
    assert_eq!(me.get(FILES).json["data"].as_array().unwrap().len(), 1);
    let usage = me.get(&format!("{FILES}/usage")).json;
    assert_eq!(
        usage["organization"],
        json!({"bytes": 4, "files": 1, "limit": usage["ceiling"]})
    );
}

fn names(reply: &Reply) -> Vec<String> {
    assert_status(reply, 200);
    let rows = reply.json["data"].as_array().unwrap();
    rows.iter()
        .map(|f| f["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_list_has_filters_and_pages() {
    let me = app().tenant();
    for (name, sent) in [("one.csv", "a"), ("two.txt", "bb"), ("three.txt", "ccc")] {
        let path = format!("{FILES}?name={name}&tags=t{},all&folder=f", sent.len());
        let made = me.send(Method::POST, &path, &[], sent.as_bytes().to_vec());
        assert_status(&made, 201);
    }
    let list = |query: &str| names(&me.get(&format!("{FILES}?{query}")));
    assert_eq!(list(""), ["three.txt", "two.txt", "one.csv"]);
    assert_eq!(list("search=TXT"), ["three.txt", "two.txt"]);
    assert_eq!(list("tag=t2"), ["two.txt"]);
    assert_eq!(
        list("content_type=text/*"),
        ["three.txt", "two.txt", "one.csv"]
    );
    assert_eq!(list("content_type=text/csv"), ["one.csv"]);
    assert_eq!(list("min_size=2&max_size=2"), ["two.txt"]);
    assert_eq!(list(&format!("sha256={}", sha256(b"a"))), ["one.csv"]);
    assert_eq!(list("folder=f&created_after=2020-01-01T00:00:00Z").len(), 3);
    assert!(list("created_before=2020-01-01T00:00:00Z").is_empty());
    let page = me.get(&format!("{FILES}?limit=2"));
    assert_eq!(names(&page), ["three.txt", "two.txt"]);
    let cursor = page.json["next_cursor"].as_str().unwrap();
    assert_eq!(list(&format!("limit=2&cursor={cursor}")), ["one.csv"]);
    for wrong in ["nothing=1", "created_after=yesterday", "user_id=x"] {
        assert_problem(&me.get(&format!("{FILES}?{wrong}")), 400, "invalid-input");
    }
}

#[test]
fn what_is_known_of_a_file_changes_by_version() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"x");
    let path = path_of(&file);
    let read = me.get(&path);
    assert_eq!(read.header("etag"), "\"v1\"");
    assert_eq!(read.json, file);
    let change =
        json!({"name": " b?.txt", "tags": ["x"], "folder": "/f/", "metadata": {"a": null}});
    let changed = me.patch_with(&path, &[("if-match", "\"v1\"")], &change);
    assert_status(&changed, 200);
    let shown = |key: &str| -> Value { changed.json[key].clone() };
    assert_eq!(
        (shown("name"), shown("folder")),
        (json!("b_.txt"), json!("f"))
    );
    assert_eq!((shown("tags"), shown("version")), (json!(["x"]), json!(2)));
    let stale = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"name": "c"}));
    assert_problem(&stale, 412, "stale-version");
    let up = me.patch(&path, &json!({"name": "../c"}));
    assert_eq!(up.json["errors"][0]["pointer"], "/name", "{}", up.text);
    assert_status(&me.patch(&path, &json!({"folder": null})), 200);
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
    assert_problem(&content(&me, &file, &[]), 404, "not-found");
    let gone = super::drain(&me);
    // On a host with a ticker somebody else may have been there before.
    assert!(gone["files"].as_u64().unwrap() <= 1, "{gone}");
}
