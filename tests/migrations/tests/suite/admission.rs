//! Admission: every outcome, the rate limit, the first sight of a user.

use futures::future::join_all;
use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};

/// Asks with the tenant's key and the extra members of `more`.
async fn with_key(session: &Session, key_hash: &str, more: Value) -> Value {
    let mut request = json!({"kind": "api_key", "key_hash": key_hash, "cost": 1, "nonce": "n"});
    let fields = request.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    session.admit(request).await
}

async fn key_outcome(db: &Database, tenant: &Tenant, more: Value) -> Value {
    with_key(&db.session().await, &tenant.key_hash, more).await["outcome"].clone()
}

async fn set_key(db: &Database, tenant: &Tenant, change: &str) {
    let sql = format!(
        "UPDATE public.api_keys SET {change} WHERE id = '{}'",
        tenant.key
    );
    db.owner()
        .await
        .batch_execute(&sql)
        .await
        .expect("the key changes");
}

#[tokio::test]
async fn a_good_key_is_admitted_with_its_claims() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let session = db.session().await;
    let principal = with_key(
        &session,
        &tenant.key_hash,
        json!({"scope": "workflows:write"}),
    )
    .await;
    assert_eq!(principal["outcome"], "ok");
    assert_eq!(principal["org_id"], tenant.org);
    assert_eq!(principal["member_role"], "owner");
    let row = session.client().query_one(
        "SELECT current_user::text, auth.uid()::text, nodeai.claims() ->> 'nonce'",
        &[],
    );
    let row = row.await.expect("the session is set");
    assert_eq!(row.get::<_, String>(0), "authenticated");
    assert_eq!(row.get::<_, String>(1), tenant.user);
    assert_eq!(row.get::<_, String>(2), "n");
}

#[tokio::test]
async fn refusals_have_their_names_and_leave_the_session_anonymous() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let unknown = db.session().await;
    assert_eq!(
        with_key(&unknown, "nothing", json!({})).await["outcome"],
        "unknown_key"
    );
    let role = unknown
        .client()
        .query_one("SELECT current_user::text", &[])
        .await
        .expect("a role");
    assert_eq!(role.get::<_, String>(0), "anon");

    set_key(&db, &tenant, "scopes = '{workflows:read}'").await;
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "workflows:write"})).await,
        "scope_missing"
    );
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "workflows:read"})).await,
        "ok"
    );
    set_key(&db, &tenant, "scopes = '{workflows:*}'").await;
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "workflows:write"})).await,
        "ok"
    );
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "secrets:read"})).await,
        "scope_missing"
    );
    set_key(&db, &tenant, "ip_allow = '{10.0.0.0/8}'").await;
    assert_eq!(
        key_outcome(&db, &tenant, json!({"ip": "10.2.3.4"})).await,
        "ok"
    );
    assert_eq!(
        key_outcome(&db, &tenant, json!({"ip": "11.2.3.4"})).await,
        "ip_refused"
    );
    assert_eq!(key_outcome(&db, &tenant, json!({})).await, "ip_refused");
    set_key(
        &db,
        &tenant,
        "ip_allow = NULL, expires_at = now() - interval '1 second'",
    )
    .await;
    assert_eq!(key_outcome(&db, &tenant, json!({})).await, "key_expired");
    set_key(&db, &tenant, "expires_at = NULL, revoked_at = now()").await;
    assert_eq!(key_outcome(&db, &tenant, json!({})).await, "key_revoked");
    set_key(&db, &tenant, "revoked_at = NULL").await;
    assert_eq!(
        key_outcome(&db, &tenant, json!({"org_id": id()})).await,
        "not_a_member"
    );
}

