//! Each hot query uses the index that was made for it: as a tenant, under row security, over enough rows.

use migrations_tests::{Database, Session, Tenant};

/// Rows of twenty other organisations beside the tenant's own, so that an index pays.
const FILL: &str = "
    INSERT INTO public.organizations (id, name) SELECT gen_random_uuid(), 'o' || i FROM generate_series(1, 20) i;
    CREATE TEMP TABLE orgs AS SELECT id, name, row_number() OVER (ORDER BY id) AS n FROM public.organizations;
    CREATE TEMP TABLE flow AS SELECT o.id AS org, o.n, i, gen_random_uuid() AS id
      FROM orgs o CROSS JOIN LATERAL generate_series(1, CASE o.name WHEN 'a' THEN 1000 ELSE 150 END) i;
    INSERT INTO public.workflows (id, org_id, name, definition, folder, tags, updated_at)
      SELECT id, org, 'w' || i, '{}', CASE WHEN i % 50 = 0 THEN 'f' || i END,
             CASE WHEN i % 100 = 0 THEN ARRAY['rare' || n] ELSE '{common}' END, now() - i * interval '1 minute' FROM flow;
    INSERT INTO public.workflow_versions (workflow_id, number, org_id, definition)
      SELECT id, v, org, '{}' FROM flow, generate_series(1, 3) v;
    INSERT INTO public.execution_queue (id, org_id, workflow_id, deployment_id, trace_id, status, idempotency_principal, idempotency_key,
        lease_until, created_at)
      SELECT gen_random_uuid(), org, id, CASE WHEN i % 10 = 0 THEN id END, md5(random()::text),
        CASE WHEN r = 1 AND i % 40 = 0 THEN 'failed' WHEN r = 1 AND i % 67 = 0 THEN 'queued'
             WHEN r = 1 AND i % 71 = 0 THEN 'running' ELSE 'succeeded' END,
        CASE WHEN i % 20 = 0 THEN org END, CASE WHEN i % 20 = 0 THEN 'k' || i || '-' || r END, now(), now()
      FROM flow, generate_series(1, 5) r;
    INSERT INTO public.deployments (id, org_id, workflow_id, slug, workflow_version)
      SELECT gen_random_uuid(), org, id, 's' || i, 1 FROM flow;
    CREATE TEMP TABLE trace AS SELECT org, id AS workflow, md5(id::text || r) AS trace_id,
        CURRENT_DATE - (r % 2) AS day, now() - (r % 2) * interval '1 day' - i * interval '1 second' AS at, i, r
      FROM flow, generate_series(1, 5) r;
    INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us, workflow_id,
        execution_id, user_id, cost_pusd)
      SELECT org, trace_id, day, 't', 'run', CASE WHEN i % 40 = 0 THEN 'error' ELSE 'ok' END, at, 1, workflow,
        gen_random_uuid(), md5((i % 20)::text)::uuid, CASE WHEN i % 40 = 1 THEN i ELSE 0 END FROM trace;
    INSERT INTO public.trace_days (trace_id, org_id, day) SELECT trace_id, org, day FROM trace;
    INSERT INTO public.spans (org_id, trace_id, span_id, day, name, status, started_at, duration_us, model, node_type)
      SELECT org, trace_id, left(md5(trace_id || s), 16), day, 's', CASE WHEN i % 40 = 0 THEN 'error' ELSE 'ok' END, at, 1,
        CASE WHEN i % 40 = 1 THEN 'm' || s END, CASE WHEN i % 40 = 2 THEN 'llm' || s END
      FROM trace, generate_series(1, 3) s;
    INSERT INTO public.usage_logs (id, org_id, day, at, kind, workflow_id, user_id, key_id)
      SELECT gen_random_uuid(), org, day, at, 'run', workflow, md5((i % 20)::text)::uuid, md5((i % 20)::text)::uuid FROM trace;
    INSERT INTO public.audit_logs (org_id, at, actor_user_id, action, resource_type, resource_id)
      SELECT org, at, md5((i % 20)::text)::uuid, 'a' || i % 20, 'workflow', workflow::text FROM trace;
    INSERT INTO public.profiles (id, email) SELECT gen_random_uuid(), 'p' || i || '@example.org' FROM generate_series(1, 3000) i;
    INSERT INTO public.api_keys (id, org_id, user_id, name, prefix, key_hash, last4)
      SELECT gen_random_uuid(), (SELECT id FROM orgs WHERE name = 'a'), id, 'k', 'nai_live_', md5(id::text) || md5(email), 'abcd'
      FROM public.profiles WHERE email LIKE 'p%';
    INSERT INTO public.organization_members (org_id, user_id, role)
      SELECT (SELECT id FROM orgs WHERE name = 'a'), id, 'viewer' FROM public.profiles WHERE email LIKE 'p%';
    INSERT INTO nodeai.idempotency_keys (org_id, principal, key, route, request_hash)
      SELECT org, org, 'k' || i, '', '' FROM flow;
    ANALYZE;";

