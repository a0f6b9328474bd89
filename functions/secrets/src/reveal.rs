//! `POST /api/v1/secrets/{id}/reveal`

use crate::SecretsReveal;
use http::header;
use nodeai_app::vault::OpenedSecret;
use nodeai_app::{Caller, PathId, Valid};
use nodeai_http::reply::Json;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What to show, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealInput {
    /// Number of the version; the one in use unless given.
    #[serde(default)]
    number: Option<i32>,
    /// For the audit log, at most 500 characters.
    #[serde(default)]
    reason: Option<String>,
}

impl Check for RevealInput {
    fn check(&self, c: &mut Checker) {
        c.length(self.reason.as_deref().unwrap_or(""), 0, 500, "/reason");
    }
}

/// A value.
#[derive(Serialize, JsonSchema)]
pub struct Revealed {
    /// The secret's name.
    name: String,
    /// The version's number.
    number: i64,
    /// The value.
    value: String,
}

/// Shows a value. Log and audit rows are committed before the ciphertext leaves the database.
pub async fn handle(
    caller: Caller<SecretsReveal>,
    PathId(id): PathId,
    Valid(input): Valid<RevealInput>,
) -> Result<Json<Revealed>, Problem> {
    let args = json!({"org_id": caller.org_id(), "secret_id": id, "number": input.number,
        "reason": input.reason, "request_id": caller.cx.trace.trace_id});
    let opened: Option<OpenedSecret> = caller.call("secret_reveal", &args).await?;
    let opened = opened.ok_or_else(|| Problem::not_found("there is no such secret or version"))?;
    let value = match opened.value(&caller.cx) {
        Ok(value) => value,
        Err(problem) => {
            // What does not open is an attack or a wrong key: both belong into the audit log.
            let note = opened.tampering(&caller.cx.trace.trace_id.to_string());
            caller.call::<Value>("tampering_note", &note).await?;
            return Err(problem);
        }
    };
    let body = Revealed {
        name: opened.name,
        number: opened.number,
        value,
    };
    Ok(Json::ok(body).header(header::CACHE_CONTROL, "no-store"))
}
