//! Who gets in.

use super::app;
use e2e::{assert_problem, assert_status};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[test]
fn without_a_good_credential_nobody_gets_in() {
    let app = app();
    let bad = [
        "",
        "nonsense",
        "nai_live_000000000000000000000000000000000000",
        "a.b.c",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1In0.",
    ];
    for credential in bad {
        let reply = app.with_credential(credential).get("/api/v1/workflows");
        assert_problem(&reply, 401, "unauthenticated");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
}

#[test]
fn expired_and_foreign_tokens_are_told_apart() {
    let app = app();
    let user = uuid::Uuid::now_v7().to_string();
    let expired = app.sign(
        json!({"sub": user, "aud": "authenticated", "role": "authenticated", "exp": now_s() - 60}),
    );
    let reply = app.with_credential(&expired).get("/api/v1/workflows");
    assert_problem(&reply, 401, "credential-expired");
    let anon = app.sign(json!({"sub": user, "aud": "anon", "exp": now_s() + 60}));
    assert_problem(
        &app.with_credential(&anon).get("/api/v1/workflows"),
        401,
        "unauthenticated",
    );
    let forged = e2e::token::user(&user, None, "another-secret-that-is-long-enough-too");
    assert_problem(
        &app.with_credential(&forged).get("/api/v1/workflows"),
        401,
        "unauthenticated",
    );
}

#[test]
fn an_api_key_gets_in_and_a_wrong_character_does_not() {
    let Some(key) = app().api_key.clone() else {
        // An application that was already up gives no key away.
        assert!(std::env::var("NODEAI_E2E_BASE_URL").is_ok());
        return;
    };
    let reply = app().with_credential(&key).get("/api/v1/workflows");
    assert_status(&reply, 200);
    assert!(reply.header("ratelimit-policy").contains("q="));
    assert!(reply.header("ratelimit").contains("r="));
    let wrong = format!(
        "{}{}",
        &key[..key.len() - 1],
        if key.ends_with('0') { '1' } else { '0' }
    );
    assert_problem(
        &app().with_credential(&wrong).get("/api/v1/workflows"),
        401,
        "unauthenticated",
    );
}

#[test]
fn tokens_signed_with_the_issuers_key_get_in_and_unknown_keys_do_not() {
    let Some(me) = app().tenant_by_jwks(None) else {
        // Only a Supabase project has an issuer with a key set.
        assert_eq!(crate::BACKEND, e2e::Backend::Postgres);
        return;
    };
    let id = me.workflow("by ES256", &super::documents::hello());
    assert_status(&me.get(&format!("/api/v1/workflows/{id}")), 200);
    let unknown = app().tenant_by_jwks(Some("another-key")).unwrap();
    assert_problem(&unknown.get("/api/v1/workflows"), 401, "unauthenticated");
}

#[test]
fn tokens_of_the_wrong_time_or_maker_are_refused() {
    let app = app();
    let user = uuid::Uuid::now_v7().to_string();
    let good = || {
        json!({"sub": user, "aud": "authenticated", "role": "authenticated", "iat": now_s() - 5,
            "exp": now_s() + 600, "email": "who@example.com"})
    };
    let mut cases = vec![
        ("nbf", json!(now_s() + 300)),
        ("iat", json!(now_s() + 300)),
        ("iat", json!("now")),
        ("aud", json!("anon")),
        ("aud", json!(["somebody", "else"])),
        ("sub", json!(null)),
        ("exp", json!("never")),
    ];
    if crate::BACKEND == e2e::Backend::Supabase {
        cases.push(("iss", json!("https://evil.example/auth/v1")));
    }
    for (claim, value) in cases {
        let mut claims = good();
        claims[claim] = value;
        let token = app.sign(claims);
        let reply = app.with_credential(&token).get("/api/v1/workflows");
        assert_problem(&reply, 401, "unauthenticated");
    }
    assert_status(
        &app.with_credential(&app.sign(good()))
            .get("/api/v1/workflows"),
        200,
    );
    // Signed by somebody else, and with the text of the issuer's public key as a shared secret (RFC 8725, section 2.1).
    for secret in app
        .public_key_texts()
        .iter()
        .map(String::as_str)
        .chain(["", "secret"])
    {
        let token = e2e::token::sign(&good(), secret);
        let reply = app.with_credential(&token).get("/api/v1/workflows");
        assert_problem(&reply, 401, "unauthenticated");
    }
    // The signature of one token under another one's claims.
    let (mine, theirs) = (app.sign(good()), app.sign(json!({"sub": "x"})));
    let parts: Vec<&str> = mine.split('.').collect();
    let forged = format!(
        "{}.{}.{}",
        parts[0],
        parts[1],
        theirs.rsplit('.').next().unwrap()
    );
    let reply = app.with_credential(&forged).get("/api/v1/workflows");
    assert_problem(&reply, 401, "unauthenticated");
}
