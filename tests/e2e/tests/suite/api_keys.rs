//! API keys: issue, use, limit, rotate, revoke.

use super::{app, documents::hello};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const KEYS: &str = "/api/v1/api-keys";

fn issue(me: &Tenant, body: &Value) -> (Tenant, Value) {
    let made = me.post(KEYS, body);
    assert_status(&made, 201);
    let key = made.json["key"].as_str().unwrap().to_owned();
    (app().with_credential(&key), made.json)
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

#[test]
fn a_key_is_shown_once_and_does_what_its_scopes_say() {
    let me = app().tenant();
    let (holder, made) = issue(
        &me,
        &json!({"name": "reader", "scopes": ["workflows:read"]}),
    );
    let secret = made["key"].as_str().unwrap();
    assert!(
        secret.starts_with("nai_live_") && secret.len() == 45,
        "{secret}"
    );
    assert_eq!(made["last4"], secret[41..]);
    assert_eq!(made["user_id"], me.user_id.as_str());
    for reply in [me.get(KEYS), me.get(&path(&made))] {
        assert_status(&reply, 200);
        assert!(!reply.text.contains(secret) && !reply.text.contains("key_hash"));
    }
    assert_status(&holder.get("/api/v1/workflows"), 200);
    let body = json!({"name": "no", "definition": hello()});
    assert_problem(
        &holder.post("/api/v1/workflows", &body),
        403,
        "scope-missing",
    );
    assert_problem(&holder.get(KEYS), 403, "scope-missing");
}

#[test]
fn nobody_hands_out_more_than_they_have() {
    let me = app().tenant();
    let (holder, _) = issue(
        &me,
        &json!({"name": "issuer", "scopes": ["api-keys:*", "workflows:read"]}),
    );
    for scopes in [
        json!(["*"]),
        json!(["workflows:*"]),
        json!(["secrets:reveal"]),
    ] {
        let reply = holder.post(KEYS, &json!({"name": "more", "scopes": scopes}));
        assert_problem(&reply, 403, "forbidden");
    }
    let same = holder.post(KEYS, &json!({"name": "same", "scopes": ["workflows:read"]}));
    assert_status(&same, 201);
    let wider = holder.send(
        reqwest::Method::PATCH,
        &path(&same.json),
        &[],
        br#"{"scopes": ["*:read"]}"#.to_vec(),
    );
    assert_problem(&wider, 403, "forbidden");
}

#[test]
fn bad_keys_are_refused_field_by_field() {
    let me = app().tenant();
    let cases: [(Value, &[&str]); 5] = [
        (json!({"name": "", "scopes": []}), &["/name", "/scopes"]),
        (
            json!({"name": "x", "scopes": ["a b", "x:y:z"]}),
            &["/scopes/0", "/scopes/1"],
        ),
        (
            json!({"name": "x", "scopes": ["*"], "ip_allow": ["10.0.0.0/99"], "workflow_ids": ["7"]}),
            &["/workflow_ids/0", "/ip_allow/0"],
        ),
        (
            json!({"name": "x", "scopes": ["*"], "expires_at": "2001-01-01T00:00:00Z"}),
            &["/expires_at"],
        ),
        (
            json!({"name": "x".repeat(201), "scopes": ["*"], "rate_burst": 0}),
            &["/name", "/rate_burst"],
        ),
    ];
    for (body, pointers) in cases {
        let reply = me.post(KEYS, &body);
        assert_problem(&reply, 400, "invalid-input");
        let errors = reply.json["errors"].as_array().unwrap();
        let found: Vec<&str> = errors
            .iter()
            .filter_map(|e| e["pointer"].as_str())
            .collect();
        assert_eq!(found, pointers, "{body}");
    }
    assert_eq!(me.get(KEYS).json["data"], json!([]));
}

#[test]
fn a_revoked_key_is_refused_by_the_next_request_and_leaves_a_trace() {
    let me = app().tenant();
    let (holder, made) = issue(&me, &json!({"name": "leaked", "scopes": ["*"]}));
    assert_status(&holder.get("/api/v1/workflows"), 200);
    assert_status(&me.delete(&path(&made)), 204);
    for _ in 0..3 {
        assert_problem(&holder.get("/api/v1/workflows"), 401, "key-revoked");
    }
    let log = me.get("/api/v1/audit-logs?action=auth.refused").json;
    let rows = log["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "once a minute, not once a request: {log}");
    assert_eq!(rows[0]["details"]["reason"], "key_revoked");
    assert_eq!(rows[0]["resource_id"], made["id"]);
}

#[test]
fn a_rotated_key_overlaps_and_then_ends() {
    let me = app().tenant();
    let body =
        json!({"name": "worker", "scopes": ["workflows:read"], "ip_allow": ["127.0.0.0/8", "::1"]});
    let (old, made) = issue(&me, &body);
    let rotate = format!("{}/rotate", path(&made));
    let rotated = me.post(&rotate, &json!({"overlap_s": 3600}));
    assert_status(&rotated, 201);
    assert_eq!(rotated.json["rotated_from"], made["id"]);
    for field in ["name", "scopes", "ip_allow", "user_id"] {
        assert_eq!(rotated.json[field], made[field], "{field}");
    }
    let new = app().with_credential(rotated.json["key"].as_str().unwrap());
    assert_status(&old.get("/api/v1/workflows"), 200);
    assert_status(&new.get("/api/v1/workflows"), 200);

    let again = me.post(
        &format!("{}/rotate", path(&rotated.json)),
        &json!({"overlap_s": 0}),
    );
    assert_status(&again, 201);
    assert_problem(&new.get("/api/v1/workflows"), 401, "credential-expired");
    let dead = me.post(
        &format!("{}/rotate", path(&rotated.json)),
        &json!({"overlap_s": 0}),
    );
    assert_problem(&dead, 409, "conflict");
}

#[test]
fn a_repeated_issue_shows_the_same_key_and_the_database_never_holds_it() {
    let me = app().tenant();
    let body = json!({"name": "once", "scopes": ["workflows:read"]});
    let key = [("idempotency-key", "issue-1")];
    let first = me.post_with(KEYS, &key, &body);
    let second = me.post_with(KEYS, &key, &body);
    assert_status(&second, 201);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.json, second.json);
    assert_eq!(me.get(KEYS).json["data"].as_array().unwrap().len(), 1);
    let secret = first.json["key"].as_str().unwrap();
    if let Some(dump) = app().dump() {
        assert!(!dump.contains(secret), "the key is stored in clear");
    }
}

#[test]
fn a_key_is_limited_to_its_workflows_and_addresses() {
    let me = app().tenant();
    let mine = me.workflow("mine", &hello());
    let other = me.workflow("other", &hello());
    let (holder, _) = issue(
        &me,
        &json!({"name": "one", "scopes": ["workflows:run"], "workflow_ids": [mine]}),
    );
    let run = |id: &str| -> Reply {
        let body = json!({"workflow_id": id, "inputs": {"name": "x"}});
        holder.post("/api/v1/workflows/execute", &body)
    };
    assert_status(&run(&mine), 200);
    assert_problem(&run(&other), 404, "not-found");

    let (far, _) = issue(
        &me,
        &json!({"name": "far", "scopes": ["*"], "ip_allow": ["192.0.2.0/24"]}),
    );
    assert_problem(&far.get("/api/v1/workflows"), 403, "forbidden");
}

#[test]
fn changes_count_from_the_next_request_on() {
    let me = app().tenant();
    let (holder, made) = issue(&me, &json!({"name": "grows", "scopes": ["nodes:read"]}));
    assert_problem(&holder.get("/api/v1/workflows"), 403, "scope-missing");
    let stale = me.patch_with(
        &path(&made),
        &[("if-match", "\"v9\"")],
        &json!({"name": "x"}),
    );
    assert_problem(&stale, 412, "stale-version");
    let patch = json!({"scopes": ["workflows:read"], "name": "grown"});
    let changed = me.patch_with(&path(&made), &[("if-match", "\"v1\"")], &patch);
    assert_status(&changed, 200);
    assert_eq!(changed.json["version"], 2);
    assert_eq!(changed.json["name"], "grown");
    assert_status(&holder.get("/api/v1/workflows"), 200);
    let log = me.get("/api/v1/audit-logs?action=api_key.updated").json;
    assert_eq!(
        log["data"][0]["details"]["before"]["scopes"],
        json!(["nodes:read"])
    );
    assert_eq!(
        log["data"][0]["details"]["after"]["scopes"],
        json!(["workflows:read"])
    );
}

#[test]
fn uses_are_counted_in_batches() {
    let me = app().tenant();
    let (holder, made) = issue(&me, &json!({"name": "busy", "scopes": ["workflows:read"]}));
    for _ in 0..7 {
        assert_status(&holder.get("/api/v1/workflows"), 200);
    }
    if app().owner("SELECT nodeai.housekeeping('{}')").is_none() {
        return; // an application that runs elsewhere keeps house by itself
    }
    let key = me.get(&path(&made)).json;
    assert_eq!(key["usage_count"], 7);
    assert!(key["last_used_at"].is_string());
}
