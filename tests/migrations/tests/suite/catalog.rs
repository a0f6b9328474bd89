//! What the catalog says of every table and function, so that a new one cannot forget it.

use migrations_tests::Database;
use tokio_postgres::Client;

/// Relations of ours: tables and partitions of both schemas.
const TABLES: &str = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'nodeai') AND c.relkind IN ('r', 'p')";

/// Functions of ours: those of extensions are not.
const FUNCTIONS: &str = "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('public', 'nodeai')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')";

/// The offenders of a rule; `query` selects their names.
async fn check_none(client: &Client, rule: &str, query: &str) {
    let rows = client
        .query(query, &[])
        .await
        .unwrap_or_else(|error| panic!("{rule}: {error:?}"));
    let offenders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(offenders.is_empty(), "{rule}: {offenders:?}");
}

/// Every rule of this page, for the databases that were migrated in unusual ways too.
pub async fn check_all(client: &Client) {
    row_security_is_forced(client).await;
    rights_are_narrow(client).await;
    functions_are_closed(client).await;
}

async fn row_security_is_forced(client: &Client) {
    let query = format!(
        "SELECT c.relname::text FROM {TABLES} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
    );
    check_none(client, "row security is on and forced", &query).await;
    let query = format!(
        "SELECT c.relname::text FROM {TABLES}
         AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
    );
    check_none(client, "every table has a policy", &query).await;
    // A policy that asks once per row is slow; one that asks in a sub-select asks once.
    let query = "SELECT tablename || '.' || policyname FROM pg_policies
         WHERE schemaname IN ('public', 'nodeai') AND roles <> '{authenticated}'
           AND NOT (policyname = 'service' AND 'service_role' = ANY (roles))";
    check_none(
        client,
        "policies are for signed-in callers or the service",
        query,
    )
    .await;
    let query = "SELECT p.tablename || '.' || p.policyname FROM pg_policies p
         WHERE p.schemaname = 'public' AND roles = '{authenticated}'
           AND coalesce(qual, '') || coalesce(with_check, '') !~ 'SELECT'";
    check_none(client, "policies ask for membership in a sub-select", query).await;
}

async fn rights_are_narrow(client: &Client) {
    let query = format!(
        "SELECT c.relname::text FROM {TABLES}
         AND (has_table_privilege('anon', c.oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE')
           OR has_any_column_privilege('anon', c.oid, 'SELECT,INSERT,UPDATE')
           OR has_table_privilege('nodeai_app', c.oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE')
           OR has_any_column_privilege('nodeai_app', c.oid, 'SELECT,INSERT,UPDATE'))"
    );
    check_none(
        client,
        "anon and the login of the functions have no right on a table",
        &query,
    )
    .await;
    let query = format!(
        "SELECT c.relname::text FROM {TABLES} AND (n.nspname = 'nodeai' OR c.relispartition)
         AND has_any_column_privilege('authenticated', c.oid, 'SELECT,INSERT,UPDATE')"
    );
    check_none(
        client,
        "private tables and partitions are closed to callers",
        &query,
    )
    .await;
    let query = "SELECT table_name || '.' || column_name FROM information_schema.column_privileges
         WHERE grantee = 'authenticated' AND table_schema = 'public' AND privilege_type = 'UPDATE'
           AND column_name IN ('id', 'org_id', 'created_by') AND table_name NOT IN
             ('traces', 'execution_queue', 'usage_rollups', 'webhook_deliveries', 'chunks', 'term_stats', 'corpus_stats',
              'experiment_trials')";
    check_none(
        client,
        "identity and tenant of a written row cannot change",
        query,
    )
    .await;
}

async fn functions_are_closed(client: &Client) {
    let query = format!(
        "SELECT p.oid::regprocedure::text FROM {FUNCTIONS}
         AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))"
    );
    check_none(client, "nothing is executable by everybody", &query).await;
    // A body parsed at creation (`RETURN …`) cannot be led astray and stays inlinable.
    let query = format!(
        "SELECT p.oid::regprocedure::text FROM {FUNCTIONS} AND p.prosqlbody IS NULL
         AND NOT coalesce(p.proconfig @> ARRAY['search_path=\"\"'], false)"
    );
    check_none(client, "every function has an empty search path", &query).await;
    let query = format!(
        "SELECT p.oid::regprocedure::text FROM {FUNCTIONS} AND n.nspname = 'public' AND p.prosecdef"
    );
    check_none(
        client,
        "what is exposed runs with its caller's rights",
        &query,
    )
    .await;
    let query = format!(
        "SELECT p.oid::regprocedure::text FROM {FUNCTIONS} AND has_function_privilege('nodeai_app', p.oid, 'EXECUTE')
         AND p.oid NOT IN ('nodeai.admit(jsonb)'::regprocedure, 'nodeai.admit_run(jsonb)'::regprocedure, 'nodeai.health()'::regprocedure,
                           'nodeai.queue_claim(jsonb)'::regprocedure, 'nodeai.act(text,text,text,jsonb)'::regprocedure)"
    );
    check_none(
        client,
        "the login of the functions may be admitted and take up queued runs, nothing else",
        &query,
    )
    .await;
}

#[tokio::test]
async fn the_catalog_keeps_every_rule() {
    let db = Database::fresh().await;
    check_all(&db.owner().await).await;
}

#[tokio::test]
async fn every_foreign_key_is_indexed() {
    let db = Database::fresh().await;
    let query = "SELECT c.conrelid::regclass || '.' || c.conname FROM pg_constraint c
        WHERE c.contype = 'f' AND c.conparentid = 0 AND NOT EXISTS (
          SELECT FROM pg_index i WHERE i.indrelid = c.conrelid
            AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)";
    check_none(
        &db.owner().await,
        "a parent's deletion finds its children by an index",
        query,
    )
    .await;
}

#[tokio::test]
async fn there_are_the_indexes_and_partitions_that_were_asked_for() {
    let db = Database::fresh().await;
    let session = db.owner().await;
    let indexes =
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND indexname ~ '_idx$'
        AND tablename !~ '_(default|[0-9]{8})$'";
    let row = session.query_one(indexes, &[]).await.expect("a count");
    assert!(row.get::<_, i64>(0) >= 30, "{}", row.get::<_, i64>(0));
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.spans'::regclass";
    let row = session.query_one(partitions, &[]).await.expect("a count");
    assert_eq!(
        row.get::<_, i64>(0),
        10,
        "yesterday to a week ahead, and the default"
    );
}

#[tokio::test]
async fn every_table_of_the_write_list_exists_with_its_columns() {
    let db = Database::fresh().await;
    let query = "SELECT w.table_name || '.' || c FROM nodeai.writable_tables w
        CROSS JOIN LATERAL unnest(w.insertable || w.updatable) c
        WHERE NOT EXISTS (SELECT FROM information_schema.columns i
          WHERE i.table_schema = 'public' AND i.table_name = w.table_name AND i.column_name = c)";
    check_none(&db.owner().await, "listed columns exist", query).await;
}
