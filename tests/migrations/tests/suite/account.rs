//! Export and deletion of an account, step by step; attacks in the audit log.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};

async fn begin(session: &Session, what: &str) -> String {
    let job = id();
    let request = json!({"do": what, "args": {"id": job}, "answer": {"status": 202, "body": {}}});
    let answer = session.call("command", request).await;
    assert_eq!(answer["outcome"], "done", "{answer}");
    job
}

async fn step(session: &Session, job: &str) -> Value {
    let request = json!({"id": job, "advance": true});
    session.call("profile_job", request).await
}

/// A session of `tenant` in which only the job may be asked for.
async fn asking(db: &Database, tenant: &Tenant) -> Session {
    let session = db.session().await;
    let request = json!({"kind": "jwt", "claims": {"sub": tenant.user}, "scope": "profiles:own",
        "route": "GET /api/v1/profiles/me/jobs/{id}"});
    assert_eq!(session.admit(request).await["outcome"], "ok");
    session
}

/// More rows than a step takes, in tables with and without a foreign key to the organisation.
async fn fill(db: &Database, tenant: &Tenant) {
    let sql = format!(
        "INSERT INTO public.workflows (id, org_id, name, definition)
           SELECT gen_random_uuid(), '{org}', 'w' || g, '{{}}' FROM generate_series(1, 30) g;
         INSERT INTO public.workflow_versions (workflow_id, number, org_id, definition)
           SELECT id, 1, org_id, definition FROM public.workflows WHERE org_id = '{org}';
         INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us)
           SELECT '{org}', lpad(to_hex(g), 32, '0'), current_date, 'x', 'run', 'ok', now(), 1
           FROM generate_series(1, 11000) g;
         INSERT INTO public.secrets_vault (id, org_id, name) VALUES (gen_random_uuid(), '{org}', 'K');
         INSERT INTO public.secret_versions (secret_id, number, org_id, key_version, wrapped_key, nonce, ciphertext)
           SELECT id, 1, org_id, 1, '\\xaa', '\\xbb', '\\xcafebabe' FROM public.secrets_vault WHERE org_id = '{org}';
         SELECT nodeai.append_audit('{org}', '{user}', NULL, '{{\"action\":\"x.y\",\"resource_type\":\"z\"}}');",
        org = tenant.org,
        user = tenant.user
    );
    let owner = db.owner().await;
    owner.batch_execute(&sql).await.expect("rows");
}

/// Rows of every table, ours and the private ones, that name the organisation.
async fn rows_of(db: &Database, org: &str) -> Vec<String> {
    let owner = db.owner().await;
    let tables = owner
        .query(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname IN ('public', 'nodeai') AND c.relkind = 'r'",
            &[],
        )
        .await
        .expect("tables");
    let mut found = Vec::new();
    for table in tables {
        let name: String = table.get(0);
        let sql = format!("SELECT count(*) FROM {name} t WHERE t::text LIKE '%{org}%'");
        let n: i64 = owner.query_one(&sql, &[]).await.expect("a count").get(0);
        if n > 0 {
            found.push(format!("{name}: {n}"));
        }
    }
    found
}

