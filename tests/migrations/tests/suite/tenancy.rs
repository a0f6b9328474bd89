//! Tenants: over every table of the catalog, nobody reads or writes another's rows; without admission nobody reads.

use std::collections::HashMap;

use migrations_tests::{Database, Session, Tenant};
use tokio_postgres::Client;

/// A table and the columns that a made-up row of it must have, with their types.
struct Table {
    name: String,
    columns: Vec<(String, String)>,
}

/// Every table of the exposed schema that belongs to tenants.
async fn tenant_tables(owner: &Client) -> Vec<Table> {
    let query = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'org_id')
          AND (a.attname IN ('org_id', 'user_id') OR (a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''))
        ORDER BY 1, a.attnum";
    let mut tables: Vec<Table> = Vec::new();
    for row in owner.query(query, &[]).await.expect("the catalog") {
        let (name, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        if tables.last().is_none_or(|last| last.name != name) {
            tables.push(Table {
                name,
                columns: Vec::new(),
            });
        }
        tables
            .last_mut()
            .expect("just pushed")
            .columns
            .push((column, kind));
    }
    tables
}

/// Some value of a type, as SQL.
fn some_value(column: &str, kind: &str, of: &Tenant) -> String {
    match (column, kind) {
        ("org_id", _) => format!("'{}'", of.org),
        ("user_id", _) => format!("'{}'", of.user),
        (_, "uuid") => "gen_random_uuid()".into(),
        (_, "text") => "'x' || gen_random_uuid()".into(),
        (_, "integer" | "bigint" | "smallint" | "real" | "double precision" | "numeric") => {
            "1".into()
        }
        (_, "date") => "'2026-11-24'".into(),
        (_, "timestamp with time zone") => "now()".into(),
        (_, "jsonb") => "'{}'".into(),
        (_, "bytea") => r"'\x00'".into(),
        (_, "boolean") => "false".into(),
        (_, array) if array.ends_with("[]") => "'{}'".into(),
        (_, other) => panic!("a value for {column} {other}"),
    }
}

fn insert(table: &Table, of: &Tenant) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let values: Vec<_> = table
        .columns
        .iter()
        .map(|(name, kind)| some_value(name, kind, of))
        .collect();
    format!(
        "INSERT INTO public.{} ({}) VALUES ({})",
        table.name,
        columns.join(", "),
        values.join(", ")
    )
}

