//! The indexes of telemetry, spend, webhooks, objectives and shared traces serve the queries that they were made for.

use super::plans::{plan, uses};
use migrations_tests::Database;

/// Rows of twenty other organisations beside the tenant's own, so that an index pays.
const FILL: &str = "
    INSERT INTO public.organizations (id, name) SELECT gen_random_uuid(), 'o' || i FROM generate_series(1, 20) i;
    CREATE TEMP TABLE orgs AS SELECT id, name, row_number() OVER (ORDER BY id) AS n FROM public.organizations;
    CREATE TEMP TABLE flow AS SELECT o.id AS org, i, gen_random_uuid() AS id
      FROM orgs o CROSS JOIN LATERAL generate_series(1, CASE o.name WHEN 'a' THEN 400 ELSE 60 END) i;
    INSERT INTO public.workflows (id, org_id, name, definition) SELECT id, org, 'w' || i, '{}' FROM flow;
    INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us, session_id, end_user)
      SELECT org, md5(id::text || r), CURRENT_DATE - (r % 2), 't', 'ingest', 'ok', now() - (r % 2) * interval '1 day' - i * interval '1 s', 1,
        CASE WHEN i % 7 = 0 THEN 's' || i % 40 END, CASE WHEN i % 7 = 1 THEN 'u' || i % 40 END FROM flow, generate_series(1, 10) r;
    INSERT INTO public.usage_hours SELECT org, date_trunc('hour', now()) - r * interval '1 hour', id, 'n', 'llm', 'openai', 'm' || i % 5, id,
        1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, '{1}', '{1}' FROM flow, generate_series(1, 30) r;
    INSERT INTO public.usage_deltas SELECT u.* FROM public.usage_hours u;
    INSERT INTO public.budgets (id, org_id, name, subject_kind, subject_id, period, limit_pusd) SELECT id, org, 'b' || i, 'workflow', id, 'day', 1 FROM flow;
    INSERT INTO nodeai.budget_reservations (ticket, budget_id, org_id, execution_id, tokens, pusd, expires_at)
      SELECT gen_random_uuid(), id, org, id, 1, 1, now() + (r - 2) * interval '1 hour' - i * interval '1 s' FROM flow, generate_series(1, 8) r;
    INSERT INTO public.cost_reconciliations (id, org_id, provider, source, from_at, to_at, result, created_at)
      SELECT id, org, 'openai', 'csv', now() - interval '1 day', now(), '{}', now() - i * interval '1 s' FROM flow;
    INSERT INTO public.webhooks (id, org_id, direction, name, path, url, disabled_at)
      SELECT id, org, CASE WHEN i % 2 = 0 THEN 'in' ELSE 'out' END, 'h' || i, id::text, 'https://example.org/',
        CASE WHEN i % 5 > 0 THEN now() END FROM flow;
    INSERT INTO nodeai.webhook_secrets (id, org_id, webhook_id, key_version, wrapped_key, nonce, ciphertext, expires_at)
      SELECT gen_random_uuid(), org, id, 1, '', '', '', CASE WHEN r = 2 THEN now() + (i - 5) * interval '1 minute' END FROM flow, generate_series(1, 2) r;
    INSERT INTO public.webhook_deliveries (id, org_id, webhook_id, event_type, status, next_at, created_at)
      SELECT gen_random_uuid(), org, id, 'test', CASE WHEN r = 1 THEN 'pending' ELSE 'delivered' END, CASE WHEN r = 1 THEN now() + i * interval '1 s' END,
        now() - r * interval '6 days' FROM flow, generate_series(1, 6) r;
    INSERT INTO public.slos (id, org_id, name, workflow_id, objective, window_days, indicator) SELECT gen_random_uuid(), org, 's', id, 0.99, 30, 'success' FROM flow;
    INSERT INTO public.trace_shares (id, org_id, trace_id, token_hash) SELECT gen_random_uuid(), org, md5(id::text), md5(id::text || r) FROM flow, generate_series(1, 3) r;
    ANALYZE;";