#[tokio::test]
async fn a_deletion_goes_on_where_it_stopped_and_leaves_nothing() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    fill(&db, &a).await;
    fill(&db, &b).await;
    let job = begin(&a.session_in(&db, &a.org).await, "profile_deletion").await;
    let mut steps = 0;
    loop {
        // Each step on a connection of its own: nothing but what was committed carries over.
        let state = step(&asking(&db, &a).await, &job).await;
        assert_eq!(state["error"], Value::Null, "{state}");
        steps += 1;
        if steps == 1 {
            // The keys stop at once, and nothing but the job is shown.
            let key = json!({"kind": "api_key", "key_hash": a.key_hash, "cost": 1});
            assert_eq!(
                db.session().await.admit(key).await["outcome"],
                "key_revoked"
            );
            let token =
                json!({"kind": "jwt", "claims": {"sub": a.user}, "scope": "workflows:read"});
            assert_eq!(
                db.session().await.admit(token).await["outcome"],
                "account_closing"
            );
        }
        if state["status"] == "done" {
            break;
        }
        assert!(state["more"] == true && steps < 50, "{state}");
    }
    assert!(steps > 4, "it was done in {steps} steps only");
    assert_eq!(rows_of(&db, &a.org).await, Vec::<String>::new());
    assert_eq!(rows_of(&db, "a@example.org").await, Vec::<String>::new());
    // The receipt is the only row of the user.
    assert_eq!(rows_of(&db, &a.user).await, ["nodeai.profile_jobs: 1"]);
    assert_eq!(step(&asking(&db, &a).await, &job).await["status"], "done");
    // The other tenant has everything still.
    let others = b.session(&db).await;
    assert_eq!(
        others.count("SELECT count(*) FROM public.traces").await,
        11_000
    );
    // An old token does not make the account anew, one that was issued afterwards does.
    let token = |iat: i64| json!({"kind": "jwt", "claims": {"sub": a.user, "iat": iat}, "scope": "workflows:read"});
    assert_eq!(
        db.session().await.admit(token(0)).await["outcome"],
        "account_deleted"
    );
    assert_eq!(
        db.session().await.admit(token(4_102_444_800)).await["outcome"],
        "ok"
    );
}

#[tokio::test]
async fn housekeeping_moves_on_what_nobody_asks_for() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await;
    fill(&db, &a).await;
    begin(&a.session_in(&db, &a.org).await, "profile_deletion").await;
    let owner = db.owner().await;
    owner
        .batch_execute("SELECT nodeai.housekeeping('{}')")
        .await
        .expect("housekeeping");
    assert_eq!(rows_of(&db, &a.org).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_last_owner_stays_while_there_are_others() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let join = |role: &str| {
        format!("INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', '{role}')
                 ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role", a.org, b.user)
    };
    let owner = db.owner().await;
    owner
        .batch_execute(&join("viewer"))
        .await
        .expect("a member");
    let request = json!({"do": "profile_deletion", "args": {"id": id()}, "answer": {"status": 202, "body": {}}});
    let session = a.session_in(&db, &a.org).await;
    let refused = session.call("command", request.clone()).await;
    assert_eq!(refused["outcome"], "refused");
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|m| m.contains(&a.org)),
        "{refused}"
    );
    // A second owner keeps the organisation; a member who comes while it goes on keeps it too.
    owner.batch_execute(&join("owner")).await.expect("an owner");
    let job = begin(&session, "profile_deletion").await;
    while step(&session, &job).await["status"] != "done" {}
    let left = b.session_in(&db, &a.org).await;
    assert_eq!(
        left.count("SELECT count(*) FROM public.organization_members")
            .await,
        1
    );
    let noted = "SELECT count(*) FROM public.audit_logs WHERE action = 'member.left'";
    assert_eq!(left.count(noted).await, 1);
}

