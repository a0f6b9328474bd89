//! `/api/v1/rag-evaluation/datasets`

pub mod items;
pub mod traces;

use crate::{EvaluationsRead, EvaluationsWrite};
use http::header;
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::input::present;
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

nodeai_store::columns! {
    /// Datasets.
    eval_datasets {
        id: Uuid, name: Text, description: Text, version: Int, created_at: Time, updated_at: Time,
    }
}

use eval_datasets as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::description,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A dataset.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// Id (UUIDv7).
    id: String,
    /// Name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Version: each import is one. For `If-Match`, too.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A dataset to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetInput {
    /// 1 to 200 characters, once in an organisation.
    name: String,
    /// At most 10,000 characters.
    #[serde(default)]
    description: Option<String>,
}

impl Check for DatasetInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let text = self.description.as_deref().unwrap_or_default();
        c.length(text, 0, 10_000, "/description");
    }
}

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// At most 10,000 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    description: Option<Option<String>>,
}

impl Check for DatasetPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(Some(text)) = &self.description {
            c.length(text, 0, 10_000, "/description");
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

impl ListQuery {
    /// Limit and cursor.
    pub fn page(self) -> (Option<u32>, Option<String>) {
        (self.limit, self.cursor)
    }
}

/// Datasets, newest first.
pub async fn list(
    caller: Caller<EvaluationsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Dataset>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, query.page(), |dataset: &Dataset| {
            &dataset.id
        })
        .await
}

/// One dataset.
pub async fn get(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
) -> Result<Json<Dataset>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let dataset: Dataset = caller.find(select, "dataset").await?;
    let tag = etag::of(dataset.version);
    Ok(Json::ok(dataset).header(header::ETAG, tag))
}

/// Makes a dataset without items.
pub async fn create(
    caller: Caller<EvaluationsWrite>,
    Valid(input): Valid<DatasetInput>,
) -> Result<Created<Dataset>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/rag-evaluation/datasets/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "dataset", &id)
        .row(json!({"name": input.name, "description": input.description}))
        .returning(SHOWN)
        .audit("dataset.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Changes name or description.
pub async fn update(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<DatasetPatch>,
) -> Result<Reply<Dataset>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "dataset", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("dataset.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a dataset with its items.
pub async fn remove(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "dataset", &id)
        .expect_version(expected)
        .audit("dataset.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
