//! Supabase's surface for tests: an independent PostgREST-compatible server under `/rest/v1`, which wants the project's
//! `apikey` as Supabase's gateway does, and the token issuer's key set under `/auth/v1`.
//!
//! PostgREST has PostgreSQL write the JSON; the server here writes times itself, with six decimals always. The gateway puts
//! them right.
//!
//! `postgrest-standin LISTEN DATABASE_URL JWT_SECRET APIKEYS [JWKS_FILE]`, JWT_SECRET being a secret or a JWKS, where APIKEYS are the accepted keys, comma-separated.

mod times;

use anyhow::{Context, Result};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde_json::json;
use std::sync::Arc;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| {
        arguments
            .next()
            .with_context(|| format!("{name} is missing"))
    };
    let listen = next("LISTEN")?;
    let settings = [
        ("PGRST_DB_URI", next("DATABASE_URL")?),
        ("PGRST_JWT_SECRET", next("JWT_SECRET")?),
        ("PGRST_DB_SCHEMAS", "public".to_owned()),
        ("PGRST_DB_ANON_ROLE", "anon".to_owned()),
        ("PGRST_COMPAT_MODE", "true".to_owned()),
        ("PGRST_DB_POOL", "10".to_owned()),
        ("PGRST_DB_CHANNEL_ENABLED", "false".to_owned()),
        // Supabase's cap.
        ("PGRST_DB_MAX_ROWS", "1000".to_owned()),
    ];
    for (name, value) in settings {
        // SAFETY: no thread has been started yet.
        unsafe { std::env::set_var(name, value) };
    }
    let keys = next("APIKEYS")?.split(',').map(str::to_owned).collect();
    let jwks = match arguments.next() {
        Some(file) => std::fs::read_to_string(file)?,
        None => json!({"keys": []}).to_string(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&listen, keys, jwks))
}

async fn serve(listen: &str, keys: Vec<String>, jwks: String) -> Result<()> {
    let config = postrust_core::AppConfig::try_from_env()?;
    let rest = postrust_server::build(config, postrust_server::Host::SERVER)
        .await?
        .router;
    let keys = Arc::new(keys);
    let guarded = rest
        .layer(middleware::from_fn(times::as_postgres_writes_them))
        .layer(middleware::from_fn_with_state(keys, require_apikey));
    let key_set = move || {
        let jwks = jwks.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], jwks) }
    };
    let app = Router::new()
        .nest("/rest/v1", guarded)
        .route("/auth/v1/.well-known/jwks.json", get(key_set));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// As Supabase's gateway: a request without a known `apikey` does not reach PostgREST.
async fn require_apikey(
    State(keys): State<Arc<Vec<String>>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get("apikey")
        .and_then(|v| v.to_str().ok());
    match given {
        Some(key) if keys.iter().any(|known| known == key) => next.run(request).await,
        _ => {
            let body = Json(json!({"message": "Invalid API key"}));
            (StatusCode::UNAUTHORIZED, body).into_response()
        }
    }
}
