//! Bytes that no honest client sends: smuggled requests, broken heads, and text that looks like other text.

use super::app;
use e2e::{Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends bytes on a connection of their own; everything that comes back until the server closes or is silent.
fn exchange(bytes: &[u8]) -> String {
    let address = app().url.replace("http://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    // A server that has seen enough may close before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answer[at + 9..at + 12])
        .collect()
}

/// A request that makes a workflow, as what hides behind another one.
fn smuggled(me: &Tenant) -> String {
    let body = json!({"name": "smuggled", "definition": super::documents::hello()}).to_string();
    format!(
        "POST /api/v1/workflows HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        me.credential,
        body.len()
    )
}

#[test]
fn no_request_hides_in_another_ones_body() {
    if !app().is_on_our_host() {
        return; // stock Spin serves a request with both framings by its Transfer-Encoding, as RFC 9112 lets it
    }
    let me = app().tenant();
    let behind = smuggled(&me);
    let head = format!(
        "POST /api/v1/nodes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        me.credential
    );
    let length = behind.len() + 5;
    // CL.TE and TE.CL (RFC 9112, section 6.1), and both spellings of two lengths (section 6.3).
    for framing in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{behind}"),
        format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{behind}"),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{behind}"),
        format!("content-length: 0, {length}\r\n\r\n{behind}"),
        format!("content-length: +0\r\n\r\n{behind}"),
        format!("content-length: -1\r\n\r\n{behind}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{behind}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{behind}"),
        format!("transfer-encoding: chunked\r\n\r\nzz\r\n\r\n{behind}"),
    ] {
        let answer = exchange(format!("{head}{framing}").as_bytes());
        let got = statuses(&answer);
        assert!(got.len() <= 1, "two answers to {framing:?}: {answer}");
        assert!(
            got.iter().all(|s| s.starts_with('4')),
            "{framing:?}: {answer}"
        );
    }
    assert_eq!(me.get("/api/v1/workflows").json["data"], json!([]));
}

#[test]
fn broken_heads_are_refused() {
    let me = app().tenant();
    let credential = &me.credential;
    let mut heads: Vec<Vec<u8>> = [
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n  folded\r\n\r\n",
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx-a: a\0b\r\n\r\n",
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx-a: a\rb\r\n\r\n",
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx a: 1\r\n\r\n",
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx-a : 1\r\n\r\n",
        "GET /api/v1/nodes\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /api/v1/nodes HTTP/9.9\r\nhost: x\r\n\r\n",
        "G\u{e9}T /api/v1/nodes HTTP/1.1\r\nhost: x\r\n\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let long = format!(
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many = format!(
        "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x-a: 1\r\n".repeat(5_000)
    );
    heads.extend([long.into_bytes(), many.into_bytes()]);
    for head in heads {
        let answer = exchange(&head);
        let shown = String::from_utf8_lossy(&head[..head.len().min(80)]).into_owned();
        let got = statuses(&answer);
        assert!(got.len() <= 1, "{shown:?}: {answer}");
        // Some are refused before there is a request to answer: then the connection just closes.
        assert!(
            got.iter().all(|s| s.starts_with('4')),
            "{shown:?}: {answer}"
        );
    }
    // A bare LF ends a line for many servers (RFC 9112, section 2.2, allows it); a request behind one is not hidden.
    let bare =
        format!("GET /api/v1/nodes HTTP/1.1\nhost: x\nauthorization: Bearer {credential}\n\n");
    assert_eq!(statuses(&exchange(bare.as_bytes())).len(), 1);
    assert_status(&me.get("/api/v1/nodes"), 200);
}

#[test]
fn a_name_of_ten_megabytes_is_refused_everywhere() {
    let me = app().tenant();
    let huge = "x".repeat(10 << 20);
    for path in [
        "/api/v1/workflows",
        "/api/v1/api-keys",
        "/api/v1/secrets",
        "/api/v1/deployments",
        "/api/v1/feature-flags",
        "/api/v1/profiles/organizations",
        "/api/v1/profiles/invitations",
    ] {
        let body = json!({"name": huge, "slug": huge, "email": huge}).to_string();
        let headers = [("content-type", "application/json")];
        let reply = me.send(Method::POST, path, &headers, body.into_bytes());
        assert_eq!(
            reply.status,
            413,
            "{path}: {}",
            &reply.text[..reply.text.len().min(200)]
        );
    }
    assert_eq!(me.get("/api/v1/workflows").json["data"], json!([]));
}

#[test]
fn text_that_looks_like_other_text_is_no_address_and_no_slug() {
    let me = app().tenant();
    for email in [
        "\u{430}dmin@example.org",   // a Cyrillic а (UTS 39, confusables)
        "\u{ff41}dmin@example.org",  // a fullwidth a: NFKC makes it one
        "admin@ex\u{e4}mple.org",    // not in its xn-- form
        "admin@example\u{3002}org",  // an ideographic full stop, a dot for IDNA
        "ad\u{200b}min@example.org", // zero width space
        "ad\u{ad}min@example.org",   // soft hyphen
        "\u{202e}gro.elpmaxe@nimda", // right-to-left override
        "admin@example.org\u{0}",
        "admin@example.org\r\nbcc: x@y.z",
        "admin@example.org,root@example.org",
        "\"admin\"@example.org",
        "admin@[127.0.0.1]",
    ] {
        let reply = me.post("/api/v1/profiles/invitations", &json!({"email": email}));
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/email", "{email:?}");
    }
    assert_eq!(
        me.get("/api/v1/profiles/invitations").json["data"],
        json!([])
    );
    let workflow = me.workflow("w", &super::documents::hello());
    for slug in [
        "\u{430}dmin",
        "\u{ff41}dmin",
        "ad\u{200b}min",
        "\u{202e}nimda",
        "admin\u{301}",
        "\u{1d41a}dmin",
        "Admin",
        "a b",
        "../admin",
        "admin%2f",
        "admin\n",
        "-admin",
    ] {
        let reply = me.post(
            "/api/v1/profiles/organizations",
            &json!({"name": "x", "slug": slug}),
        );
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/slug", "{slug:?}");
        let body = json!({"slug": slug, "workflow_id": workflow, "environment": "dev"});
        let reply = me.post("/api/v1/deployments", &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/slug", "{slug:?}");
    }
    let profile = me.get("/api/v1/profiles/me").json;
    assert_eq!(profile["organizations"].as_array().map(Vec::len), Some(1));
}