#[tokio::test]
async fn a_key_never_allows_more_than_its_users_role() {
    let db = Database::fresh().await;
    let (tenant, other) = (db.tenant("a").await, db.tenant("b").await);
    let owner = db.owner().await;
    let sql = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', 'viewer');
         UPDATE public.api_keys SET org_id = '{}' WHERE id = '{}'",
        other.org, tenant.user, other.org, tenant.key
    );
    owner.batch_execute(&sql).await.expect("a viewer's key");
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "workflows:write"})).await,
        "scope_missing"
    );
    assert_eq!(
        key_outcome(&db, &tenant, json!({"scope": "workflows:read"})).await,
        "ok"
    );
}

#[tokio::test]
async fn the_bucket_empties_and_fills_again() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    set_key(&db, &tenant, "rate_per_minute = 1, rate_burst = 2").await;
    let session = db.session().await;
    assert_eq!(
        with_key(&session, &tenant.key_hash, json!({})).await["rate"]["remaining"],
        1
    );
    let session = db.session().await;
    assert_eq!(
        with_key(&session, &tenant.key_hash, json!({})).await["rate"]["remaining"],
        0
    );
    let session = db.session().await;
    let refused = with_key(&session, &tenant.key_hash, json!({})).await;
    assert_eq!(refused["outcome"], "rate_limited");
    assert_eq!(refused["rate"]["limit"], 1);
    let wait = refused["rate"]["retry_after_ms"].as_i64().expect("a wait");
    assert!((1..=60_000).contains(&wait), "{refused}");
    // One minute passes: one token is back, and no more than one.
    let sql = "UPDATE nodeai.rate_limit_buckets SET tat_us = tat_us - 60000000";
    db.owner()
        .await
        .batch_execute(sql)
        .await
        .expect("time passes");
    assert_eq!(key_outcome(&db, &tenant, json!({})).await, "ok");
    assert_eq!(
        key_outcome(&db, &tenant, json!({"cost": 2})).await,
        "rate_limited"
    );
}

#[tokio::test]
async fn many_callers_at_once_take_no_more_than_the_burst() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    set_key(&db, &tenant, "rate_per_minute = 1, rate_burst = 10").await;
    let sessions = join_all((0..20).map(|_| db.session())).await;
    let ask = |session| with_key(session, &tenant.key_hash, json!({}));
    let principals = join_all(sessions.iter().map(ask)).await;
    let admitted = principals
        .iter()
        .filter(|principal| principal["outcome"] == "ok");
    assert_eq!(admitted.count(), 10, "{principals:?}");
}

#[tokio::test]
async fn a_users_first_request_makes_profile_and_organisation_once() {
    let db = Database::fresh().await;
    let user = id();
    let sessions = join_all((0..10).map(|_| db.session())).await;
    let request = json!({"kind": "jwt", "claims": {"sub": user, "email": "new@example.org"}, "scope": "workflows:write"});
    let principals = join_all(
        sessions
            .iter()
            .map(|session| session.admit(request.clone())),
    )
    .await;
    for principal in &principals {
        assert_eq!(principal["outcome"], "ok", "{principal}");
        assert_eq!(principal["org_id"], principals[0]["org_id"]);
    }
    assert_eq!(
        sessions[0]
            .count("SELECT count(*) FROM public.organizations")
            .await,
        1
    );
}

#[tokio::test]
async fn a_user_is_refused_in_an_organisation_of_others() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let session = db.session().await;
    let ask = |sub: &str, org: &str| json!({"kind": "jwt", "claims": {"sub": sub}, "org_id": org});
    assert_eq!(
        session.admit(ask(&a.user, &b.org)).await["outcome"],
        "not_a_member"
    );
    let session = db.session().await;
    assert_eq!(
        session.admit(ask("nobody", &b.org)).await["outcome"],
        "not_a_member"
    );
}

#[tokio::test]
async fn health_answers_before_admission_and_says_who_is_logged_in() {
    let db = Database::fresh().await;
    let session = db.session().await;
    let row = session
        .client()
        .query_one("SELECT nodeai.health()", &[])
        .await;
    let health: Value = row.expect("an answer").get(0);
    assert_eq!(
        (&health["ok"], &health["is_superuser"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(health["session_user"], "nodeai_app");
}
