//! Shares: with a user as viewer or editor, by link, with an end; nothing beyond what was shared.

use super::{app, documents::hello};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

fn share(owner: &Tenant, path: &str, body: Value) -> Reply {
    let reply = owner.post(&format!("{path}/shares"), &body);
    assert_status(&reply, 201);
    reply
}

fn shared_with(guest: &Tenant, role: &str) -> (Tenant, String, Reply) {
    // A user is known from the first request on.
    assert_status(&guest.get("/api/v1/workflows"), 200);
    let owner = app().tenant();
    let path = format!("/api/v1/workflows/{}", owner.workflow("shared", &hello()));
    let made = share(
        &owner,
        &path,
        json!({"user_id": guest.user_id, "role": role}),
    );
    (owner, path, made)
}

fn run(caller: &Tenant, path: &str) -> Reply {
    let id = path.rsplit('/').next().unwrap();
    let body = json!({"workflow_id": id, "inputs": {"name": "Ada"}});
    caller.post("/api/v1/workflows/execute", &body)
}

#[test]
fn a_viewer_reads_copies_and_runs_and_changes_nothing() {
    let guest = app().tenant();
    let (owner, path, _) = shared_with(&guest, "viewer");
    let list = guest.get("/api/v1/workflows/shared").json;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["role"], "viewer");
    assert_eq!(list["data"][0]["workflow"]["name"], "shared");
    assert_eq!(
        guest.get("/api/v1/workflows").json["data"],
        json!([]),
        "it is not the guest's"
    );

    let read = guest.get(&path);
    assert_status(&read, 200);
    assert_eq!(read.json["role"], "viewer");
    assert_eq!(read.json["definition"], hello());
    assert_status(&guest.get(&format!("{path}/versions")), 200);
    assert_status(&guest.get(&format!("{path}/versions/1")), 200);
    let ran = run(&guest, &path);
    assert_eq!(ran.json["outputs"]["out"], "Hello, Ada!", "{}", ran.text);
    assert_eq!(
        owner.get("/api/v1/workflows/execute").json["data"],
        json!([]),
        "the run is the guest's"
    );
    let copy = guest.post(&format!("{path}/duplicate"), &json!({"name": "mine"}));
    assert_status(&copy, 201);
    assert_eq!(
        guest.get("/api/v1/workflows").json["data"][0]["name"],
        "mine"
    );

    let body = json!({"name": "taken", "definition": hello()});
    let put = guest.put_with(&path, &[("if-match", "*")], &body);
    assert_problem(&put, 403, "forbidden");
    assert_problem(
        &guest.patch(&path, &json!({"name": "taken"})),
        403,
        "forbidden",
    );
    for (method, at) in [
        (Method::GET, format!("{path}/shares")),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/archive")),
    ] {
        let reply = guest.send(method, &at, &[], Vec::new());
        assert_problem(&reply, 404, "not-found");
    }
    assert_eq!(owner.get(&path).json["name"], "shared");
}

