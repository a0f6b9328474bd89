//! `POST /api/v1/api-keys`

use crate::KeysWrite;
use crate::model::{NewKey, SHOWN, api_keys};
use crate::rules;
use nodeai_app::inputs::check_expiry;
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_auth::api_key::{ApiKey, Mode};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// 1 to 200 characters.
    name: String,
    /// What it may do: 1 to 100 of `area:action`, such as `workflows:run`; at most what the caller has.
    scopes: Vec<String>,
    /// `live` unless given.
    #[serde(default)]
    mode: KeyMode,
    /// The only workflows that it may run.
    #[serde(default)]
    workflow_ids: Option<Vec<String>>,
    /// The only networks that it may be used from: addresses, or CIDR.
    #[serde(default)]
    ip_allow: Option<Vec<String>>,
    /// Requests per minute, 1 to 60,000,000.
    #[serde(default)]
    rate_per_minute: Option<i32>,
    /// Requests at once.
    #[serde(default)]
    rate_burst: Option<i32>,
    /// When it ends, RFC 3339.
    #[serde(default)]
    expires_at: Option<String>,
}

/// What a key is for: only its prefix differs, so that scanners and people can tell.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// `nai_live_`
    #[default]
    Live,
    /// `nai_test_`
    Test,
}

impl Check for KeyInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        rules::check_scopes(c, &self.scopes);
        if let Some(ids) = &self.workflow_ids {
            rules::check_workflows(c, ids);
        }
        if let Some(networks) = &self.ip_allow {
            rules::check_networks(c, networks);
        }
        check_expiry(c, self.expires_at.as_deref());
        let rate = self
            .rate_per_minute
            .is_none_or(|n| (1..=60_000_000).contains(&n));
        c.require(rate, "/rate_per_minute", "out_of_range", "1 to 60,000,000");
        let burst = self.rate_burst.is_none_or(|n| n > 0);
        c.require(burst, "/rate_burst", "out_of_range", "must be positive");
    }
}

/// Draws a key. `None` never happens in practice: 64 random bytes hold 30 usable ones but once in 10^19 draws.
pub fn draw(mode: KeyMode) -> Result<(ApiKey, Mode), Problem> {
    let mode = match mode {
        KeyMode::Live => Mode::Live,
        KeyMode::Test => Mode::Test,
    };
    let key = ApiKey::mint(mode, &clock::random::<64>());
    key.map(|key| (key, mode))
        .ok_or_else(|| Problem::internal("no key could be drawn; try again"))
}

/// Issues the key.
pub async fn handle(
    caller: Caller<KeysWrite>,
    Valid(input): Valid<KeyInput>,
) -> Result<Created<NewKey>, Problem> {
    let principal = &caller.session.principal;
    rules::within(principal, &input.scopes, input.workflow_ids.as_deref())?;
    let (key, mode) = draw(input.mode)?;
    let id = clock::new_id();
    let networks: Option<Vec<String>> = input
        .ip_allow
        .map(|list| list.iter().filter_map(|n| rules::network(n)).collect());
    let row = json!({"user_id": caller.session.user_id(), "name": input.name, "prefix": mode.prefix(),
        "key_hash": key.hash(), "last4": key.last4(), "scopes": input.scopes, "workflow_ids": input.workflow_ids,
        "ip_allow": networks, "rate_per_minute": input.rate_per_minute, "rate_burst": input.rate_burst,
        "expires_at": input.expires_at});
    let location = format!("/api/v1/api-keys/{id}");
    let write = Write::new(Op::Insert, api_keys::TABLE, "API key", &id)
        .row(row)
        .returning(SHOWN)
        .once("key", key.expose())
        .audit("api_key.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}
