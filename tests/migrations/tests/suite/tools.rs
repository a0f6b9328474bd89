//! Tools: what the MCP server offers, what is kept of others, replacement.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};

async fn write(session: &Session, row: Value) -> String {
    let tool = id();
    let request = json!({"table": "tools", "op": "insert", "id": tool, "row": row,
        "answer": {"status": 201, "body": {}},
        "audit": {"action": "tool.created", "resource_type": "tool", "resource_id": tool}});
    let answer = session.call("write", request).await;
    assert_eq!(answer["outcome"], "done", "{answer}");
    tool
}

/// A function, two operations (one tool is off), and a deployed workflow with an input node.
async fn fill(db: &Database, tenant: &Tenant) -> String {
    let session = tenant.session(db).await;
    let f = |name: &str| json!({"name": name, "input_schema": {}, "operation": {"private": true}});
    write(
        &session,
        json!({"name": "fn", "kind": "function", "functions": [f("fn")]}),
    )
    .await;
    write(
        &session,
        json!({"name": "off", "kind": "function", "functions": [f("off")], "enabled": false}),
    )
    .await;
    let row = json!({"name": "api", "kind": "openapi", "functions": [f("get"), f("put")], "document": {"openapi": "3.1.0"}});
    let tool = write(&session, row).await;
    let sql = format!(
        "INSERT INTO public.workflows (id, org_id, name, definition) SELECT gen_random_uuid(), '{org}', 'w',
           '{{\"nodes\":[{{\"id\":\"in\",\"type\":\"input\",\"data\":{{\"schema\":[{{\"name\":\"a\"}}]}}}}]}}';
         INSERT INTO public.deployments (id, org_id, workflow_id, slug, environment, workflow_version)
           SELECT gen_random_uuid(), org_id, id, 'hello', e, 1 FROM public.workflows, unnest(ARRAY['dev', 'prod']) e WHERE org_id = '{org}';",
        org = tenant.org
    );
    db.owner().await.batch_execute(&sql).await.expect("rows");
    tool
}

fn names(offered: &Value) -> Vec<&str> {
    let all = offered.as_array().unwrap();
    all.iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_caller_is_offered_what_is_on_page_by_page() {
    let db = Database::fresh().await;
    let (owner, stranger) = (db.tenant("owner").await, db.tenant("stranger").await);
    fill(&db, &owner).await;
    let session = owner.session(&db).await;
    let all = session
        .call("tools_offered", json!({"org_id": owner.org}))
        .await;
    assert_eq!(
        names(&all),
        [
            "api__get",
            "api__put",
            "fn",
            "workflow__hello",
            "workflow__hello__dev"
        ]
    );
    assert_eq!(
        all[0]["function"].get("operation"),
        None,
        "how it is called is nobody's business"
    );
    assert_eq!(
        all[3]["workflow"]["inputs"],
        json!([{"schema": [{"name": "a"}]}])
    );
    let page = json!({"org_id": owner.org, "after": "api__put", "limit": 2});
    let page = session.call("tools_offered", page).await;
    assert_eq!(names(&page), ["fn", "workflow__hello"]);
    let one = session
        .call("tools_offered", json!({"org_id": owner.org, "name": "off"}))
        .await;
    assert_eq!(one, json!([]));
    let session = stranger.session(&db).await;
    let nothing = session
        .call("tools_offered", json!({"org_id": owner.org}))
        .await;
    assert_eq!(nothing, json!([]));
}

#[tokio::test]
async fn what_was_learned_is_kept_for_this_version_alone() {
    let db = Database::fresh().await;
    let (owner, stranger) = (db.tenant("owner").await, db.tenant("stranger").await);
    let tool = fill(&db, &owner).await;
    let learned = |version: i64| {
        json!({"org_id": owner.org, "id": tool, "version": version,
        "functions": [{"name": "new", "input_schema": {}}], "left_out": [], "protocol": "2026-07-28"})
    };
    let other = stranger.session(&db).await;
    assert_eq!(other.call("tool_learned", learned(1)).await["kept"], false);
    let session = owner.session(&db).await;
    assert_eq!(
        session.call("tool_learned", learned(2)).await["kept"],
        false
    );
    assert_eq!(session.call("tool_learned", learned(1)).await["kept"], true);
    let version = format!(
        "SELECT version::bigint FROM public.tools WHERE id = '{tool}' AND functions -> 0 ->> 'name' = 'new'"
    );
    assert_eq!(
        session.count(&version).await,
        1,
        "a list that is looked up is no change of the tool"
    );
}

#[tokio::test]
async fn a_replacement_keeps_the_kind_and_the_audit_log_stays_small() {
    let db = Database::fresh().await;
    let owner = db.tenant("owner").await;
    let tool = fill(&db, &owner).await;
    let session = owner.session(&db).await;
    let replace = |kind: &str| {
        json!({"do": "tool_replace", "answer": {"status": 200, "body": {}},
        "args": {"id": tool, "kind": kind, "expect_version": 1, "row": {"name": "renamed"}}})
    };
    let other = session.call("command", replace("mcp")).await;
    assert_eq!(other["outcome"], "refused");
    let done = session.call("command", replace("openapi")).await;
    assert_eq!(
        (&done["outcome"], &done["answer"]["body"]["name"]),
        (&json!("done"), &json!("renamed"))
    );
    assert_eq!(done["answer"]["body"].get("functions"), None);
    assert_eq!(
        session.call("command", replace("openapi")).await["outcome"],
        "stale"
    );
    let sql = "SELECT count(*) FILTER (WHERE details #>> '{after,document,sha256}' IS NOT NULL),
        count(*) FILTER (WHERE details::text LIKE '%3.1.0%') FROM public.audit_logs";
    let row = db.owner().await.query_one(sql, &[]).await.expect("counts");
    let counts: (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(counts, (1, 0), "a document is there as its digest");
}
