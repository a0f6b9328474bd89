//! The same files where we are not superuser, and where Supabase has been before us.

use migrations_tests::{Database, id};
use serde_json::json;
use tokio_postgres::Client;

use crate::catalog;

/// What a Supabase project has before our first migration.
const SUPABASE: &str = "
    CREATE SCHEMA auth; CREATE SCHEMA extensions;
    GRANT USAGE ON SCHEMA auth, extensions, public TO anon, authenticated, service_role;
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
      SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
    CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'theirs'::text $$;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;";

/// Becomes a plain role that may create roles and owns the database, as the owner of a hosted one.
async fn become_plain_owner(db: &Database) -> Client {
    let client = db.owner().await;
    let role = format!("owner_of_{}", db.name());
    let sql = format!(
        "CREATE ROLE {role} CREATEROLE NOLOGIN;
         GRANT anon, authenticated, service_role TO {role} WITH ADMIN OPTION;
         ALTER DATABASE {0} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role};
         SET SESSION AUTHORIZATION {role}",
        db.name()
    );
    client.batch_execute(&sql).await.expect("a plain owner");
    client
}

/// Key, write, run and trace: the path through every privileged function.
async fn works(db: &Database, owner: &Client) {
    let key_hash = "0".repeat(64);
    let bootstrap = json!({"user_id": id(), "email": "a@example.org", "org_id": id(), "key_id": id(),
        "key_hash": key_hash, "key_last4": "abcd", "key_prefix": "nai_live_", "scopes": ["*"]});
    owner
        .query_one("SELECT nodeai.bootstrap_local($1)", &[&bootstrap])
        .await
        .expect("a user");
    let session = db.session().await;
    let principal = session
        .admit(json!({"kind": "api_key", "key_hash": key_hash}))
        .await;
    assert_eq!(principal["outcome"], "ok");
    let write = json!({"table": "workflows", "id": id(), "row": {"name": "w", "definition": {}},
        "idempotency": {"key": "k", "request_hash": "h"},
        "audit": {"action": "workflow.created", "resource_type": "workflow"}});
    assert_eq!(
        session.call("write", write.clone()).await["outcome"],
        "done"
    );
    assert_eq!(session.call("write", write).await["outcome"], "replayed");
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.audit_logs")
            .await,
        1
    );
    let span = json!({"trace_id": "0".repeat(31) + "1", "span_id": "0000000000000001", "name": "s", "start_us": 1});
    assert_eq!(
        session.call("spans_flush", json!({"spans": [span]})).await["inserted"],
        1
    );
    owner
        .batch_execute("SELECT nodeai.housekeeping('{}')")
        .await
        .expect("housekeeping");
}

async fn leave(db: &Database, client: &Client) {
    // A role cannot be dropped while it owns something; the database goes first.
    let role = format!("owner_of_{}", db.name());
    let sql = format!(
        "RESET SESSION AUTHORIZATION; REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
    );
    client.batch_execute(&sql).await.expect("the role goes");
}

#[tokio::test]
async fn a_plain_owner_is_enough() {
    // The template makes sure that the roles are there: this owner could create them, but not twice at once.
    drop(Database::fresh().await);
    let db = Database::create("").await;
    let owner = become_plain_owner(&db).await;
    Database::migrate(&owner).await;
    works(&db, &owner).await;
    leave(&db, &owner).await;
    catalog::check_all(&db.owner().await).await;
}

#[tokio::test]
async fn what_supabase_has_made_stays_and_what_it_grants_is_taken_back() {
    drop(Database::fresh().await);
    let db = Database::create("").await;
    let owner = become_plain_owner(&db).await;
    owner.batch_execute(SUPABASE).await.expect("a project");
    Database::migrate(&owner).await;
    let row = owner
        .query_one("SELECT auth.role()", &[])
        .await
        .expect("their function");
    assert_eq!(row.get::<_, String>(0), "theirs");
    works(&db, &owner).await;
    catalog::check_all(&owner).await;
    leave(&db, &owner).await;
}
