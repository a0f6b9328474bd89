//! The generic write: idempotency, versions, refusals, the audit row.

use futures::future::join_all;
use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};

/// The request that makes a workflow.
fn new_workflow(id: &str) -> Value {
    let definition = json!({"nodes": [], "edges": []});
    json!({
        "table": "workflows", "op": "insert", "id": id, "row": {"name": "one", "definition": definition},
        "children": [{"table": "workflow_versions", "row": {"workflow_id": id, "definition": definition}}],
        "audit": {"action": "workflow.created", "resource_type": "workflow", "resource_id": id},
        "answer": {"status": 201, "body": {"id": id, "version": 1}},
    })
}

fn update(id: &str, expected: Value, row: Value) -> Value {
    json!({"table": "workflows", "op": "update", "id": id, "expect_version": expected, "row": row,
           "answer": {"status": 200, "body": {"version": 0}}})
}

fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}

async fn rows(session: &Session, table: &str) -> i64 {
    session
        .count(&format!("SELECT count(*) FROM public.{table}"))
        .await
}

#[tokio::test]
async fn a_row_its_version_and_its_audit_row_come_together() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let session = tenant.session(&db).await;
    let made = session.call("write", new_workflow(&id())).await;
    assert_eq!(made["outcome"], "done");
    assert_eq!(made["version"], 1);
    assert_eq!(rows(&session, "workflow_versions").await, 1);
    let sql = format!(
        "SELECT count(*) FROM public.audit_logs WHERE actor_user_id = '{}' AND actor_key_id = '{}'",
        tenant.user, tenant.key
    );
    assert_eq!(session.count(&sql).await, 1);
}

#[tokio::test]
async fn an_update_needs_the_version_that_is_there() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let workflow = id();
    session.call("write", new_workflow(&workflow)).await;
    let change = json!({"name": "two"});
    let done = session
        .call("write", update(&workflow, json!(1), change.clone()))
        .await;
    assert_eq!(done["outcome"], "done");
    assert_eq!(done["answer"]["body"]["version"], 2);
    let stale = session
        .call("write", update(&workflow, json!(1), change.clone()))
        .await;
    assert_eq!(stale, json!({"outcome": "stale", "version": 2}));
    let any = session
        .call("write", update(&workflow, Value::Null, change.clone()))
        .await;
    assert_eq!(any["version"], 3);
    assert_eq!(
        session.call("write", update(&id(), json!(1), change)).await["outcome"],
        "missing"
    );
    let delete = json!({"table": "workflows", "op": "delete", "id": workflow, "expect_version": 2});
    assert_eq!(
        session.call("write", delete.clone()).await["outcome"],
        "stale"
    );
    assert_eq!(
        session
            .call("write", with(delete.clone(), "expect_version", json!(3)))
            .await["outcome"],
        "done"
    );
    assert_eq!(
        session
            .call("write", with(delete, "expect_version", Value::Null))
            .await["outcome"],
        "missing"
    );
}

#[tokio::test]
async fn twenty_at_once_with_one_key_make_one_row_and_get_one_answer() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let sessions = join_all((0..20).map(|_| tenant.session(&db))).await;
    let claim = json!({"key": "k", "route": "POST /workflows", "request_hash": "h"});
    // Every request has drawn an id of its own, as the guests do.
    let requests = sessions.iter().map(|session| {
        session.call(
            "write",
            with(new_workflow(&id()), "idempotency", claim.clone()),
        )
    });
    let answers = join_all(requests).await;
    assert_eq!(rows(&sessions[0], "workflows").await, 1);
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer["outcome"] == "done")
            .count(),
        1
    );
    for answer in &answers {
        assert_eq!(answer["answer"], answers[0]["answer"]);
    }
}

#[tokio::test]
async fn a_key_is_refused_for_another_request_and_free_after_a_failure() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let claim = |hash: &str| json!({"key": "k", "route": "POST /workflows", "request_hash": hash});
    let bad = with(
        with(new_workflow(&id()), "row", json!({"name": ""})),
        "idempotency",
        claim("bad"),
    );
    assert_eq!(session.call("write", bad).await["outcome"], "invalid");
    let good = with(new_workflow(&id()), "idempotency", claim("h"));
    assert_eq!(session.call("write", good.clone()).await["outcome"], "done");
    assert_eq!(session.call("write", good).await["outcome"], "replayed");
    let other = with(new_workflow(&id()), "idempotency", claim("other"));
    assert_eq!(session.call("write", other).await["outcome"], "key_reused");
}

#[tokio::test]
async fn another_caller_has_the_same_key_to_itself() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let claim = json!({"key": "k", "route": "POST /workflows", "request_hash": "h"});
    for tenant in [&a, &b] {
        let request = with(new_workflow(&id()), "idempotency", claim.clone());
        assert_eq!(
            tenant.session(&db).await.call("write", request).await["outcome"],
            "done"
        );
    }
}