#[test]
fn an_editor_saves_versions_and_does_not_share_on() {
    let guest = app().tenant();
    let (owner, path, _) = shared_with(&guest, "editor");
    let body = json!({"name": "edited", "definition": hello(), "message": "by a guest"});
    let headers = [("if-match", "\"v1\""), ("idempotency-key", "guest-1")];
    let saved = guest.put_with(&path, &headers, &body);
    assert_status(&saved, 200);
    assert_eq!(saved.json["version"], 2);
    let again = guest.put_with(&path, &headers, &body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let newest = owner.get(&format!("{path}/versions")).json["data"][0].clone();
    assert_eq!(
        (&newest["author"], &newest["message"]),
        (&json!(guest.user_id), &json!("by a guest"))
    );
    assert_eq!(owner.get(&path).json["name"], "edited");
    let restored = guest.post(&format!("{path}/restore"), &json!({"version": 1}));
    assert_status(&restored, 200);

    let on = guest.post(&format!("{path}/shares"), &json!({"link": true}));
    assert_problem(&on, 404, "not-found");
    assert_problem(&guest.delete(&path), 404, "not-found");
}

#[test]
fn a_share_changes_and_ends() {
    let guest = app().tenant();
    let (owner, path, made) = shared_with(&guest, "viewer");
    let at = made.header("location").to_owned();
    let twice = owner.post(
        &format!("{path}/shares"),
        &json!({"user_id": guest.user_id}),
    );
    assert_problem(&twice, 409, "conflict");
    let changed = owner.patch(&at, &json!({"role": "editor"}));
    assert_status(&changed, 200);
    assert_eq!(
        (&changed.json["role"], &changed.json["version"]),
        (&json!("editor"), &json!(2))
    );
    assert_status(&guest.patch(&path, &json!({"tags": ["seen"]})), 200);
    let stale = owner.patch_with(&at, &[("if-match", "\"v1\"")], &json!({"role": "viewer"}));
    assert_problem(&stale, 412, "stale-version");
    // The share of one workflow is not found under another one.
    let other = format!("/api/v1/workflows/{}", owner.workflow("other", &hello()));
    let astray = at.replacen(&path, &other, 1);
    assert_problem(&owner.delete(&astray), 404, "not-found");

    let list = owner.get(&format!("{path}/shares")).json;
    assert_eq!(list["data"][0]["user_id"], guest.user_id.as_str());
    assert_status(&owner.delete(&at), 204);
    assert_problem(&guest.get(&path), 404, "not-found");
    assert_eq!(
        guest.get("/api/v1/workflows/shared").json["data"],
        json!([])
    );
    assert_problem(&run(&guest, &path), 404, "not-found");
}

#[test]
fn a_link_shows_the_workflow_without_signing_in() {
    let owner = app().tenant();
    let path = format!("/api/v1/workflows/{}", owner.workflow("public", &hello()));
    let made = share(&owner, &path, json!({"link": true}));
    let token = made.json["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("nws_") && token.len() == 47);
    assert_eq!(made.json["user_id"], Value::Null);
    let list = owner.get(&format!("{path}/shares")).text;
    assert!(!list.contains(&token), "a token is shown once");

    let visitor = app().with_credential("");
    let link = format!("/api/v1/workflows/shared/{token}");
    let opened = visitor.get(&link);
    assert_status(&opened, 200);
    assert_eq!(opened.json["name"], "public");
    assert_eq!(opened.json["definition"], hello());
    assert!(opened.header("ratelimit").contains("links"));
    for other in ["nws_x".to_owned(), format!("nws_{}", "A".repeat(43))] {
        let reply = visitor.get(&format!("/api/v1/workflows/shared/{other}"));
        assert_problem(&reply, 404, "not-found");
    }
    // The link reads and does nothing else.
    assert_problem(&visitor.get(&path), 401, "unauthenticated");

    assert_status(&owner.delete(made.header("location")), 204);
    assert_problem(&visitor.get(&link), 404, "not-found");
}

#[test]
fn a_repeated_request_for_a_link_shows_the_same_token() {
    let owner = app().tenant();
    let path = format!("/api/v1/workflows/{}", owner.workflow("public", &hello()));
    let ask = || {
        let key = [("idempotency-key", "link-1")];
        owner.post_with(&format!("{path}/shares"), &key, &json!({"link": true}))
    };
    let (first, second) = (ask(), ask());
    assert_status(&first, 201);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(second.json["token"], first.json["token"]);
    assert_eq!(
        owner.get(&format!("{path}/shares")).json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_cannot_be_shared_is_said() {
    let owner = app().tenant();
    let path = format!("/api/v1/workflows/{}", owner.workflow("w", &hello()));
    let user = uuid::Uuid::now_v7();
    for (body, pointer) in [
        (json!({}), "/user_id"),
        (json!({"user_id": user, "link": true}), "/user_id"),
        (json!({"user_id": "somebody"}), "/user_id"),
        (json!({"link": true, "role": "editor"}), "/role"),
        (json!({"link": true, "role": "king"}), "/role"),
        (
            json!({"link": true, "expires_at": "2020-01-01T00:00:00Z"}),
            "/expires_at",
        ),
        (json!({"link": true, "expires_at": "soon"}), "/expires_at"),
    ] {
        let reply = owner.post(&format!("{path}/shares"), &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer, "{body}");
    }
    let stranger = app().tenant();
    let reply = stranger.post(&format!("{path}/shares"), &json!({"link": true}));
    assert_problem(&reply, 404, "not-found");
}
