//! `/api/v1/feature-flags`

use crate::{FlagsRead, FlagsWrite};
use http::header;
use nodeai_app::{
    Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock, flags,
};
use nodeai_flags::Rule;
use nodeai_http::input::present;
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

use nodeai_app::flags::feature_flags as col;

const SHOWN: &[Column] = &[
    col::id,
    col::key,
    col::description,
    col::enabled,
    col::rules,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A flag.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeatureFlag {
    /// Id (UUIDv7).
    id: String,
    /// Its key, by which code asks for it.
    key: String,
    /// What it is for.
    description: Option<String>,
    /// Off is off for everybody.
    enabled: bool,
    /// The first rule that applies decides; without any, it is on for everybody.
    rules: Vec<Rule>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A flag to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagInput {
    /// Lower-case letters, digits, `.`, `_`, `-`; at most 100.
    key: String,
    /// At most 2,000 characters.
    #[serde(default)]
    description: Option<String>,
    /// Off unless given.
    #[serde(default)]
    enabled: bool,
    /// At most 100 rules.
    #[serde(default)]
    rules: Vec<Rule>,
}

impl Check for FlagInput {
    fn check(&self, c: &mut Checker) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let first = self.key.bytes().next().is_some_and(plain);
        let rest = self.key.bytes().all(|b| plain(b) || b"._-".contains(&b));
        let holds = first && rest && self.key.len() <= 100;
        let detail = "lower-case letters, digits, '.', '_' and '-', at most 100";
        c.require(holds, "/key", "format", detail);
        c.length(
            self.description.as_deref().unwrap_or(""),
            0,
            2_000,
            "/description",
        );
        check_rules(c, &self.rules);
    }
}

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagPatch {
    /// At most 2,000 characters; null for nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    description: Option<Option<String>>,
    /// On or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// All rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Rule>>,
}

impl Check for FlagPatch {
    fn check(&self, c: &mut Checker) {
        let description = self.description.iter().flatten().next();
        c.length(
            description.map_or("", |text| text),
            0,
            2_000,
            "/description",
        );
        check_rules(c, self.rules.as_deref().unwrap_or_default());
    }
}

fn check_rules(c: &mut Checker, rules: &[Rule]) {
    c.require(
        rules.len() <= 100,
        "/rules",
        "too_many",
        "at most 100 rules",
    );
    for (i, rule) in rules.iter().enumerate() {
        let pointer = format!("/rules/{i}/percent");
        c.require(rule.is_valid(), &pointer, "out_of_range", "0 to 100");
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
    caller: Caller<FlagsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<FeatureFlag>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |flag: &FeatureFlag| &flag.id)
        .await
}

/// One flag.
pub async fn get(
    caller: Caller<FlagsRead>,
    PathId(id): PathId,
) -> Result<Json<FeatureFlag>, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let flag: FeatureFlag = caller.find(query, "feature flag").await?;
    let tag = etag::of(flag.version);
    Ok(Json::ok(flag).header(header::ETAG, tag))
}

/// Makes a flag.
pub async fn create(
    caller: Caller<FlagsWrite>,
    Valid(input): Valid<FlagInput>,
) -> Result<Created<FeatureFlag>, Problem> {
    let id = clock::new_id();
    let row = json!({"key": input.key, "description": input.description, "enabled": input.enabled,
        "rules": input.rules});
    let location = format!("/api/v1/feature-flags/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "feature flag", &id)
        .row(row)
        .returning(SHOWN)
        .audit("feature_flag.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Changes a flag; instances follow within five seconds.
pub async fn update(
    caller: Caller<FlagsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<FlagPatch>,
) -> Result<Reply<FeatureFlag>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "feature flag", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("feature_flag.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a flag: it is off for everybody.
pub async fn remove(
    caller: Caller<FlagsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "feature flag", &id)
        .expect_version(expected)
        .audit("feature_flag.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}

/// For which environment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateQuery {
    /// `prod` unless given.
    environment: Option<String>,
}

/// Every flag of the organisation for this caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evaluated {
    /// Key to on or off.
    flags: BTreeMap<String, bool>,
}

/// Evaluates all flags for the caller.
pub async fn evaluate(
    caller: Caller<FlagsRead>,
    Query(query): Query<EvaluateQuery>,
) -> Result<Json<Evaluated>, Problem> {
    let environment = query.environment.as_deref().unwrap_or("prod");
    let flags = flags::all(&caller, environment).await?;
    Ok(Json::ok(Evaluated { flags }))
}