/// Puts one row of each tenant into every table; checks, references and triggers are not what is tested here.
async fn fill(owner: &Client, tables: &[Table], tenants: [&Tenant; 2]) {
    let drop_checks = "DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT conrelid::regclass AS rel, conname FROM pg_constraint
          WHERE contype = 'c' AND coninhcount = 0 AND connamespace = 'public'::regnamespace LOOP
          EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.rel, c.conname);
        END LOOP; END $$;
        SET session_replication_role = replica";
    owner.batch_execute(drop_checks).await.expect("no checks");
    for table in tables {
        for tenant in tenants {
            let sql = insert(table, tenant);
            // The members' and keys' tables have their rows already.
            let sql = format!("{sql} ON CONFLICT DO NOTHING");
            owner
                .batch_execute(&sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }
    owner
        .batch_execute("RESET session_replication_role")
        .await
        .expect("as before");
}

async fn rows_of(owner: &Client, tables: &[Table], org: &str) -> HashMap<String, i64> {
    let mut counts = HashMap::new();
    for table in tables {
        let sql = format!(
            "SELECT count(*) FROM public.{} WHERE org_id = '{org}'",
            table.name
        );
        let count = owner.query_one(&sql, &[]).await.expect("a count").get(0);
        counts.insert(table.name.clone(), count);
    }
    counts
}

/// Columns of a table on which the session's role has `privilege`.
async fn columns_with(session: &Session, table: &str, privilege: &str) -> Vec<String> {
    let sql = format!(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.{table}'::regclass AND attnum > 0
         AND NOT attisdropped AND has_column_privilege(attrelid, attname, '{privilege}') ORDER BY attnum"
    );
    let rows = session
        .client()
        .query(&sql, &[])
        .await
        .expect("the catalog");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Reads what the session may read of a table where the organisation is `org`; null when it may read nothing.
async fn visible(session: &Session, table: &str, org: &str) -> Option<i64> {
    if columns_with(session, table, "SELECT").await.is_empty() {
        return None;
    }
    Some(
        session
            .count(&format!(
                "SELECT count(*) FROM public.{table} WHERE org_id = '{org}'"
            ))
            .await,
    )
}

/// Tries to change and delete rows of `org`, by every way that the rights leave open.
async fn attack(session: &Session, table: &Table, victim: &Tenant) {
    let (name, org) = (&table.name, &victim.org);
    for column in columns_with(session, name, "UPDATE").await {
        let sql = format!("UPDATE public.{name} SET {column} = {column} WHERE org_id = '{org}'");
        assert!(matches!(session.touch(&sql).await, Ok(0) | Err(_)), "{sql}");
    }
    let sql = format!("DELETE FROM public.{name} WHERE org_id = '{org}'");
    assert!(matches!(session.touch(&sql).await, Ok(0) | Err(_)), "{sql}");
    let sql = insert(table, victim);
    let refused = session.touch(&sql).await.expect_err(&sql);
    assert_eq!(refused.code(), "42501", "{sql}");
}

#[tokio::test]
async fn no_tenant_reads_or_writes_a_row_of_another() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let owner = db.owner().await;
    let tables = tenant_tables(&owner).await;
    assert!(tables.len() > 40, "{}", tables.len());
    fill(&owner, &tables, [&a, &b]).await;
    let before = rows_of(&owner, &tables, &b.org).await;
    let (own, other) = (b.session(&db).await, a.session(&db).await);
    for table in &tables {
        let seen = visible(&own, &table.name, &b.org).await;
        assert!(
            seen.is_none_or(|count| count > 0),
            "{}: the owner sees the own rows",
            table.name
        );
        assert!(
            matches!(visible(&other, &table.name, &b.org).await, None | Some(0)),
            "{}",
            table.name
        );
        attack(&other, table, &b).await;
    }
    assert_eq!(rows_of(&owner, &tables, &b.org).await, before);
    assert_eq!(
        other
            .count(&format!(
                "SELECT count(*) FROM public.organizations WHERE id = '{}'",
                b.org
            ))
            .await,
        0
    );
    assert_eq!(
        other
            .count(&format!(
                "SELECT count(*) FROM public.profiles WHERE id = '{}'",
                b.user
            ))
            .await,
        0
    );
}

#[tokio::test]
async fn a_forgotten_admission_reads_and_calls_nothing() {
    let db = Database::fresh().await;
    db.tenant("a").await;
    let tables = tenant_tables(&db.owner().await).await;
    let session = db.session().await;
    for table in tables.iter().map(|table| table.name.as_str()).chain([
        "organizations",
        "profiles",
        "user_settings",
    ]) {
        let refused = session
            .touch(&format!("SELECT FROM public.{table}"))
            .await
            .expect_err(table);
        assert_eq!(refused.code(), "42501", "{table}");
    }
    for function in [
        "write",
        "run_start",
        "run_commit",
        "run_get",
        "trace_tree",
        "spans_flush",
        "housekeeping",
    ] {
        let refused = session
            .touch(&format!("SELECT public.{function}('{{}}')"))
            .await
            .expect_err(function);
        assert_eq!(refused.code(), "42501", "{function}");
    }
}

#[tokio::test]
async fn claims_left_empty_after_a_reset_see_nothing() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.organizations")
            .await,
        1
    );
    session
        .client()
        .batch_execute("SELECT set_config('request.jwt.claims', '', false)")
        .await
        .expect("a reset");
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.organizations")
            .await,
        0
    );
}

#[tokio::test]
async fn the_chosen_organisation_is_the_only_one_in_sight() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let join = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', 'viewer')",
        b.org, a.user
    );
    db.owner()
        .await
        .batch_execute(&join)
        .await
        .expect("a member");
    let theirs = a.session_in(&db, &b.org).await;
    let seen = theirs
        .client()
        .query_one("SELECT array_agg(id::text) FROM public.organizations", &[])
        .await;
    assert_eq!(
        seen.expect("rows").get::<_, Vec<String>>(0),
        [b.org.as_str()]
    );
}

#[tokio::test]
async fn settings_are_the_own_users_alone() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let join = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', 'admin')",
        b.org, a.user
    );
    db.owner()
        .await
        .batch_execute(&join)
        .await
        .expect("a member");
    let session = a.session_in(&db, &b.org).await;
    assert_eq!(
        session
            .count("SELECT count(*) FROM (SELECT id, email FROM public.profiles) p")
            .await,
        2,
        "fellows are visible"
    );
    let own = session
        .client()
        .query_one(
            "SELECT array_agg(user_id::text) FROM public.user_settings",
            &[],
        )
        .await;
    assert_eq!(
        own.expect("rows").get::<_, Vec<String>>(0),
        [a.user.as_str()]
    );
    assert!(
        session
            .touch("SELECT settings FROM public.profiles")
            .await
            .is_err()
    );
}