#[tokio::test]
async fn an_export_has_what_is_ones_own_and_no_value() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    fill(&db, &a).await;
    fill(&db, &b).await;
    let join = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{org}', '{user}', 'viewer');
         INSERT INTO public.workflows (id, org_id, name, definition, created_by)
           VALUES (gen_random_uuid(), '{org}', 'mine in theirs', '{{}}', '{user}');
         SELECT nodeai.append_audit('{org}', '{user}', NULL,
           '{{\"action\":\"own.act\",\"resource_type\":\"z\",\"details\":{{\"email\":\"whose@example.org\"}}}}')",
        org = b.org,
        user = a.user
    );
    db.owner()
        .await
        .batch_execute(&join)
        .await
        .expect("a member");
    let session = a.session_in(&db, &a.org).await;
    let job = begin(&session, "profile_export").await;
    let state = loop {
        let state = step(&session, &job).await;
        if state["more"] != true {
            break state;
        }
    };
    assert_eq!(state["status"], "done", "{state}");
    let mut text = String::new();
    let mut number = 0;
    loop {
        let part = session
            .call("profile_archive", json!({"id": job, "number": number}))
            .await;
        let Some(body) = part["body"].as_str() else {
            break;
        };
        assert!(body.len() < 2_000_000, "a part stays small");
        text.push_str(body);
        number += 1;
    }
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!(
        (of("manifest"), of("profile"), of("organization"), of("end")),
        (1, 1, 2, 1)
    );
    assert_eq!(
        (of("traces"), of("workflow_versions"), of("workflows")),
        (11_000, 30, 31)
    );
    assert_eq!(
        (of("secrets_vault"), of("secret_versions"), of("api_keys")),
        (1, 1, 1)
    );
    let last = lines.last().expect("lines");
    assert_eq!(last["data"]["lines"], lines.len());
    for secret in [
        "cafebabe",
        &a.key_hash,
        &b.key_hash,
        &b.user,
        "b@example.org",
        "whose@example.org",
    ] {
        assert!(!text.contains(secret), "{secret} is in the archive");
    }
    assert!(text.contains("own.act") && text.contains("mine in theirs"));
    // Nobody else gets at it, nor a key of a team.
    let other = b.session(&db).await;
    assert_eq!(
        other.call("profile_job", json!({"id": job})).await,
        Value::Null
    );
    let asked = other
        .call("profile_archive", json!({"id": job, "number": 0}))
        .await;
    assert_eq!(asked, Value::Null);
    let team = json!({"sub": a.user, "role": "authenticated", "org_id": b.org, "key_id": id()})
        .to_string();
    let act = db.session().await;
    let sql = "SELECT nodeai.act($1, 'authenticated', 'profile_archive', $2)";
    let args = json!({"id": job, "number": 0});
    assert!(act.client().query_one(sql, &[&team, &args]).await.is_err());
}

#[tokio::test]
async fn attacks_are_noted_once_a_minute() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let owner = db.owner().await;
    let limit = format!(
        "UPDATE public.api_keys SET scopes = '{{workflows:read}}' WHERE id = '{}'",
        a.key
    );
    owner.batch_execute(&limit).await.expect("a narrow key");
    for _ in 0..20 {
        let reveal = json!({"kind": "api_key", "key_hash": a.key_hash, "cost": 1, "scope": "secrets:reveal",
            "route": "POST /api/v1/secrets/{id}/reveal", "ip": "192.0.2.7"});
        assert_eq!(
            db.session().await.admit(reveal).await["outcome"],
            "scope_missing"
        );
        let stranger = json!({"kind": "jwt", "claims": {"sub": b.user}, "org_id": a.org, "scope": "workflows:read"});
        assert_eq!(
            db.session().await.admit(stranger).await["outcome"],
            "not_a_member"
        );
        // What is no attack leaves nothing.
        let harmless =
            json!({"kind": "api_key", "key_hash": a.key_hash, "cost": 1, "scope": "traces:read"});
        assert_eq!(
            db.session().await.admit(harmless).await["outcome"],
            "scope_missing"
        );
        let nowhere = json!({"kind": "jwt", "claims": {"sub": b.user}, "org_id": id(), "scope": "workflows:read"});
        assert_eq!(
            db.session().await.admit(nowhere).await["outcome"],
            "not_a_member"
        );
    }
    let reasons =
        "SELECT string_agg(details ->> 'reason', ',' ORDER BY chain) FROM public.audit_logs";
    let got: String = owner.query_one(reasons, &[]).await.expect("rows").get(0);
    assert_eq!(got, "scope_missing,not_a_member");
    // A minute later the next one says how many there were.
    owner
        .batch_execute("UPDATE nodeai.rate_limit_buckets SET tat_us = 0 WHERE uses > 0 AND id NOT IN (SELECT id FROM public.api_keys)")
        .await
        .expect("a minute");
    let stranger = json!({"kind": "jwt", "claims": {"sub": b.user}, "org_id": a.org, "scope": "workflows:read"});
    db.session().await.admit(stranger).await;
    let repeated =
        "SELECT details ->> 'repeated' FROM public.audit_logs ORDER BY chain DESC LIMIT 1";
    let got: Option<String> = owner.query_one(repeated, &[]).await.expect("a row").get(0);
    assert_eq!(got.as_deref(), Some("19"));
}