/// A query as the functions ask it, and the index that serves it; `$ORG` is the tenant's.
const AS_TENANT: &[(&str, &str, &str)] = &[
    (
        "traces of a session",
        "session_id_started_at",
        "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND session_id = 's7' ORDER BY started_at DESC LIMIT 51",
    ),
    (
        "traces of an end user",
        "end_user_started_at",
        "SELECT trace_id FROM traces WHERE org_id = '$ORG' AND end_user = 'u8' ORDER BY started_at DESC LIMIT 51",
    ),
    ("sums of three hours", "usage_hours_(hour_idx|pkey)", CELLS),
    (
        "sums that are not folded yet",
        "usage_deltas_hour_idx",
        CELLS,
    ),
    (
        "reconciliations",
        "cost_reconciliations_recent_idx",
        "SELECT id FROM cost_reconciliations WHERE org_id = '$ORG' ORDER BY created_at DESC, id DESC LIMIT 51",
    ),
    (
        "objectives",
        "slos_org_idx",
        "SELECT id FROM slos WHERE org_id = '$ORG' ORDER BY id DESC LIMIT 51",
    ),
    (
        "links of a trace",
        "trace_shares_org_idx",
        "SELECT id FROM trace_shares WHERE org_id = '$ORG' AND trace_id = md5('a') ORDER BY id DESC LIMIT 51",
    ),
    (
        "deliveries",
        "webhook_deliveries_org_idx",
        "SELECT id FROM webhook_deliveries WHERE org_id = '$ORG' ORDER BY created_at DESC, id DESC LIMIT 51",
    ),
];

const CELLS: &str = "SELECT * FROM nodeai.usage_cells('$ORG', nodeai.to_us(date_trunc('hour', now())) - 10800000000,
    nodeai.to_us(date_trunc('hour', now())))";

/// The queries inside privileged functions, triggers and housekeeping.
const AS_OWNER: &[(&str, &str, &str)] = &[
    ("sums that are too old", "usage_hours_hour_idx",
     "DELETE FROM public.usage_hours u WHERE u.hour < now() - interval '800 days'"),
    ("deltas to be folded", "usage_deltas_pkey",
     "SELECT x.id FROM public.usage_deltas x ORDER BY x.id LIMIT 100"),
    ("reservations that were not settled", "budget_reservations_expires_idx",
     "SELECT r.budget_id FROM nodeai.budget_reservations r
      WHERE r.expires_at < now() - interval '3 hours' AND r.lapsed_in IS NULL"),
    ("reservations of a budget", "budget_reservations_budget_idx",
     "UPDATE nodeai.budget_reservations r SET lapsed_in = now()
      WHERE r.budget_id = '$ORG' AND r.expires_at < now() AND r.lapsed_in IS NULL"),
    ("who listens to an event", "webhooks_listening_idx",
     "SELECT w.id FROM public.webhooks w WHERE w.org_id = '$ORG' AND w.direction = 'out' AND w.disabled_at IS NULL
        AND nodeai.takes_event(w, 'run.failed', NULL)"),
    ("secrets of a webhook", "webhook_secrets_webhook_idx",
     "SELECT s.id FROM nodeai.webhook_secrets s WHERE s.webhook_id = '$ORG' ORDER BY s.created_at DESC"),
    ("secrets whose overlap is over", "webhook_secrets_expires_idx",
     "DELETE FROM nodeai.webhook_secrets s WHERE s.expires_at IS NOT NULL AND s.expires_at < now()"),
    ("deliveries that are due", "webhook_deliveries_due_idx",
     "SELECT d.id FROM public.webhook_deliveries d WHERE d.status = 'pending' AND d.next_at <= now()
      ORDER BY d.next_at, d.id LIMIT 1000"),
    ("deliveries that ended long ago", "webhook_deliveries_prune_idx",
     "DELETE FROM public.webhook_deliveries d
      WHERE d.status IN ('delivered', 'failed', 'cancelled') AND d.created_at < now() - interval '30 days'"),
    ("objectives of a workflow that goes", "slos_workflow_idx", "DELETE FROM public.slos WHERE workflow_id = '$ORG'"),
    ("trace of a link", "trace_shares_token_unique",
     "SELECT s.id FROM public.trace_shares s WHERE s.token_hash = 'x' AND (s.expires_at IS NULL OR s.expires_at > now())"),
];

#[tokio::test]
async fn each_query_of_observability_is_on_its_index() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let owner = db.owner().await;
    owner.batch_execute(FILL).await.expect("rows");
    let session = tenant.session(&db).await;
    let path = "SET search_path = public";
    session.client().batch_execute(path).await.expect("a path");
    let mut missed = Vec::new();
    for (client, queries) in [(session.client(), AS_TENANT), (&owner, AS_OWNER)] {
        for (what, index, query) in queries {
            let plan = plan(client, &query.replace("$ORG", &tenant.org)).await;
            if !uses(&owner, &plan, index).await {
                missed.push(format!("{what} is not on {index}:\n{plan}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}
