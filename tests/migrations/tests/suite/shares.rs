//! Shares: by user and by link, with role and end; nothing beyond what was shared.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};

/// A workflow of the tenant with one version.
async fn workflow(session: &Session) -> String {
    let workflow = id();
    let definition = json!({"nodes": []});
    let request = json!({"table": "workflows", "id": workflow, "row": {"name": "shared", "definition": definition},
        "children": [{"table": "workflow_versions", "row": {"workflow_id": workflow, "definition": definition}}]});
    assert_eq!(session.call("write", request).await["outcome"], "done");
    workflow
}

async fn share(session: &Session, workflow: &str, row: Value) -> Value {
    let mut row = row;
    row["workflow_id"] = json!(workflow);
    session
        .call(
            "write",
            json!({"table": "workflow_shares", "id": id(), "row": row}),
        )
        .await["outcome"]
        .clone()
}

fn rename(owner: &Tenant, workflow: &str) -> Value {
    json!({"table": "workflows", "op": "update", "org_id": owner.org, "id": workflow, "row": {"name": "renamed"},
           "children": [{"table": "workflow_versions", "row": {"workflow_id": workflow, "definition": {}}}]})
}

async fn seen(session: &Session) -> (i64, i64) {
    let workflows = session.count("SELECT count(*) FROM public.workflows").await;
    (
        workflows,
        session
            .count("SELECT count(*) FROM public.workflow_versions")
            .await,
    )
}

#[tokio::test]
async fn a_viewers_share_reads_one_workflow_and_changes_none() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (owner, guest) = (a.session(&db).await, b.session(&db).await);
    let shared = workflow(&owner).await;
    workflow(&owner).await;
    assert_eq!(seen(&guest).await, (0, 0));
    assert_eq!(
        share(&owner, &shared, json!({"user_id": b.user})).await,
        "done"
    );
    assert_eq!(seen(&guest).await, (1, 1));
    assert_eq!(
        guest.call("write", rename(&a, &shared)).await["outcome"],
        "forbidden"
    );
    let run =
        json!({"execution": {"id": id(), "trace_id": "0".repeat(31) + "1", "workflow_id": shared}});
    let started = guest.call("run_start", run).await;
    assert_eq!(
        started["execution"]["org_id"], b.org,
        "the guest's run is the guest's"
    );
    assert_eq!(
        owner
            .count("SELECT count(*) FROM public.execution_queue")
            .await,
        0
    );
}

#[tokio::test]
async fn an_editors_share_changes_that_workflow_alone() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (owner, guest) = (a.session(&db).await, b.session(&db).await);
    let (shared, kept) = (workflow(&owner).await, workflow(&owner).await);
    share(
        &owner,
        &shared,
        json!({"user_id": b.user, "role": "editor"}),
    )
    .await;
    let done = guest.call("write", rename(&a, &shared)).await;
    assert_eq!(
        (&done["outcome"], &done["version"]),
        (&json!("done"), &json!(2))
    );
    assert_eq!(
        guest.call("write", rename(&a, &kept)).await["outcome"],
        "missing"
    );
    let delete = json!({"table": "workflows", "op": "delete", "org_id": a.org, "id": shared});
    assert_eq!(guest.call("write", delete).await["outcome"], "forbidden");
    assert_eq!(
        share(&guest, &shared, json!({"user_id": b.user, "org_id": a.org})).await,
        "forbidden"
    );
}

#[tokio::test]
async fn a_share_ends_when_it_said_so() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let owner = a.session(&db).await;
    let shared = workflow(&owner).await;
    share(
        &owner,
        &shared,
        json!({"user_id": b.user, "expires_at": "2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(seen(&b.session(&db).await).await, (0, 0));
}

#[tokio::test]
async fn a_link_opens_for_whoever_has_its_token() {
    let db = Database::fresh().await;
    let owner = db.tenant("a").await.session(&db).await;
    let shared = workflow(&owner).await;
    assert_eq!(
        share(&owner, &shared, json!({"token_hash": "t"})).await,
        "done"
    );
    assert_eq!(
        share(
            &owner,
            &shared,
            json!({"token_hash": "u", "role": "editor"})
        )
        .await,
        "invalid"
    );
    let stranger = db.session().await;
    stranger
        .admit(json!({"kind": "api_key", "key_hash": "unknown"}))
        .await;
    let opened = stranger
        .call("share_open", json!({"token_hash": "t"}))
        .await;
    assert_eq!(opened["workflow"]["id"], shared);
    assert_eq!(
        stranger
            .call("share_open", json!({"token_hash": "u"}))
            .await["workflow"],
        Value::Null
    );
}

#[tokio::test]
async fn a_viewer_of_the_organisation_reads_and_writes_nothing() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let shared = workflow(&a.session(&db).await).await;
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
    assert_eq!(seen(&viewer).await, (1, 1));
    assert_eq!(
        viewer.call("write", rename(&a, &shared)).await["outcome"],
        "forbidden"
    );
    let run =
        json!({"execution": {"id": id(), "trace_id": "0".repeat(31) + "1", "workflow_id": shared}});
    assert_eq!(viewer.call("run_start", run).await["outcome"], "forbidden");
}
