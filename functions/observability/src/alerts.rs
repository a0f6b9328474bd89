//! `/api/v1/observability/alerts`

use crate::{AlertsRead, AlertsWrite};
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// Alerts.
    alerts {
        id: Uuid, rule_id: Uuid, state: Text, details: Json, opened_at: Time, last_seen_at: Time, resolved_at: Time,
        version: Int,
    }
}

use alerts as col;

const SHOWN: &[Column] = &[
    col::id,
    col::rule_id,
    col::state,
    col::details,
    col::opened_at,
    col::last_seen_at,
    col::resolved_at,
    col::version,
];

/// What an alert is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has looked yet.
    Open,
    /// Somebody has.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// An alert: one for each rule as long as that fires.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Id (UUIDv7).
    id: String,
    /// The rule that fired.
    rule_id: String,
    /// What it is at.
    state: State,
    /// What was measured when it was last seen.
    details: Value,
    /// RFC 3339.
    opened_at: String,
    /// RFC 3339.
    last_seen_at: String,
    /// RFC 3339.
    resolved_at: Option<String>,
    /// Version, for `If-Match`.
    version: i64,
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only of this rule (UUID).
    rule_id: Option<String>,
    /// `open`, `acknowledged` or `resolved`.
    state: Option<State>,
}

/// Newest first.
pub async fn list(
    caller: Caller<AlertsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Alert>>, Problem> {
    let page = (query.limit, query.cursor);
    let mut select = Select::from(col::TABLE, SHOWN);
    let state = query.state.map(|s| format!("{s:?}").to_lowercase());
    select
        .filters
        .extend(uuid_filter(col::rule_id, query.rule_id)?);
    select
        .filters
        .extend(state.map(|s| Filter::Eq(col::state, s)));
    caller
        .newest(select, col::id, page, |alert: &Alert| &alert.id)
        .await
}

/// Another state.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertPatch {
    /// `acknowledged` or `resolved`; a rule that still fires opens another one.
    state: State,
}

impl Check for AlertPatch {
    fn check(&self, c: &mut Checker) {
        let holds = self.state != State::Open;
        c.require(holds, "/state", "invalid", "an alert is opened by its rule");
    }
}

/// Acknowledges or resolves an alert.
pub async fn update(
    caller: Caller<AlertsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<AlertPatch>,
) -> Result<Reply<Alert>, Problem> {
    let over = patch.state == State::Resolved;
    let mut row = json!({"state": patch.state});
    if over {
        row["resolved_at"] = json!(clock::rfc3339(clock::now_us()));
    }
    let write = Write::new(Op::Update, col::TABLE, "alert", &id)
        .row(row)
        .expect_version(expected)
        .returning(SHOWN)
        .audit("alert.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
