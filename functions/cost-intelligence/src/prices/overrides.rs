//! `GET`, `POST /api/v1/cost-intelligence/overrides` and `GET`, `PUT`, `DELETE …/overrides/{id}`

use crate::{CostsRead, CostsWrite};
use http::header;
use nodeai_app::{
    Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Scope, Valid, Write, clock,
};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_pricing::{Override, Overrides, Usd, day_of_date};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// An organisation's own prices.
    model_overrides {
        id: Uuid, model: Text, entry: Json, effective_from: Date, version: Int, created_at: Time, updated_at: Time,
    }
}

use model_overrides as col;

const COLUMNS: &[Column] = &[
    col::id,
    col::model,
    col::entry,
    col::effective_from,
    col::version,
    col::created_at,
    col::updated_at,
];

/// Most overrides of an organisation that repricing heeds.
const MOST: u32 = 1_000;

/// An own price.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnPrice {
    /// Id (UUIDv7).
    id: String,
    /// The model, `provider/model`.
    model: String,
    /// What counts.
    entry: Entry,
    /// The first UTC day; null for always.
    effective_from: Option<String>,
    /// For `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// What counts: prices, a part of the price, or both.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// USD per million tokens by bucket (`input`, `output`, `cache_read`, `cache_write`, `cache_write_1h`, `audio_input`,
    /// `audio_output`, `image_input`, `reasoning`) and per 1,000 requests (`kilo_requests`), as decimal texts; what is left
    /// out costs what the catalogue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd: Option<Value>,
    /// The tier for which the prices count; the usual one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// What is paid of the price, in hundredths of a percent: 8500 is 15 % off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basis_points: Option<i64>,
}

/// An own price to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPriceInput {
    /// The model, `provider/model`, at most 200 characters.
    model: String,
    /// What counts.
    entry: Entry,
    /// The first UTC day, `YYYY-MM-DD`; always unless given.
    #[serde(default)]
    effective_from: Option<String>,
}

impl Check for OwnPriceInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.model, 3, 200, "/model");
        c.require(
            self.model.contains('/'),
            "/model",
            "format",
            "must be provider/model",
        );
        check_entry(c, &self.entry, self.effective_from.as_deref());
    }
}

/// What an own price is to be from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPriceChange {
    /// What counts.
    entry: Entry,
    /// The first UTC day, `YYYY-MM-DD`; always unless given.
    #[serde(default)]
    effective_from: Option<String>,
}

impl Check for OwnPriceChange {
    fn check(&self, c: &mut Checker) {
        check_entry(c, &self.entry, self.effective_from.as_deref());
    }
}

fn check_entry(c: &mut Checker, entry: &Entry, from: Option<&str>) {
    let some = entry.usd.is_some() || entry.basis_points.is_some();
    c.require(some, "/entry", "required", "give usd or basis_points");
    if let Some(usd) = &entry.usd {
        let read: Result<Usd, _> = serde_json::from_value(usd.clone());
        let detail = read
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default();
        c.require(
            read.is_ok_and(|usd| !usd.is_empty()),
            "/entry/usd",
            "format",
            &format!("prices by bucket: {detail}"),
        );
    }
    let points = entry
        .basis_points
        .is_none_or(|points| (0..=100_000).contains(&points));
    c.require(points, "/entry/basis_points", "out_of_range", "0 to 100000");
    let tier = entry
        .tier
        .as_deref()
        .is_none_or(|tier| ["batch", "flex", "priority", "fast"].contains(&tier));
    c.require(
        tier,
        "/entry/tier",
        "unknown",
        "batch, flex, priority or fast",
    );
    let dated = from.is_none_or(|date| day_of_date(date).is_some());
    c.require(
        dated,
        "/effective_from",
        "format",
        "must be a date, YYYY-MM-DD",
    );
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

/// Own prices, newest first.
pub async fn list(
    caller: Caller<CostsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<OwnPrice>>, Problem> {
    let select = Select::from(col::TABLE, COLUMNS);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &OwnPrice| &row.id)
        .await
}

/// One own price.
pub async fn get(caller: Caller<CostsRead>, PathId(id): PathId) -> Result<Json<OwnPrice>, Problem> {
    let mut select = Select::from(col::TABLE, COLUMNS);
    select.filters = vec![Filter::Eq(col::id, id)];
    let found: OwnPrice = caller.find(select, "own price").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}

/// Makes an own price: one for each model and first day.
pub async fn create(
    caller: Caller<CostsWrite>,
    Valid(input): Valid<OwnPriceInput>,
) -> Result<Created<OwnPrice>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/cost-intelligence/overrides/{id}");
    let row =
        json!({"model": input.model, "entry": input.entry, "effective_from": input.effective_from});
    let write = Write::new(Op::Insert, col::TABLE, "own price", &id)
        .row(row)
        .returning(COLUMNS)
        .audit("price_override.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Replaces what counts. Costs that are stored stay as they are; repricing gives them anew.
pub async fn replace(
    caller: Caller<CostsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<OwnPriceChange>,
) -> Result<Reply<OwnPrice>, Problem> {
    let row = json!({"entry": input.entry, "effective_from": input.effective_from});
    let write = Write::new(Op::Update, col::TABLE, "own price", &id)
        .row(row)
        .expect_version(expected)
        .returning(COLUMNS)
        .audit("price_override.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes an own price.
pub async fn remove(
    caller: Caller<CostsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "own price", &id)
        .expect_version(expected)
        .audit("price_override.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}

/// All of the organisation's, as the cost engine takes them.
pub async fn own_prices<S: Scope>(caller: &Caller<S>) -> Result<Overrides, Problem> {
    let select = Select::from(col::TABLE, COLUMNS).newest(col::id, None, MOST);
    let rows: Vec<OwnPrice> = caller.select(select).await?;
    let read = rows.into_iter().filter_map(|row| {
        let usd = row.entry.usd.map(serde_json::from_value).transpose().ok()?;
        Some(Override {
            id: row.id,
            version: row.version,
            model: row.model,
            effective_from: row.effective_from,
            tier: row.entry.tier,
            usd,
            basis_points: row.entry.basis_points.unwrap_or(10_000),
        })
    });
    Ok(Overrides(read.collect()))
}
