//! `/api/v1/observability/rules`

use crate::condition::{Condition, kind_and_rest};
use crate::{AlertsRead, AlertsWrite};
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::input::present;
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// Alert rules.
    alert_rules {
        id: Uuid, name: Text, kind: Text, condition: Json, silenced_until: Time, enabled: Bool, evaluated_at: Time,
        version: Int, created_at: Time, updated_at: Time,
    }
}

use alert_rules as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::kind,
    col::condition,
    col::silenced_until,
    col::enabled,
    col::evaluated_at,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A rule.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Id (UUIDv7).
    id: String,
    /// Name.
    name: String,
    /// `threshold`, `absence`, `burn_rate` or `anomaly`.
    kind: String,
    /// When it fires, without its kind.
    condition: Value,
    /// Until when it opens no alerts, RFC 3339.
    silenced_until: Option<String>,
    /// Whether it is asked at all.
    enabled: bool,
    /// When it was last asked, RFC 3339.
    evaluated_at: Option<String>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A rule to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    /// 1 to 200 characters.
    name: String,
    /// When it fires.
    condition: Condition,
    /// On unless given.
    #[serde(default)]
    enabled: Option<bool>,
}

impl Check for RuleInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        self.condition.check(c);
    }
}

/// What may change; absent fields stay as they are. Another condition is another rule.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulePatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// On or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Until when it opens no alerts, RFC 3339; null to speak again.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    silenced_until: Option<Option<String>>,
}

impl Check for RulePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        let until = self.silenced_until.iter().flatten().next();
        if until.is_some_and(|text| clock::parse_rfc3339(text).is_none()) {
            let detail = "must be a time in RFC 3339";
            c.report(FieldError::body("/silenced_until", "format", detail));
        }
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
    caller: Caller<AlertsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Rule>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |rule: &Rule| &rule.id)
        .await
}

/// One rule.
pub async fn get(caller: Caller<AlertsRead>, PathId(id): PathId) -> Result<Json<Rule>, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    Ok(Json::ok(caller.find(query, "alert rule").await?))
}

/// Makes a rule.
pub async fn create(
    caller: Caller<AlertsWrite>,
    Valid(input): Valid<RuleInput>,
) -> Result<Created<Rule>, Problem> {
    let id = clock::new_id();
    let (kind, condition) = kind_and_rest(&input.condition);
    let location = format!("/api/v1/observability/rules/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "alert rule", &id)
        .row(
            json!({"name": input.name, "kind": kind, "condition": condition,
            "enabled": input.enabled.unwrap_or(true)}),
        )
        .returning(SHOWN)
        .audit("alert_rule.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Changes, silences or turns off a rule.
pub async fn update(
    caller: Caller<AlertsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<RulePatch>,
) -> Result<Reply<Rule>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "alert rule", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("alert_rule.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a rule and its alerts.
pub async fn remove(
    caller: Caller<AlertsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "alert rule", &id)
        .expect_version(expected)
        .audit("alert_rule.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
