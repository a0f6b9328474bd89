//! One's own account: export, deletion, and the jobs that do them.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const ME: &str = "/api/v1/profiles/me";

fn path_of(job: &Value) -> String {
    format!("{ME}/jobs/{}", job["id"].as_str().unwrap())
}

/// Asks for a job until it has ended: asking is what moves it on.
fn ended(me: &Tenant, job: &Value) -> Value {
    loop {
        let reply = me.get(&path_of(job));
        assert_status(&reply, 200);
        if !["queued", "running"].contains(&reply.json["status"].as_str().unwrap()) {
            return reply.json;
        }
    }
}

fn email(me: &Tenant) -> String {
    me.get(ME).json["email"].as_str().unwrap().to_owned()
}

#[test]
fn an_export_has_everything_of_ones_own_and_nobody_elses() {
    let (me, other) = (app().tenant(), app().tenant());
    let workflow = me.workflow("to be taken along", &hello());
    let secret = json!({"name": "EXPORTED", "value": "never in an archive"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    let key = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": ["*"]}));
    let run = json!({"workflow_id": workflow, "inputs": {"name": "Ada"}});
    assert_status(&me.post("/api/v1/workflows/execute", &run), 200);
    other.workflow("of somebody else", &hello());

    let started = me.post(&format!("{ME}/export"), &json!({}));
    assert_status(&started, 202);
    assert_eq!(started.header("location"), path_of(&started.json));
    let job = ended(&me, &started.json);
    assert_eq!(job["status"], "done", "{job}");
    assert_eq!(job["progress"]["done"], job["progress"]["total"]);
    let archive = me.get(&format!("{}/archive", path_of(&job)));
    assert_status(&archive, 200);
    assert_eq!(archive.header("content-type"), "application/x-ndjson");
    assert!(archive.header("content-disposition").contains("attachment"));
    let lines: Vec<Value> = archive
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "end");
    assert_eq!(last["data"]["lines"], lines.len());
    assert_eq!(job["lines"], lines.len());
    for kind in [
        "manifest",
        "profile",
        "organization",
        "workflows",
        "workflow_versions",
        "execution_queue",
        "run_log_segments",
        "traces",
        "spans",
        "usage_logs",
        "api_keys",
        "secrets_vault",
        "secret_versions",
        "audit_logs",
    ] {
        assert!(lines.iter().any(|l| l["type"] == kind), "no {kind}");
    }
    for absent in [
        "never in an archive",
        "of somebody else",
        "ciphertext",
        key.json["key"].as_str().unwrap(),
        &other.user_id,
    ] {
        assert!(!archive.text.contains(absent), "{absent}");
    }
    // It is mine alone.
    for path in [path_of(&job), format!("{}/archive", path_of(&job))] {
        assert_problem(&other.get(&path), 404, "not-found");
    }
    assert_eq!(other.get(&format!("{ME}/jobs")).json["data"], json!([]));
    assert_eq!(
        me.get(&format!("{ME}/jobs")).json["data"][0]["id"],
        job["id"]
    );
    // The next one takes its place.
    assert_status(&me.post(&format!("{ME}/export"), &json!({})), 202);
    assert_problem(&me.get(&path_of(&job)), 404, "not-found");
}

#[test]
fn a_deleted_account_is_gone() {
    let me = app().tenant();
    me.workflow("gone tomorrow", &hello());
    let secret = json!({"name": "GONE", "value": "v"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    let key = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": ["*"]}));
    let with_key = app().with_credential(key.json["key"].as_str().unwrap());
    let (email, org) = (email(&me), app().organization_of(&me));
    let path = format!("{ME}/deletion");
    for (body, pointer) in [
        (json!({}), "/confirm"),
        (json!({"confirm": "somebody@example.org"}), "/confirm"),
        (
            json!({"confirm": email, "start_in_s": 2_592_001}),
            "/start_in_s",
        ),
    ] {
        let reply = me.post(&path, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer);
    }
    let started = me.post(&path, &json!({"confirm": email}));
    assert_status(&started, 202);
    let job = ended(&me, &started.json);
    assert_eq!(job["status"], "done", "{job}");
    assert_problem(&me.get(ME), 401, "unauthenticated");
    assert_problem(&with_key.get(ME), 401, "unauthenticated");
    // The receipt can be read, and nothing else.
    assert_eq!(me.get(&path_of(&job)).json["status"], "done");
    assert_problem(
        &me.post(&path, &json!({"confirm": email})),
        401,
        "unauthenticated",
    );
    if let (Some(org), Some(dump)) = (org, app().dump()) {
        for trace in [email.as_str(), &org] {
            let left = dump.lines().find(|line| line.contains(trace));
            assert_eq!(left, None, "{trace} is in the database");
        }
    }
    // Who signs in again has a new account, with nothing in it.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({"sub": me.user_id, "email": email, "aud": "authenticated", "role": "authenticated",
        "iat": now + 2, "exp": now + 600});
    let again = app().with_credential(&app().sign(claims));
    assert_eq!(again.get("/api/v1/workflows").json["data"], json!([]));
}

#[test]
fn a_deletion_that_waits_can_be_taken_back() {
    let me = app().tenant();
    let body = json!({"confirm": email(&me), "start_in_s": 3_600});
    let path = format!("{ME}/deletion");
    let once = [("idempotency-key", "leave")];
    let job = me.post_with(&path, &once, &body);
    assert_status(&job, 202);
    assert_eq!(me.post_with(&path, &once, &body).json["id"], job.json["id"]);
    assert_problem(&me.post(&path, &body), 409, "conflict");
    let job = me.get(&path_of(&job.json)).json;
    assert_eq!(job["status"], "queued");
    assert_eq!(
        job["steps"][0],
        json!({"name": "access", "status": "waiting", "rows": 0})
    );
    let cancel = format!("{}/cancel", path_of(&job));
    assert_problem(&app().tenant().post(&cancel, &json!({})), 404, "not-found");
    assert_eq!(me.post(&cancel, &json!({})).json["status"], "cancelled");
    assert_problem(&me.post(&cancel, &json!({})), 409, "conflict");
    assert_status(&me.get(ME), 200);
    let log = me.get("/api/v1/audit-logs").json;
    let actions: Vec<&str> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["profile.job_cancelled", "profile.deletion_requested"]
    );
}

