//! `PATCH /api/v1/api-keys/{id}`

use crate::KeysWrite;
use crate::model::{Key, SHOWN, api_keys};
use crate::rules;
use nodeai_app::inputs::check_expiry;
use nodeai_app::{Caller, IfMatch, Op, PathId, Reply, Valid, Write};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// The only workflows that it may run; null for all.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    workflow_ids: Option<Option<Vec<String>>>,
    /// The only networks that it may be used from; null for all.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    ip_allow: Option<Option<Vec<String>>>,
    /// When it ends, RFC 3339; null for never.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<Option<String>>,
}

impl Check for KeyPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(scopes) = &self.scopes {
            rules::check_scopes(c, scopes);
        }
        if let Some(Some(ids)) = &self.workflow_ids {
            rules::check_workflows(c, ids);
        }
        if let Some(Some(networks)) = &self.ip_allow {
            rules::check_networks(c, networks);
        }
        check_expiry(c, self.expires_at.as_ref().and_then(Option::as_deref));
    }
}

/// Changes the key; from the next request on it counts.
pub async fn handle(
    caller: Caller<KeysWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(mut patch): Valid<KeyPatch>,
) -> Result<Reply<Key>, Problem> {
    let principal = &caller.session.principal;
    let scopes = patch.scopes.as_deref().unwrap_or_default();
    let limited = principal.workflow_ids.as_deref();
    // An unchanged list is not widened; null would be.
    let workflows = match &patch.workflow_ids {
        None => limited,
        Some(ids) => ids.as_deref(),
    };
    rules::within(principal, scopes, workflows)?;
    if let Some(Some(list)) = &mut patch.ip_allow {
        *list = list.iter().filter_map(|n| rules::network(n)).collect();
    }
    let write = Write::new(Op::Update, api_keys::TABLE, "API key", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("api_key.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
