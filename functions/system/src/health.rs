//! `/healthz` and `/readyz`.

use nodeai_app::errors::store_problem;
use nodeai_app::{Cx, cx};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Json;
use nodeai_http::{FromCx, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// The schema version that this build needs: the newest migration.
const NEEDED_SCHEMA: i64 = 72;

/// Liveness.
#[derive(Serialize, JsonSchema)]
pub struct Live {
    /// Always `ok`.
    status: &'static str,
}

/// Answers without touching the store: a dead database must not get the process killed.
pub async fn live() -> Result<Json<Live>, Problem> {
    Ok(Json::ok(Live { status: "ok" }))
}

/// Readiness.
#[derive(Serialize, JsonSchema)]
pub struct Ready {
    /// Always `ready`; otherwise the answer is a problem.
    status: &'static str,
    /// `postgres` or `supabase`.
    storage: &'static str,
    /// Newest migration applied.
    schema_version: i64,
}

#[derive(Deserialize)]
struct StoreHealth {
    schema_version: i64,
    #[serde(default)]
    is_superuser: bool,
}

/// The request's context as an argument.
pub struct Request(Rc<cx::Cx>);

impl FromCx<Cx> for Request {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        Ok(Self(cx))
    }

    fn describe(op: &mut Describe) {
        op.problem("503", "Not ready; the detail says what to mend");
    }
}

/// Asks the store: does it answer, is the schema new enough, is the login a safe one.
pub async fn ready(Request(cx): Request) -> Result<Json<Ready>, Problem> {
    let store = cx.store()?;
    let health = store.health().await.map_err(store_problem)?;
    let health: StoreHealth = serde_json::from_value(health)
        .map_err(|_| Problem::unavailable("the database did not say how it is"))?;
    if health.schema_version < NEEDED_SCHEMA {
        let found = health.schema_version;
        return Err(Problem::storage_not_configured(format!(
            "the schema is at version {found}, this build needs {NEEDED_SCHEMA}: run `nodeai migrate apply`"
        )));
    }
    if health.is_superuser {
        return Err(Problem::storage_not_configured(
            "the database login is a superuser, for whom row-level security does not hold; log in as nodeai_app",
        ));
    }
    Ok(Json::ok(Ready {
        status: "ready",
        storage: store.kind(),
        schema_version: health.schema_version,
    }))
}
