//! `/api/v1/observability/slos`: objectives for runs.

use crate::{SlosRead, SlosWrite};
use nodeai_app::inputs::{is_uuid, uuid_filter};
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

nodeai_store::columns! {
    /// Objectives.
    slos {
        id: Uuid, name: Text, workflow_id: Uuid, objective: Text, window_days: Int, indicator: Text, threshold_ms: Int,
        version: Int, created_at: Time, updated_at: Time,
    }
}

use slos as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::workflow_id,
    col::objective,
    col::window_days,
    col::indicator,
    col::threshold_ms,
    col::version,
    col::created_at,
    col::updated_at,
];

/// Longest threshold, ms: a day.
const LONGEST_MS: i64 = 86_400_000;

/// Which runs are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Indicator {
    /// Those that have not failed.
    Success,
    /// Those that have ended within `threshold_ms`, failed or not.
    Latency,
}

/// An objective: so many of the runs of the last days have to be good.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Slo {
    /// Id (UUIDv7).
    id: String,
    /// Name.
    name: String,
    /// The workflow whose runs it is for; null for all.
    workflow_id: Option<String>,
    /// Share of runs that have to be good, 0.5 to 0.99999.
    objective: f64,
    /// Over so many days, up to now.
    window_days: i64,
    /// Which are good.
    indicator: Indicator,
    /// Milliseconds, of `latency`.
    threshold_ms: Option<i64>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// An objective to be made.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SloInput {
    /// 1 to 200 characters.
    name: String,
    /// Only runs of this workflow (UUID).
    #[serde(default)]
    workflow_id: Option<String>,
    /// 0.5 to 0.99999.
    objective: f64,
    /// 1 to 90.
    window_days: i64,
    /// `success`, or `latency` with `threshold_ms`.
    indicator: Indicator,
    /// Milliseconds, up to a day.
    #[serde(default)]
    threshold_ms: Option<i64>,
}

impl Check for SloInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let is_id = self.workflow_id.as_deref().is_none_or(is_uuid);
        c.require(is_id, "/workflow_id", "format", "must be a UUID");
        check_numbers(
            c,
            Some(self.objective),
            Some(self.window_days),
            self.threshold_ms,
        );
        let fits = (self.indicator == Indicator::Latency) == self.threshold_ms.is_some();
        let detail = "is for the indicator latency, which needs it";
        c.require(fits, "/threshold_ms", "invalid", detail);
    }
}

fn check_numbers(
    c: &mut Checker,
    objective: Option<f64>,
    window_days: Option<i64>,
    threshold_ms: Option<i64>,
) {
    let fits = objective.is_none_or(|share| (0.5..=0.99999).contains(&share));
    c.require(
        fits,
        "/objective",
        "out_of_range",
        "must be from 0.5 to 0.99999",
    );
    let fits = window_days.is_none_or(|days| (1..=90).contains(&days));
    c.require(fits, "/window_days", "out_of_range", "must be from 1 to 90");
    let fits = threshold_ms.is_none_or(|ms| (1..=LONGEST_MS).contains(&ms));
    let detail = "must be from 1 to 86400000, a day";
    c.require(fits, "/threshold_ms", "out_of_range", detail);
}

/// What may change; absent fields stay as they are. Another indicator or workflow is another objective.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SloPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// 0.5 to 0.99999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<f64>,
    /// 1 to 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_days: Option<i64>,
    /// Milliseconds, of `latency` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold_ms: Option<i64>,
}

impl Check for SloPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        check_numbers(c, self.objective, self.window_days, self.threshold_ms);
    }
}

/// Filter and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only of this workflow (UUID).
    workflow_id: Option<String>,
}

/// Newest first.
pub async fn list(
    caller: Caller<SlosRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Slo>>, Problem> {
    let page = (query.limit, query.cursor);
    let mut select = Select::from(col::TABLE, SHOWN);
    let workflow = uuid_filter(col::workflow_id, query.workflow_id)?;
    select.filters.extend(workflow);
    caller
        .newest(select, col::id, page, |slo: &Slo| &slo.id)
        .await
}

/// One objective.
pub async fn get(caller: Caller<SlosRead>, PathId(id): PathId) -> Result<Json<Slo>, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    Ok(Json::ok(caller.find(query, "objective").await?))
}

/// Makes an objective.
pub async fn create(
    caller: Caller<SlosWrite>,
    Valid(input): Valid<SloInput>,
) -> Result<Created<Slo>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/observability/slos/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "objective", &id)
        .row(json!(input))
        .returning(SHOWN)
        .audit("slo.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Changes an objective; its status counts by the new numbers at once.
pub async fn update(
    caller: Caller<SlosWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<SloPatch>,
) -> Result<Reply<Slo>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "objective", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("slo.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes an objective.
pub async fn remove(
    caller: Caller<SlosWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "objective", &id)
        .expect_version(expected)
        .audit("slo.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
