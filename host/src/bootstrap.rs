//! What a first start makes: the application's secrets, and a local user with an API key.
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::capabilities::pg::pool;
use crate::keys::{self, ApiKey, Mode};
use crate::project::{Project, write_secret};

/// Secrets that the host draws when nobody configured any.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// `version:hex` of the 32-byte master key.
    pub master_keys: String,
    /// The HS256 secret for tokens without Supabase.
    pub jwt_secret: String,
    /// Key for deriving the guests' database password when the owner has none.
    pub database_key: String,
    /// What the queue's ticker shows; for this start alone unless somebody configured one.
    #[serde(skip, default = "random_hex")]
    pub drain_token: String,
}

impl Secrets {
    /// The project's secrets, drawn at the first start.
    ///
    /// # Errors
    /// When they cannot be read or kept.
    pub fn load(project: &Project) -> Result<Self> {
        load_or(&project.state_file("secrets.json"), || Self {
            master_keys: format!("1:{}", random_hex()),
            jwt_secret: random_hex(),
            database_key: random_hex(),
            drain_token: random_hex(),
        })
    }
}

/// 32 bytes of the system's randomness, in hex.
pub fn random_hex() -> String {
    let mut bytes = [0u8; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn load_or<T: Serialize + serde::de::DeserializeOwned>(
    path: &Path,
    make: impl FnOnce() -> T,
) -> Result<T> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = make();
            write_secret(path, &serde_json::to_string_pretty(&made)?)?;
            Ok(made)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The first user of a database, who does not sign in.
const LOCAL_EMAIL: &str = "local@localhost";

/// The local user and key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalKey {
    /// The key itself.
    pub api_key: String,
    /// Its user.
    pub user_id: Uuid,
    /// The user's organisation.
    pub org_id: Uuid,
    /// The key's id.
    pub key_id: Uuid,
}

/// Makes the local user and key in the database, or finds those of an earlier start; `None` when the
/// migrations have no such function.
///
/// # Errors
/// When the database refuses, or the key cannot be kept.
pub async fn local_key(owner: &Client, project: &Project) -> Result<Option<LocalKey>> {
    let known = owner
        .query_one(
            "SELECT to_regprocedure('nodeai.bootstrap_local(jsonb)') IS NOT NULL",
            &[],
        )
        .await?;
    if !known.get::<_, bool>(0) {
        return Ok(None);
    }
    let path = project.state_file("local-key.json");
    let mut local = load_or(&path, || LocalKey {
        api_key: keys::mint(Mode::Live).expose().to_owned(),
        user_id: Uuid::now_v7(),
        org_id: Uuid::now_v7(),
        key_id: Uuid::now_v7(),
    })?;
    let key =
        ApiKey::parse(&local.api_key).with_context(|| format!("{} is damaged", path.display()))?;
    let mut input = describe(&key, "local", &["*".to_owned()], local.key_id);
    input["user_id"] = json!(local.user_id);
    input["org_id"] = json!(local.org_id);
    input["email"] = json!(LOCAL_EMAIL);
    let output = call(owner, "nodeai.bootstrap_local", &input).await?;
    // A user made by an earlier project on this database keeps its ids.
    let found = (id_in(&output, "user_id"), id_in(&output, "org_id"));
    if let (Some(user_id), Some(org_id)) = found
        && (user_id, org_id) != (local.user_id, local.org_id)
    {
        (local.user_id, local.org_id) = (user_id, org_id);
        write_secret(&path, &serde_json::to_string_pretty(&local)?)?;
    }
    Ok(Some(local))
}

/// Makes another key for `user` (`None`: the first one, who is made where there is nobody yet); the key is in the answer and
/// nowhere else.
///
/// # Errors
/// When the database refuses.
pub async fn create_key(
    owner: &Client,
    mode: Mode,
    name: &str,
    scopes: &[String],
    expires: Option<DateTime<Utc>>,
    user: Option<Uuid>,
) -> Result<(ApiKey, Value)> {
    let key = keys::mint(mode);
    let mut input = describe(&key, name, scopes, Uuid::now_v7());
    input["user_id"] = json!(user);
    input["expires_us"] = json!(expires.map(|time| time.timestamp_micros()));
    let mut function = "nodeai.create_api_key";
    if user.is_none() && is_empty(owner).await? {
        function = "nodeai.bootstrap_local";
        input["user_id"] = json!(Uuid::now_v7());
        input["org_id"] = json!(Uuid::now_v7());
        input["email"] = json!(LOCAL_EMAIL);
    }
    let output = call(owner, function, &input).await?;
    Ok((key, output))
}

/// Whether there is a place for users and nobody has ever been in it.
async fn is_empty(owner: &Client) -> Result<bool> {
    for sql in [
        "SELECT to_regclass('public.profiles') IS NOT NULL",
        "SELECT NOT EXISTS (SELECT FROM public.profiles)",
    ] {
        let row = owner.query_one(sql, &[]).await;
        let row = row.map_err(|error| anyhow::anyhow!("{}", pool::describe(&error)))?;
        if !row.get::<_, bool>(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn describe(key: &ApiKey, name: &str, scopes: &[String], id: Uuid) -> Value {
    json!({
        "key_id": id,
        "key_hash": key.hash(),
        "key_last4": key.last4(),
        "key_prefix": keys::prefix(key),
        "scopes": scopes,
        "name": name,
    })
}

fn id_in(output: &Value, name: &str) -> Option<Uuid> {
    output.get(name)?.as_str()?.parse().ok()
}

/// Calls a database function that takes and gives one jsonb.
///
/// # Errors
/// When the database refuses; `function` is named in the message.
pub async fn call(owner: &Client, function: &str, input: &Value) -> Result<Value> {
    let row = owner
        .query_one(&format!("SELECT {function}($1::jsonb)"), &[input])
        .await
        .map_err(|error| anyhow::anyhow!("{function} failed: {}", pool::describe(&error)))?;
    Ok(row.get(0))
}
