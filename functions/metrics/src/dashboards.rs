//! `/api/v1/metrics/dashboards`

use crate::{DashboardsRead, DashboardsWrite};
use http::header;
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// Saved dashboards.
    dashboards {
        id: Uuid, name: Text, layout: Json, version: Int, created_at: Time, updated_at: Time,
    }
}

use dashboards as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::layout,
    col::version,
    col::created_at,
    col::updated_at,
];
/// Most panels of a dashboard, and bytes of all of them.
const PANELS: usize = 100;
const BYTES: usize = 200_000;

/// A dashboard.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dashboard {
    /// Id (UUIDv7).
    id: String,
    /// Name.
    name: String,
    /// Its panels, as the client keeps them.
    layout: Vec<Value>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A dashboard to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardInput {
    /// 1 to 200 characters.
    name: String,
    /// Up to 100 objects, 200,000 bytes in all; the API reads nothing in them.
    #[serde(default)]
    layout: Vec<Value>,
}

impl Check for DashboardInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        check_layout(c, &self.layout);
    }
}

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// All panels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Vec<Value>>,
}

impl Check for DashboardPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        check_layout(c, self.layout.as_deref().unwrap_or_default());
    }
}

fn check_layout(c: &mut Checker, layout: &[Value]) {
    let few = layout.len() <= PANELS;
    c.require(few, "/layout", "too_many", "at most 100 panels");
    let small = json!(layout).to_string().len() <= BYTES;
    c.require(small, "/layout", "length", "at most 200000 bytes");
    for (i, panel) in layout.iter().enumerate() {
        let pointer = format!("/layout/{i}");
        c.require(panel.is_object(), &pointer, "type", "must be an object");
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
    caller: Caller<DashboardsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Dashboard>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |dashboard: &Dashboard| &dashboard.id)
        .await
}

/// One dashboard.
pub async fn get(
    caller: Caller<DashboardsRead>,
    PathId(id): PathId,
) -> Result<Json<Dashboard>, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let dashboard: Dashboard = caller.find(query, "dashboard").await?;
    let tag = etag::of(dashboard.version);
    Ok(Json::ok(dashboard).header(header::ETAG, tag))
}

/// Saves a dashboard.
pub async fn create(
    caller: Caller<DashboardsWrite>,
    Valid(input): Valid<DashboardInput>,
) -> Result<Created<Dashboard>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/metrics/dashboards/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "dashboard", &id)
        .row(json!({"name": input.name, "layout": input.layout}))
        .returning(SHOWN)
        .audit("dashboard.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Changes a dashboard.
pub async fn update(
    caller: Caller<DashboardsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<DashboardPatch>,
) -> Result<Reply<Dashboard>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "dashboard", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("dashboard.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a dashboard.
pub async fn remove(
    caller: Caller<DashboardsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "dashboard", &id)
        .expect_version(expected)
        .audit("dashboard.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
