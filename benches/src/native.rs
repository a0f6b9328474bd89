//! The baseline: axum and tokio-postgres, native, doing the same SQL in the same order as the application, with the
//! same headers on its answers.

use anyhow::{Context, Result};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_postgres::NoTls;

const ADMIT: &str = "SELECT a.principal::text, a.claims, a.role, set_config('request.jwt.claims', a.claims, false), \
     set_config('nodeai.nonce', $2::text, false), set_config('role', a.role, false) \
     FROM nodeai.admit(($1::text)::jsonb) a";
const READ: &str = "SELECT CASE WHEN current_setting('nodeai.nonce', true) = $1::text THEN \
     (SELECT coalesce(json_agg(t), '[]'::json)::text FROM (SELECT id, name, description, definition, version, tags, \
     created_by, created_at, updated_at FROM public.workflows WHERE (id = ($2::text)::uuid AND deleted_at IS NULL \
     AND org_id = ($3::text)::uuid) LIMIT 1) t) END";

struct App {
    pool: Pool,
    key_hash: String,
    workflow: String,
}

type Answer = Result<Json<Value>, StatusCode>;

/// Serves the baseline as `nodeai_app` on the same database; gives `host:port`.
pub async fn serve(database: &str, api_key: &str, workflow: &str) -> Result<String> {
    let mut config: tokio_postgres::Config = database.parse()?;
    config.user("nodeai_app");
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let pool = Pool::builder(Manager::from_config(config, NoTls, manager))
        .max_size(20)
        .build()?;
    let app = Arc::new(App {
        pool,
        key_hash: sha256(database, api_key).await?,
        workflow: workflow.to_owned(),
    });
    let router = Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/api/v1/workflows/{id}", get(read))
        .route("/api/v1/workflows/execute", post(run))
        .layer(from_fn(with_common_headers))
        .with_state(app);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn sha256(database: &str, text: &str) -> Result<String> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT encode(sha256(convert_to($1::text, 'UTF8')), 'hex')",
            &[&text],
        )
        .await?;
    Ok(row.get(0))
}

fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(0)
}

fn hex_id(bytes: usize) -> String {
    let id: u128 = rand::random();
    format!("{id:032x}")[..bytes * 2].to_owned()
}