#[test]
fn the_last_owner_of_others_stays() {
    let me = app().tenant();
    let confirm = json!({"confirm": email(&me)});
    let team = me.post(
        "/api/v1/profiles/organizations",
        &json!({"name": "Those who stay"}),
    );
    let team = team.json["id"].as_str().unwrap().to_owned();
    let Some(other) = app().member(&team, "viewer") else {
        return; // somebody else's database
    };
    let refused = me.post(&format!("{ME}/deletion"), &confirm);
    assert_problem(&refused, 409, "conflict");
    assert!(refused.text.contains("Those who stay"), "{}", refused.text);
    // Once the other one owns it too, only the membership ends.
    let owner = me.in_organization(&team);
    let members = owner.get("/api/v1/profiles/members").json;
    let row = members["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["user_id"] == other.user_id.as_str());
    let member = row.unwrap()["id"].as_str().unwrap();
    let path = format!("/api/v1/profiles/members/{member}");
    assert_status(&owner.patch(&path, &json!({"role": "owner"})), 200);
    let job = me.post(&format!("{ME}/deletion"), &confirm);
    assert_eq!(ended(&me, &job.json)["status"], "done");
    let members = other.get("/api/v1/profiles/members").json;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(1));
    let log = other.get("/api/v1/audit-logs?action=member.left").json;
    assert_eq!(log["data"][0]["actor_user_id"], me.user_id.as_str());
    assert_eq!(other.get("/api/v1/audit-logs/verify").json["ok"], true);
}

#[test]
fn a_teams_key_does_not_reach_the_account() {
    let me = app().tenant();
    let team = me.post("/api/v1/profiles/organizations", &json!({"name": "Team"}));
    let team = me.in_organization(team.json["id"].as_str().unwrap());
    let key = team.post("/api/v1/api-keys", &json!({"name": "k", "scopes": ["*"]}));
    let key = app().with_credential(key.json["key"].as_str().unwrap());
    assert_problem(
        &key.post(&format!("{ME}/export"), &json!({})),
        403,
        "forbidden",
    );
    let body = json!({"confirm": email(&me)});
    assert_problem(
        &key.post(&format!("{ME}/deletion"), &body),
        403,
        "forbidden",
    );
    assert_eq!(me.get(&format!("{ME}/jobs")).json["data"], json!([]));
}