#[tokio::test]
async fn only_listed_tables_and_columns_can_be_written() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let session = a.session(&db).await;
    let workflow = id();
    session.call("write", new_workflow(&workflow)).await;
    for column in ["org_id", "id", "version", "created_by", "deleted_at"] {
        let refused = session
            .call("write", update(&workflow, json!(1), json!({column: b.org})))
            .await;
        assert_eq!(refused, json!({"outcome": "forbidden", "column": column}));
    }
    for table in [
        "audit_logs",
        "traces",
        "execution_queue",
        "profiles",
        "no_such_table",
        "workflows; --",
    ] {
        let refused = session
            .call("write", with(new_workflow(&id()), "table", json!(table)))
            .await;
        assert_eq!(refused["outcome"], "forbidden", "{table}");
    }
    let direct = format!("UPDATE public.workflows SET org_id = '{}'", b.org);
    assert!(
        session.touch(&direct).await.is_err(),
        "the tenant of a row cannot change by a plain statement either"
    );
}

#[tokio::test]
async fn constraints_come_back_by_name_and_leave_nothing() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let tool =
        |id: &str| json!({"table": "tools", "id": id, "row": {"name": "t", "kind": "function"}});
    assert_eq!(session.call("write", tool(&id())).await["outcome"], "done");
    let twice = session.call("write", tool(&id())).await;
    assert_eq!(
        twice,
        json!({"outcome": "conflict", "constraint": "tools_name_unique"})
    );
    let long = session
        .call(
            "write",
            with(
                new_workflow(&id()),
                "row",
                json!({"name": "x".repeat(201), "definition": {}}),
            ),
        )
        .await;
    assert_eq!(long["outcome"], "invalid");
    assert_eq!(long["constraint"], "workflows_name_length");
    let missing = session
        .call(
            "write",
            with(new_workflow(&id()), "row", json!({"name": "x"})),
        )
        .await;
    assert_eq!(missing["outcome"], "invalid");
    assert_eq!(missing["column"], "definition");
    assert_eq!(
        rows(&session, "workflows").await + rows(&session, "workflow_versions").await,
        0
    );
}

#[tokio::test]
async fn another_tenants_row_is_missing_and_its_organisation_forbidden() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let theirs = id();
    b.session(&db)
        .await
        .call("write", new_workflow(&theirs))
        .await;
    let session = a.session(&db).await;
    let change = with(
        update(&theirs, json!(1), json!({"name": "mine"})),
        "org_id",
        json!(b.org),
    );
    assert_eq!(session.call("write", change).await["outcome"], "missing");
    let foreign = with(new_workflow(&id()), "org_id", json!(b.org));
    assert_eq!(session.call("write", foreign).await["outcome"], "forbidden");
    // A child that would hang on the other's workflow.
    let child = json!({"table": "workflow_versions", "row": {"workflow_id": theirs, "number": 2, "definition": {}}});
    let hung = with(new_workflow(&id()), "children", json!([child]));
    assert_eq!(session.call("write", hung).await["outcome"], "forbidden");
}

#[tokio::test]
async fn the_last_owner_stays_and_nobody_rises_above_the_own_role() {
    let db = Database::fresh().await;
    let (a, b, c) = (
        db.tenant("a").await,
        db.tenant("b").await,
        db.tenant("c").await,
    );
    let owner = a.session(&db).await;
    let add = |user: &str, role: &str| json!({"table": "organization_members", "id": id(), "org_id": a.org, "row": {"user_id": user, "role": role}});
    assert_eq!(
        owner.call("write", add(&b.user, "admin")).await["outcome"],
        "done"
    );
    let admin = b.session_in(&db, &a.org).await;
    assert_eq!(
        admin.call("write", add(&c.user, "owner")).await["outcome"],
        "forbidden"
    );
    assert_eq!(
        admin.call("write", add(&c.user, "editor")).await["outcome"],
        "done"
    );
    let own = db
        .owner()
        .await
        .query_one(
            &format!(
                "SELECT id::text FROM public.organization_members WHERE user_id = '{}'",
                a.user
            ),
            &[],
        )
        .await;
    let member: String = own.expect("the owner").get(0);
    let leave =
        json!({"table": "organization_members", "op": "delete", "id": member, "org_id": a.org});
    assert_eq!(
        admin.call("write", leave.clone()).await["outcome"],
        "forbidden"
    );
    let refused = owner.call("write", leave).await;
    assert_eq!(
        refused["constraint"], "organization_members_last_owner",
        "{refused}"
    );
}
