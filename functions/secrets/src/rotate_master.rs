//! `POST /api/v1/secrets/rotate-master`

use crate::SecretsRotate;
use nodeai_app::{Caller, Command, vault};
use nodeai_crypto::Place;
use nodeai_http::Problem;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows of one step: read, re-wrap, write back.
const STEP: u32 = 200;
/// How long one request goes on, µs; below every host's limit.
const BUDGET_US: i64 = 10_000_000;

/// How far the rotation has come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Progress {
    /// Version of the newest master key.
    key_version: u32,
    /// Data keys re-wrapped by this request.
    rewrapped: u64,
    /// Data keys that other master keys still wrap. At 0 the old keys may go.
    remaining: u64,
    /// Whether nothing remains.
    done: bool,
}

#[derive(Deserialize)]
struct Stale {
    remaining: u64,
    rows: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    kind: String,
    id: String,
    org_id: String,
    record_id: String,
    version: String,
    key_version: u32,
    wrapped_key: String,
}

impl Wrapped {
    fn rewrap(&self, caller: &Caller<SecretsRotate>) -> Result<Value, Problem> {
        let place = Place {
            kind: &self.kind,
            org_id: &self.org_id,
            id: &self.record_id,
            version: &self.version,
        };
        let (key_version, wrapped_key) =
            vault::rewrap(&caller.cx, place, self.key_version, &self.wrapped_key)?;
        Ok(
            json!({"kind": self.kind, "id": self.id, "from_version": self.key_version,
            "from_wrapped": self.wrapped_key, "key_version": key_version, "wrapped_key": wrapped_key}),
        )
    }
}

/// Re-wraps step by step. Every step commits by itself and replaces only what is still as it was read: the work can be
/// killed, repeated and done by several at once, and readers always find a key that opens.
pub async fn handle(caller: Caller<SecretsRotate>) -> Result<Json<Progress>, Problem> {
    let key_version = vault::master_keys(&caller.cx)?.current();
    let mut rewrapped = 0;
    let remaining = loop {
        let args = json!({"org_id": caller.org_id(), "key_version": key_version, "limit": STEP});
        let stale: Stale = caller.call("secrets_stale", &args).await?;
        if stale.rows.is_empty() || caller.cx.elapsed_us() > BUDGET_US {
            break stale.remaining;
        }
        let rows: Result<Vec<Value>, Problem> =
            stale.rows.iter().map(|row| row.rewrap(&caller)).collect();
        let args = json!({"org_id": caller.org_id(), "rows": rows?});
        let done: Value = caller.call("secrets_rewrap", &args).await?;
        rewrapped += done["changed"].as_u64().unwrap_or(0);
    };
    let progress =
        json!({"key_version": key_version, "rewrapped": rewrapped, "remaining": remaining});
    let note = Command::named("note", "vault", caller.org_id(), json!({}))
        .audit("vault.master_rotated", progress);
    caller.write(note).await?;
    Ok(Json::ok(Progress {
        key_version,
        rewrapped,
        remaining,
        done: remaining == 0,
    }))
}
