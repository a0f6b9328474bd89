//! Keys of runs: whose they are, what they open, and until when.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use uuid::Uuid;

fn hash() -> String {
    let half = || Uuid::new_v4().simple().to_string();
    half() + &half()
}

/// A run that is at work.
async fn start(session: &Session) -> String {
    let (run, trace) = (id(), Uuid::new_v4().simple().to_string());
    let execution = json!({"id": run, "trace_id": trace, "mode": "sync", "inputs": {}, "definition": {"nodes": []},
        "started_us": 1_790_000_000_000_000_i64});
    let started = session
        .call("run_start", json!({"execution": execution}))
        .await;
    assert_eq!(started["outcome"], "started", "{started}");
    run
}

async fn key_of(session: &Session, run: &str) -> Option<String> {
    let hash = hash();
    let made = session
        .call("run_key", json!({"execution_id": run, "key_hash": hash}))
        .await;
    (made["outcome"] == "made").then_some(hash)
}

/// The principal whom a key's bearer becomes, and the role.
async fn admit(session: &Session, hash: &str, scope: &str) -> (Value, String) {
    let request = json!({"kind": "run_key", "key_hash": hash, "scope": scope, "route": "GET /x", "nonce": "n"});
    let sql = "SELECT a.principal, a.role FROM nodeai.admit_run($1) a";
    let row = session.client().query_one(sql, &[&request]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn a_key_opens_the_areas_while_its_run_is_at_work() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (own, other) = (a.session(&db).await, b.session(&db).await);
    let door = db.session().await;
    let run = start(&own).await;
    let key = key_of(&own, &run).await.expect("a key");
    assert_eq!(key_of(&other, &run).await, None, "of another's run");

    let (principal, role) = admit(&door, &key, "files:write").await;
    assert_eq!(
        (principal["outcome"].as_str(), role.as_str()),
        (Some("ok"), "authenticated")
    );
    let claims: Value = serde_json::from_str(&a.claims()).unwrap();
    assert_eq!(
        (&principal["org_id"], &principal["user_id"]),
        (&claims["org_id"], &claims["sub"])
    );
    assert_eq!(
        admit(&door, &key, "deployments:run").await.0["outcome"],
        "ok",
        "a workflow may be a tool of another"
    );
    for scope in [
        "workflows:run",
        "secrets:read",
        "api-keys:write",
        "files:admin",
        "",
    ] {
        let (principal, role) = admit(&door, &key, scope).await;
        assert_eq!(
            (principal["outcome"].as_str(), role.as_str()),
            (Some("scope_missing"), "anon"),
            "{scope}"
        );
    }
    let (principal, _) = admit(&door, &hash(), "files:read").await;
    assert_eq!(principal["outcome"], "unknown_key");

    let owner = db.owner().await;
    owner
        .execute(
            "UPDATE nodeai.run_keys SET expires_at = now() - interval '1 second'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        admit(&door, &key, "files:read").await.0["outcome"],
        "key_expired"
    );
    let fresh = key_of(&own, &run).await.expect("a key");
    let left: i64 = owner
        .query_one("SELECT count(*) FROM nodeai.run_keys", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 1, "what is over is swept");
    owner
        .execute(
            "UPDATE public.execution_queue SET status = 'succeeded', finished_at = now()",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        admit(&door, &fresh, "files:read").await.0["outcome"],
        "key_expired"
    );
    assert_eq!(key_of(&own, &run).await, None, "the run has ended");
}

#[tokio::test]
async fn a_key_does_what_its_owners_role_may() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await;
    let own = a.session(&db).await;
    let run = start(&own).await;
    let key = key_of(&own, &run).await.expect("a key");
    let (door, owner) = (db.session().await, db.owner().await);
    // The last owner stays, otherwise.
    let free = "ALTER TABLE public.organization_members DISABLE TRIGGER USER";
    owner.batch_execute(free).await.unwrap();
    owner
        .execute(
            "UPDATE public.organization_members SET role = 'viewer'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(admit(&door, &key, "files:read").await.0["outcome"], "ok");
    assert_eq!(
        admit(&door, &key, "files:write").await.0["outcome"],
        "scope_missing"
    );
    owner
        .execute("DELETE FROM public.organization_members", &[])
        .await
        .unwrap();
    assert_eq!(
        admit(&door, &key, "files:read").await.0["outcome"],
        "not_a_member"
    );
}
