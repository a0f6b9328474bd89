//! `/api/v1/knowledge-base`: knowledge bases.

use crate::{KnowledgeRead, KnowledgeWrite, rules};
use http::header;
use nodeai_app::{
    Caller, Command, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock,
};
use nodeai_http::input::present;
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_knowledge::settings::{Search, Settings};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

nodeai_store::columns! {
    /// Knowledge bases.
    knowledge_bases {
        id: Uuid, name: Text, description: Text, settings: Json, active_index: Int, version: Int, created_at: Time,
        updated_at: Time,
    }
}

use knowledge_bases as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::description,
    col::settings,
    col::active_index,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A knowledge base.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// Id (UUIDv7).
    id: String,
    /// Name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// How it cuts, analyses, embeds and searches.
    settings: Value,
    /// The index that searches use.
    active_index: i64,
    /// For `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A knowledge base and how far it is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// The base.
    #[serde(flatten)]
    base: Base,
    /// How many documents there are, by status: `pending`, `processing`, `ready`, `failed`.
    documents: Map<String, Value>,
    /// Its indexes.
    indexes: Vec<Index>,
}

/// One index of a base.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Index {
    /// Its number, from 1.
    number: i64,
    /// `building`, `ready` (complete but for documents that failed), `active`, `retired`.
    status: String,
    /// What it was built with.
    settings: Value,
    /// Chunks in it.
    chunks: i64,
    /// How near vectors are found in it.
    #[serde(default)]
    vectors: Option<Vectors>,
    /// Documents by how far they are in it: `pending`, `processing`, `done`, `failed`.
    jobs: Map<String, Value>,
    /// RFC 3339.
    created_at: String,
    /// When searches went over to it, RFC 3339.
    activated_at: Option<String>,
}

/// How near vectors are found in an index.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Vectors {
    /// `hnsw`: by the graph of pgvector; `exact`: by scanning their codes; null where it has no vectors.
    path: Option<String>,
    /// Chunks that the graph does not have yet: they are scanned.
    waiting: Option<i64>,
}

/// A knowledge base to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseInput {
    /// 1 to 200 characters.
    name: String,
    /// At most 10,000 characters.
    #[serde(default)]
    description: Option<String>,
    /// How it cuts, analyses, embeds and searches.
    #[serde(default)]
    settings: Settings,
}

impl Check for BaseInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let text = self.description.as_deref().unwrap_or_default();
        c.length(text, 0, 10_000, "/description");
        rules::report(c, self.settings.faults("/settings"));
    }
}

/// What may change without another index; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasePatch {
    /// 1 to 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// At most 10,000 characters; null for none.
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    /// How lexical search scores, and what a search does that does not say it; replaces all of `search`.
    #[serde(default)]
    search: Option<Search>,
}

impl Check for BasePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(Some(text)) = &self.description {
            c.length(text, 0, 10_000, "/description");
        }
        if let Some(search) = &self.search {
            rules::report(c, search.faults("/search"));
        }
    }
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Part of the name.
    q: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Knowledge bases, newest first.
pub async fn list(
    caller: Caller<KnowledgeRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Base>>, Problem> {
    let name = query.q.map(|text| Filter::ContainsText(col::name, text));
    let select = Select::from(col::TABLE, SHOWN).filter_if(name);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |base: &Base| &base.id)
        .await
}

/// One knowledge base with its indexes and how far they are.
pub async fn get(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Shown> = caller.call("knowledge_base", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such knowledge base"))?;
    let tag = etag::of(found.base.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}

/// Makes a knowledge base with an empty index.
pub async fn create(
    caller: Caller<KnowledgeWrite>,
    Valid(input): Valid<BaseInput>,
) -> Result<Created<Base>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/knowledge-base/{id}");
    let args = json!({"id": id, "name": input.name, "description": input.description,
        "settings": input.settings.stored()});
    let command = Command::named("knowledge_create", "knowledge base", &id, args)
        .audit("knowledge_base.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}

/// Changes what needs no other index.
pub async fn update(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<BasePatch>,
) -> Result<Reply<Base>, Problem> {
    let mut row = Map::new();
    if let Some(name) = patch.name {
        row.insert("name".to_owned(), json!(name));
    }
    if let Some(description) = patch.description {
        row.insert("description".to_owned(), json!(description));
    }
    let args = json!({"id": id, "expect_version": expected, "row": row, "search": patch.search});
    let command = Command::named("knowledge_update", "knowledge base", &id, args)
        .audit("knowledge_base.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Removes a knowledge base with all that is in it.
pub async fn remove(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "knowledge base", &id)
        .expect_version(expected)
        .audit("knowledge_base.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