/// What every answer of the application carries: its place in the trace, which the client may have begun, and what
/// browsers are told.
async fn with_common_headers(request: Request, next: Next) -> Response {
    let begun = request.headers().get("traceparent");
    let begun = begun.and_then(|value| value.to_str().ok()?.split('-').nth(1));
    let trace = begun.map_or_else(|| hex_id(16), str::to_owned);
    let traceparent = format!("00-{trace}-{}-01", hex_id(8));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [("traceparent", traceparent), ("x-trace-id", trace)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("access-control-allow-origin", "*"),
        (
            "access-control-expose-headers",
            "etag, location, traceparent, x-trace-id, ratelimit, ratelimit-policy, retry-after",
        ),
    ] {
        let value = HeaderValue::from_static(value);
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// A connection with the caller's session: what every request begins with.
async fn admit(app: &App, scope: &str) -> Result<(Object, String, String), StatusCode> {
    let client = app
        .pool
        .get()
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let nonce = hex_id(16);
    let ask = json!({"kind": "api_key", "key_hash": app.key_hash, "scope": scope, "cost": 1, "nonce": nonce});
    let row = one(&client, ADMIT, &[&ask.to_string(), &nonce]).await?;
    let principal: Value =
        serde_json::from_str(&row).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let org = principal["org_id"]
        .as_str()
        .ok_or(StatusCode::UNAUTHORIZED)?;
    Ok((client, nonce, org.to_owned()))
}

async fn one(
    client: &Object,
    sql: &str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<String, StatusCode> {
    let statement = client
        .prepare_cached(sql)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let row = client
        .query_one(&statement, params)
        .await
        .map_err(|error| {
            eprintln!("native: {error}");
            StatusCode::SERVICE_UNAVAILABLE
        })?;
    row.get::<_, Option<String>>(0).ok_or(StatusCode::CONFLICT)
}

/// Gives the session up, as the application's host does between requests.
async fn reset(client: &Object) {
    let _ = client
        .batch_execute("RESET ROLE; SELECT set_config('request.jwt.claims', '', false)")
        .await;
}

async fn call(
    client: &Object,
    nonce: &str,
    function: &str,
    args: Value,
) -> Result<Value, StatusCode> {
    let sql = format!(
        "SELECT CASE WHEN current_setting('nodeai.nonce', true) = $1::text THEN public.{function}(($2::text)::jsonb)::text END"
    );
    let text = one(client, &sql, &[&nonce, &args.to_string()]).await?;
    serde_json::from_str(&text).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn read(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    headers
        .get("authorization")
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let started = now_us();
    let (client, nonce, org) = admit(&app, "workflows:read").await?;
    let rows = one(&client, READ, &[&nonce, &id, &org]).await?;
    let rows: Vec<Value> =
        serde_json::from_str(&rows).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let row = rows.into_iter().next().ok_or(StatusCode::NOT_FOUND)?;
    tokio::spawn(async move {
        let (trace, span, took) = (hex_id(16), hex_id(8), now_us() - started);
        let name = "GET /api/v1/workflows/{id}";
        let args = json!({"org_id": org,
            "traces": [{"trace_id": trace, "name": name, "kind": "request", "status": "ok", "start_us": started,
                "duration_us": took, "span_count": 1}],
            "spans": [{"trace_id": trace, "span_id": span, "name": name, "kind": "server", "status": "ok",
                "start_us": started, "end_us": started + took,
                "attributes": {"http.request.method": "GET", "http.response.status_code": 200}}]});
        let _ = call(&client, &nonce, "spans_flush", args).await;
        reset(&client).await;
    });
    Ok(Json(row))
}

async fn run(State(app): State<Arc<App>>, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    headers
        .get("authorization")
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let started = now_us();
    let (client, nonce, org) = admit(&app, "workflows:run").await?;
    let (id, trace) = (uuid::Uuid::now_v7().to_string(), hex_id(16));
    let start = json!({"execution": {"id": id, "org_id": org, "workflow_id": app.workflow, "trace_id": trace,
        "mode": "sync", "inputs": body["inputs"], "started_us": started}});
    call(&client, &nonce, "run_start", start).await?;
    let text = format!(
        "Hello, {}!",
        body["inputs"]["name"]
            .as_str()
            .context("name")
            .map_err(|_| StatusCode::BAD_REQUEST)?
    );
    let outputs = json!({"out": text.to_uppercase()});
    let spans: Vec<Value> = (0..6).map(|i| span(&trace, i, started, &outputs)).collect();
    let events: Vec<Value> = (0..17)
        .map(|i| json!({"seq": i, "at_us": started, "type": "node_finished", "output": outputs}))
        .collect();
    let commit = json!({
        "execution": {"id": id, "org_id": org, "status": "succeeded", "outputs": outputs, "finished_us": now_us(),
            "prompt_tokens": 0, "completion_tokens": 0, "cost_pusd": 0},
        "first_seq": 0, "last_seq": 16, "events": events,
        "trace": {"trace_id": trace, "name": "invoke_workflow bench", "kind": "run", "status": "ok", "start_us": started,
            "duration_us": now_us() - started, "execution_id": id, "workflow_id": app.workflow},
        "spans": spans,
        "usage": [{"id": uuid::Uuid::now_v7(), "at_us": started, "kind": "run", "execution_id": id, "trace_id": trace}],
    });
    call(&client, &nonce, "run_commit", commit).await?;
    tokio::spawn(async move { reset(&client).await });
    Ok(Json(
        json!({"execution_id": id, "trace_id": trace, "status": "succeeded", "outputs": outputs}),
    ))
}

fn span(trace: &str, i: usize, started: i64, output: &Value) -> Value {
    json!({"trace_id": trace, "span_id": hex_id(8), "name": format!("node {i}"), "kind": "internal", "status": "ok",
        "start_us": started, "end_us": started + 10, "node_id": format!("n{i}"), "node_type": "template", "attempt": 1,
        "attributes": {"nodeai.input": {"template": "Hello"}, "nodeai.output": output}})
}