/// A query as the functions ask it and the index (or one of the indexes) that serves it. `$ORG`, `$USER`, `$KEY` are
/// the tenant's; `$FLOW` and `$TRACE` one workflow and one trace of it.
const AS_TENANT: &[(&str, &str, &str)] = &[
    ("workflow list", "workflows_org_idx",
     "SELECT id, name FROM workflows WHERE org_id = '$ORG' AND deleted_at IS NULL ORDER BY id DESC LIMIT 51"),
    ("workflow list by change", "workflows_updated_idx",
     "SELECT id FROM workflows WHERE org_id = '$ORG' AND deleted_at IS NULL ORDER BY updated_at DESC, id DESC LIMIT 51"),
    ("workflow list by name", "workflows_name_idx",
     "SELECT id FROM workflows WHERE org_id = '$ORG' AND deleted_at IS NULL ORDER BY name, id LIMIT 51"),
    ("workflow list by creation", "workflows_created_idx",
     "SELECT id FROM workflows WHERE org_id = '$ORG' AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 51"),
    ("workflows of a folder", "workflows_folder_idx",
     "SELECT id FROM workflows WHERE org_id = '$ORG' AND folder = 'f50' AND deleted_at IS NULL"),
    ("workflows with a tag", "workflows_org_idx",
     "SELECT id FROM workflows WHERE org_id = '$ORG' AND tags @> '{common}' AND deleted_at IS NULL ORDER BY id DESC LIMIT 51"),
    ("one workflow", "workflows_pkey", "SELECT * FROM workflows WHERE id = '$FLOW' AND org_id = '$ORG'"),
    ("versions of a workflow", "workflow_versions_pkey",
     "SELECT number FROM workflow_versions WHERE workflow_id = '$FLOW' ORDER BY number DESC LIMIT 51"),
    ("run list", "execution_queue_org_id_unique",
     "SELECT id FROM execution_queue WHERE org_id = '$ORG' ORDER BY id DESC LIMIT 51"),
    ("runs of a workflow", "execution_queue_workflow_idx",
     "SELECT id FROM execution_queue WHERE org_id = '$ORG' AND workflow_id = '$FLOW' ORDER BY id DESC LIMIT 51"),
    ("runs of a deployment", "execution_queue_deployment_idx",
     "SELECT status FROM execution_queue WHERE org_id = '$ORG' AND deployment_id = '$FLOW'
      AND created_at >= now() - interval '1 day' AND created_at < now()"),
    ("deployment of a slug", "deployments_slug_unique",
     "SELECT id FROM deployments WHERE org_id = '$ORG' AND slug = 's7' AND environment = 'prod'"),
    ("failed runs", "execution_queue_failed_idx",
     "SELECT id FROM execution_queue WHERE org_id = '$ORG' AND status = 'failed' ORDER BY id DESC LIMIT 51"),
    ("run of a trace", "execution_queue_trace_idx",
     "SELECT id FROM execution_queue WHERE org_id = '$ORG' AND trace_id = '$TRACE'"),
    ("run of an idempotency key", "execution_queue_idempotency_unique",
     "SELECT id FROM execution_queue WHERE org_id = '$ORG' AND idempotency_principal = '$ORG' AND idempotency_key = 'k20-1'"),
    ("trace list", "started_at_trace_id",
     "SELECT trace_id FROM traces WHERE org_id = '$ORG' ORDER BY started_at DESC, trace_id DESC LIMIT 51"),
    ("traces of a workflow", "workflow_id_started_at",
     "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND workflow_id = '$FLOW' ORDER BY started_at DESC LIMIT 51"),
    ("failed traces", "traces_2[0-9]*_org_id_started_at_idx",
     "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND status = 'error' ORDER BY started_at DESC LIMIT 20"),
    ("dearest traces", "cost_pusd",
     "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND cost_pusd > 0 ORDER BY cost_pusd DESC LIMIT 3"),
    ("traces of a user", "user_id_started_at",
     "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND user_id = md5('3')::uuid ORDER BY started_at DESC LIMIT 10"),
    ("trace of a run", "execution_id",
     "SELECT trace_id FROM traces WHERE execution_id = '$FLOW'"),
    ("days of a trace", "trace_days_pkey", "SELECT day FROM trace_days WHERE trace_id = '$TRACE' AND org_id = '$ORG'"),
    ("spans of a trace", "spans_[0-9]*_pkey",
     "SELECT * FROM spans WHERE day = CURRENT_DATE AND org_id = '$ORG' AND trace_id = '$TRACE'"),
    ("spans of a model", "model_started_at",
     "SELECT span_id FROM spans WHERE org_id = '$ORG' AND model = 'm1' ORDER BY started_at DESC LIMIT 51"),
    ("spans of a node type", "node_type_started_at",
     "SELECT span_id FROM spans WHERE org_id = '$ORG' AND node_type = 'llm1' ORDER BY started_at DESC LIMIT 51"),
    ("failed spans", "spans_2[0-9]*_org_id_started_at_idx",
     "SELECT span_id FROM spans WHERE org_id = '$ORG' AND status = 'error' ORDER BY started_at DESC LIMIT 51"),
    ("usage", "usage_logs_2[0-9]*_org_id_at_id_idx",
     "SELECT id FROM usage_logs WHERE org_id = '$ORG' ORDER BY at DESC, id DESC LIMIT 51"),
    ("usage of a workflow", "workflow_id_at",
     "SELECT id FROM usage_logs WHERE org_id = '$ORG' AND workflow_id = '$FLOW' ORDER BY at DESC LIMIT 51"),
    ("usage of a user", "user_id_at",
     "SELECT id FROM usage_logs WHERE org_id = '$ORG' AND user_id = md5('3')::uuid ORDER BY at DESC LIMIT 10"),
    ("usage of a key", "key_id_at",
     "SELECT id FROM usage_logs WHERE org_id = '$ORG' AND key_id = md5('3')::uuid ORDER BY at DESC LIMIT 10"),
    ("audit log", "audit_logs_org_idx",
     "SELECT id FROM audit_logs WHERE org_id = '$ORG' ORDER BY at DESC, id DESC LIMIT 51"),
    ("audit log of a resource", "audit_logs_resource_idx",
     "SELECT id FROM audit_logs WHERE org_id = '$ORG' AND resource_type = 'workflow' AND resource_id = '$FLOW'
      ORDER BY at DESC LIMIT 51"),
    ("audit log of an actor", "audit_logs_actor_idx",
     "SELECT id FROM audit_logs WHERE org_id = '$ORG' AND actor_user_id = md5('3')::uuid ORDER BY at DESC LIMIT 10"),
    ("audit log of an action", "audit_logs_action_idx",
     "SELECT id FROM audit_logs WHERE org_id = '$ORG' AND action = 'a3' ORDER BY at DESC LIMIT 10"),
    ("key list", "api_keys_org_idx",
     "SELECT id FROM api_keys WHERE org_id = '$ORG' ORDER BY id DESC LIMIT 51"),
];

/// The queries inside privileged functions.
const AS_OWNER: &[(&str, &str, &str)] = &[
    (
        "key by hash",
        "api_keys_hash_unique",
        "SELECT id FROM public.api_keys WHERE key_hash = '$KEY'",
    ),
    (
        "membership",
        "organization_members_pkey",
        "SELECT org_id FROM public.organization_members WHERE user_id = '$USER' AND org_id = '$ORG' AND rank >= 1",
    ),
    (
        "idempotency key",
        "idempotency_keys_pkey",
        "SELECT answer FROM nodeai.idempotency_keys WHERE org_id = '$ORG' AND principal = '$ORG' AND key = 'k1'",
    ),
    (
        "an organisation's queued runs that are due",
        "execution_queue_org_next_idx",
        "SELECT id FROM public.execution_queue WHERE org_id = '$ORG' AND status = 'queued' ORDER BY priority DESC, run_after, id LIMIT 1",
    ),
    (
        "organisations with runs in the queue",
        "execution_queue_org_due_idx",
        "SELECT org_id FROM public.execution_queue WHERE status IN ('queued', 'waiting') AND run_after IS NOT NULL
           AND org_id > '$ORG' ORDER BY org_id, status, run_after, id LIMIT 1",
    ),
    (
        "leases that ran out",
        "execution_queue_lease_idx",
        "SELECT id FROM public.execution_queue WHERE status = 'running' AND lease_until < now() - interval '1 hour'",
    ),
    (
        "user by e-mail",
        "profiles_email_idx",
        "SELECT id FROM public.profiles WHERE email = 'p7@example.org' ORDER BY created_at, id LIMIT 1",
    ),
];

/// What the planner says of a query.
pub async fn plan(client: &tokio_postgres::Client, query: &str) -> String {
    let rows = client
        .query(&format!("EXPLAIN {query}"), &[])
        .await
        .unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter()
        .map(|row| row.get::<_, String>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Does the plan use an index whose name matches `pattern` (a regular expression of the database)?
pub async fn uses(owner: &tokio_postgres::Client, plan: &str, pattern: &str) -> bool {
    let sql = "SELECT $1 ~ ('(using|on) [a-z0-9_]*' || $2)";
    owner
        .query_one(sql, &[&plan, &pattern])
        .await
        .expect("a match")
        .get(0)
}

struct Names {
    org: String,
    user: String,
    key: String,
    flow: String,
    trace: String,
}

impl Names {
    async fn of(tenant: &Tenant, session: &Session) -> Self {
        let sql = "SELECT (SELECT id::text FROM public.workflows LIMIT 1), (SELECT trace_id FROM public.traces LIMIT 1)";
        let row = session
            .client()
            .query_one(sql, &[])
            .await
            .expect("a workflow and a trace");
        Self {
            org: tenant.org.clone(),
            user: tenant.user.clone(),
            key: tenant.key_hash.clone(),
            flow: row.get(0),
            trace: row.get(1),
        }
    }

    fn fill(&self, query: &str) -> String {
        let names = [
            ("$ORG", &self.org),
            ("$USER", &self.user),
            ("$KEY", &self.key),
            ("$FLOW", &self.flow),
            ("$TRACE", &self.trace),
        ];
        names.iter().fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        })
    }
}

#[tokio::test]
async fn each_hot_query_is_on_its_index() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let owner = db.owner().await;
    owner.batch_execute(FILL).await.expect("rows");
    let session = tenant.session(&db).await;
    session
        .client()
        .batch_execute("SET search_path = public")
        .await
        .expect("a search path");
    let names = Names::of(&tenant, &session).await;
    let mut missed = Vec::new();
    for (client, queries) in [(session.client(), AS_TENANT), (&owner, AS_OWNER)] {
        for (what, index, query) in queries {
            let plan = plan(client, &names.fill(query)).await;
            if !uses(&owner, &plan, index).await {
                missed.push(format!("{what} is not on {index}:\n{plan}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}
