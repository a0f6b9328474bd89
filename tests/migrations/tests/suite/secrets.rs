//! Secrets: a ciphertext is given to those who may run, and never without a row in the log.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};

/// A secret with one version, as the functions write it.
async fn keep(session: &Session, name: &str, environment: &str, bytes: &str) -> Value {
    let secret = id();
    let version = json!({"secret_id": secret, "number": 1, "key_version": 1, "wrapped_key": r"\x01",
        "nonce": r"\x02", "ciphertext": bytes});
    let request = json!({"table": "secrets_vault", "id": secret,
        "row": {"name": name, "environment": environment},
        "children": [{"table": "secret_versions", "row": version}]});
    session.call("write", request).await["outcome"].clone()
}

async fn log_rows(session: &Session) -> i64 {
    let sql = "SELECT count(*) FROM public.secret_access_log WHERE purpose = 'test'";
    session.count(sql).await
}

#[tokio::test]
async fn each_opening_is_logged_and_the_environment_decides() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    assert_eq!(keep(&session, "KEY", "", r"\xaa").await, "done");
    assert_eq!(keep(&session, "KEY", "prod", r"\xbb").await, "done");
    assert_eq!(keep(&session, "KEY", "prod", r"\xcc").await, "conflict");
    let names = json!(["KEY", "NOT_THERE"]);
    let open = json!({"names": names, "purpose": "test", "environment": "prod"});
    let opened = session.call("secrets_open", open).await;
    assert_eq!(opened.as_array().map(Vec::len), Some(1));
    assert_eq!(opened[0]["ciphertext"], "bb");
    let open = json!({"names": names, "purpose": "test"});
    assert_eq!(
        session.call("secrets_open", open).await[0]["ciphertext"],
        "aa"
    );
    assert_eq!(log_rows(&session).await, 2);
    let direct = session
        .touch("SELECT ciphertext FROM public.secret_versions")
        .await;
    assert!(direct.is_err(), "there is no way around the log");
}

#[tokio::test]
async fn a_viewer_and_a_stranger_open_nothing() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let owner = a.session(&db).await;
    keep(&owner, "KEY", "", r"\xaa").await;
    let open = json!({"org_id": a.org, "names": ["KEY"], "purpose": "test"});
    let stranger = b.session(&db).await;
    assert!(
        stranger
            .try_call("secrets_open", open.clone())
            .await
            .is_err()
    );
    let join = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', 'viewer')",
        a.org, b.user
    );
    db.owner()
        .await
        .batch_execute(&join)
        .await
        .expect("a member");
    let viewer = b.session_in(&db, &a.org).await;
    assert!(viewer.try_call("secrets_open", open).await.is_err());
    assert_eq!(log_rows(&owner).await, 0);
}
