//! `/api/v1/rate-limits`

use crate::{LimitsRead, LimitsWrite};
use http::header;
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

nodeai_store::columns! {
    /// Policies of the rate limit.
    rate_limits {
        id: Uuid, name: Text, subject: Text, subject_id: Uuid, route: Text, per_minute: Int, burst: Int, version: Int,
        created_at: Time, updated_at: Time,
    }
}
use rate_limits as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::subject,
    col::subject_id,
    col::route,
    col::per_minute,
    col::burst,
    col::version,
    col::created_at,
    col::updated_at,
];

/// Whose requests share a bucket.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// All of the organisation.
    Organization,
    /// Each user's.
    User,
    /// Each API key's.
    Key,
}

/// A policy beside everybody's own bucket.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Id (UUIDv7).
    id: String,
    /// As the `RateLimit` fields name it.
    name: String,
    /// Whose requests share a bucket.
    subject: Subject,
    /// Only this user or key.
    subject_id: Option<String>,
    /// Only this route, such as `POST /api/v1/workflows/execute`.
    route: Option<String>,
    /// Requests per minute.
    per_minute: i64,
    /// Requests at once.
    burst: i64,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A policy to be made or to replace one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitInput {
    /// Lower-case letters, digits and `-`, at most 50; cannot change.
    name: String,
    /// Whose requests share a bucket.
    subject: Subject,
    /// Only this user or key (UUID).
    #[serde(default)]
    subject_id: Option<String>,
    /// Only this route: method and pattern as the API's description writes it.
    #[serde(default)]
    route: Option<String>,
    /// 1 to 60,000,000.
    per_minute: i32,
    /// At least 1.
    burst: i32,
}

impl Check for LimitInput {
    fn check(&self, c: &mut Checker) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let first = self.name.bytes().next().is_some_and(plain);
        let rest = self.name.bytes().all(|b| plain(b) || b == b'-');
        let holds = first && rest && self.name.len() <= 50 && self.name != "default";
        let detail = "lower-case letters, digits and '-', at most 50, and not \"default\"";
        c.require(holds, "/name", "format", detail);
        let rate = (1..=60_000_000).contains(&self.per_minute);
        c.require(rate, "/per_minute", "out_of_range", "1 to 60,000,000");
        c.require(self.burst > 0, "/burst", "out_of_range", "at least 1");
        let whole = matches!(self.subject, Subject::Organization) && self.subject_id.is_some();
        c.require(
            !whole,
            "/subject_id",
            "unexpected",
            "an organisation's policy has none",
        );
        let id = self.subject_id.as_deref();
        let valid = id.is_none_or(|id| uuid::Uuid::parse_str(id).is_ok());
        c.require(valid, "/subject_id", "format", "must be a UUID");
        if let Some(route) = &self.route {
            let methods = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];
            let path = methods.iter().find_map(|method| route.strip_prefix(method));
            let holds = path.is_some_and(|p| p.starts_with('/') && p.len() <= 300 && p.is_ascii());
            c.require(
                holds,
                "/route",
                "format",
                "such as POST /api/v1/workflows/execute",
            );
        }
    }
}

impl LimitInput {
    fn row(&self) -> serde_json::Value {
        json!({"subject": self.subject, "subject_id": self.subject_id, "route": self.route,
            "per_minute": self.per_minute, "burst": self.burst})
    }
}

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first.
pub async fn list(
    caller: Caller<LimitsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Limit>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |limit: &Limit| &limit.id)
        .await
}

/// One policy.
pub async fn get(caller: Caller<LimitsRead>, PathId(id): PathId) -> Result<Json<Limit>, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let limit: Limit = caller.find(query, "rate limit").await?;
    let tag = etag::of(limit.version);
    Ok(Json::ok(limit).header(header::ETAG, tag))
}

/// Makes a policy; it counts from the next request on.
pub async fn create(
    caller: Caller<LimitsWrite>,
    Valid(input): Valid<LimitInput>,
) -> Result<Created<Limit>, Problem> {
    let id = clock::new_id();
    let mut row = input.row();
    row["name"] = json!(input.name);
    let location = format!("/api/v1/rate-limits/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "rate limit", &id)
        .row(row)
        .returning(SHOWN)
        .audit("rate_limit.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Replaces a policy; its buckets stay as full as they are.
pub async fn update(
    caller: Caller<LimitsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<LimitInput>,
) -> Result<Reply<Limit>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "rate limit", &id)
        .row(input.row())
        .expect_version(expected)
        .returning(SHOWN)
        .audit("rate_limit.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a policy.
pub async fn remove(
    caller: Caller<LimitsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "rate limit", &id)
        .expect_version(expected)
        .audit("rate_limit.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
