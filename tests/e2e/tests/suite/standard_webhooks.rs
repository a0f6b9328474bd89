//! The official libraries of Standard Webhooks, from npm and from PyPI, on the other side: they take what goes out, and what
//! they sign is taken.

use super::{app, documents::hello};
use e2e::standardwebhooks::Library;
use e2e::{Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BOTH: [Library; 2] = [Library::Npm, Library::Pypi];

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// What has arrived at the stand-in under a path of its own: header fields and the body's text.
fn arrived(me: &Tenant, path: &str) -> (Value, String) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let all = app().llm.requests();
        if let Some(found) = all.into_iter().find(|request| request.path == path) {
            return (json!(found.headers), found.text);
        }
        assert!(Instant::now() < deadline, "nothing arrives");
        assert_status(&me.post("/api/v1/webhooks/drain", &json!({})), 200);
    }
}

#[test]
fn the_libraries_take_what_goes_out() {
    let me = app().tenant();
    let path = format!("/web/turns/204/{}", uuid::Uuid::new_v4().simple());
    let body = json!({"name": "h", "url": format!("{}{path}", app().llm.url), "event_types": ["run.completed"]});
    let made = me.post("/api/v1/webhooks", &body);
    assert_status(&made, 201);
    let secret = made.json["secret"].as_str().unwrap();
    // Text that is more than one byte a character: signatures are over bytes.
    assert_status(&me.run(&hello(), json!({"name": "Ada Łukasiewicz ✓"})), 200);
    let (headers, text) = arrived(&me, &path);
    for library in BOTH {
        assert!(
            library.takes(secret, &headers, &text),
            "{library:?}: {headers}"
        );
        let changed = text.replacen("run.completed", "run.failed", 1);
        assert!(!library.takes(secret, &headers, &changed), "{library:?}");
        let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert!(!library.takes(other, &headers, &text), "{library:?}");
    }
}

#[test]
fn what_the_libraries_sign_is_taken() {
    let me = app().tenant();
    let workflow = me.workflow("w", &hello());
    let body = json!({"name": "h", "workflow_id": workflow, "verification": {"scheme": "standard_webhooks"}, "listen": true});
    let made = me.post("/api/v1/webhooks/incoming", &body);
    assert_status(&made, 201);
    let (url, secret) = (
        made.json["url"].as_str().unwrap(),
        made.json["secret"].as_str().unwrap(),
    );
    let text = r#"{"type":"contact.created","data":{"name":"Ada Łukasiewicz ✓"}}"#;
    let send = |id: &str, at: &str, signature: &str, text: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", at),
            ("webhook-signature", signature),
        ];
        let nobody = app().with_credential("");
        nobody.send(Method::POST, url, &headers, text.as_bytes().to_vec())
    };
    for library in BOTH {
        let (id, now) = (format!("msg_{}", uuid::Uuid::new_v4().simple()), now_s());
        let signed = library.sign(secret, &id, now, text);
        let at = now.to_string();
        assert_status(&send(&id, &at, &signed, text), 202);
        assert_problem(&send(&id, &at, &signed, "{}"), 401, "unauthenticated");
        assert_problem(
            &send("msg_other", &at, &signed, text),
            401,
            "unauthenticated",
        );
        let old = now - 600;
        let signed = library.sign(secret, &id, old, text);
        assert_problem(
            &send(&id, &old.to_string(), &signed, text),
            401,
            "unauthenticated",
        );
    }
}
