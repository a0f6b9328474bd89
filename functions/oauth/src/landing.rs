//! `GET /api/v1/oauth/return`

use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use nodeai_app::Query;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a provider adds to the URL; it may add more, which is left alone.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Returned {
    /// The state of the authorization request.
    state: Option<String>,
    /// The code, when the person agreed.
    code: Option<String>,
    /// The issuer (RFC 9207).
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The same for people.
    error_description: Option<String>,
}

/// What to send on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Landed {
    /// What to do with it.
    next: &'static str,
    /// The body for that.
    callback: Callback,
}

/// Only what was there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Callback {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
}

/// Shows what came, and does nothing: a browser that lands here has no credential, and whoever finishes must be the one
/// who began. Otherwise a stranger's link could connect a visitor's account to the stranger's.
pub async fn handle(Query(came): Query<Returned>) -> Result<Json<Landed>, Problem> {
    let callback = Callback {
        state: came.state,
        code: came.code,
        iss: came.iss,
        error: came.error,
        error_description: came.error_description,
    };
    let landed = Landed {
        next: "POST the callback to /api/v1/oauth/callback with the credential that began",
        callback,
    };
    Ok(Json::ok(landed)
        .header(CACHE_CONTROL, "no-store")
        .header(REFERRER_POLICY, "no-referrer"))
}
