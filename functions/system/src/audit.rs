//! `GET /api/v1/audit-logs` and `…/verify`

use crate::AuditRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// The audit log.
    audit_logs {
        id: Uuid, chain: Int, at: Time, actor_user_id: Uuid, actor_key_id: Uuid, action: Text, resource_type: Text,
        resource_id: Text, request_id: Text, details: Json, prev_hash: Text, hash: Text,
    }
}
use audit_logs as col;

const SHOWN: &[Column] = &[
    col::id,
    col::chain,
    col::at,
    col::actor_user_id,
    col::actor_key_id,
    col::action,
    col::resource_type,
    col::resource_id,
    col::request_id,
    col::details,
    col::prev_hash,
    col::hash,
];

/// One thing that was done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Id (UUIDv7).
    id: String,
    /// Place in the organisation's chain, from 1.
    chain: Option<i64>,
    /// RFC 3339.
    at: String,
    /// Who.
    actor_user_id: Option<String>,
    /// With which API key.
    actor_key_id: Option<String>,
    /// What, such as `workflow.created`.
    action: String,
    /// To what kind of thing.
    resource_type: String,
    /// To which one.
    resource_id: Option<String>,
    /// The request's trace.
    request_id: Option<String>,
    /// More; for changes `before` and `after`.
    details: Option<Value>,
    /// Hash of the entry before.
    prev_hash: Option<String>,
    /// SHA-256 over that and this entry.
    hash: Option<String>,
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this action.
    action: Option<String>,
    /// Only this kind of thing.
    resource_type: Option<String>,
    /// Only this thing.
    resource_id: Option<String>,
    /// Only what this user did (UUID).
    actor_user_id: Option<String>,
    /// From this time on (RFC 3339).
    from: Option<String>,
    /// Before this time (RFC 3339).
    to: Option<String>,
}

/// Newest first; for admins.
pub async fn list(
    caller: Caller<AuditRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Entry>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(query.action.map(|text| Filter::Eq(col::action, text)))
        .filter_if(
            query
                .resource_type
                .map(|text| Filter::Eq(col::resource_type, text)),
        )
        .filter_if(
            query
                .resource_id
                .map(|text| Filter::Eq(col::resource_id, text)),
        )
        .filter_if(uuid_filter(col::actor_user_id, query.actor_user_id)?)
        .filter_if(query.from.map(|time| Filter::Gte(col::at, time)))
        .filter_if(query.to.map(|time| Filter::Lt(col::at, time)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |entry: &Entry| &entry.id)
        .await
}

/// From where to verify.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// Go on after this place of the chain; from the start unless given.
    after: Option<u64>,
    /// The hash at that place, as an earlier verification gave it.
    after_hash: Option<String>,
    /// Most entries to look at: 1 to 100,000, which is also the default.
    limit: Option<u32>,
}

/// What the chain says.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether every entry that was looked at is as it was written.
    ok: bool,
    /// How many were looked at.
    checked: u64,
    /// The last place that holds.
    chain: u64,
    /// Its hash. Keep it elsewhere: a chain that was written anew from the start has another.
    hash: String,
    /// Whether the end of the chain was reached.
    complete: bool,
    /// The first fault: `changed`, `missing` or `broken`, with the place after which it is.
    fault: Option<Value>,
}

/// Recomputes the chain of hashes.
pub async fn verify(
    caller: Caller<AuditRead>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<Verdict>, Problem> {
    let limit = query.limit.unwrap_or(100_000).clamp(1, 100_000);
    let args = json!({"org_id": caller.org_id(), "after": query.after, "after_hash": query.after_hash,
        "limit": limit});
    caller.call("audit_verify", &args).await.map(Json::ok)
}
