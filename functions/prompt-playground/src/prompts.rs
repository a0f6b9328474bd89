//! `/api/v1/prompt-playground/prompts`: templates with versions and labels.

use crate::{PromptsRead, PromptsWrite, rules};
use http::header;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{
    Caller, Command, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock,
};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, etag, reply::Json};
use nodeai_prompts::{Template, changes};
use nodeai_store::{Column, Filter, Order, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// Prompt templates.
    prompts {
        id: Uuid, name: Text, number: Int, labels: TextArray, template: Json, note: Text, version: Int, created_at: Time,
        updated_at: Time,
    }
}

use prompts as col;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::number,
    col::labels,
    col::template,
    col::note,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A version of a prompt template.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Prompt {
    /// Id of this version (UUIDv7).
    id: String,
    /// Name: all versions share it.
    name: String,
    /// Number of the version, from 1.
    number: i64,
    /// Labels at this version; each is at one version of its name.
    labels: Vec<String>,
    /// The template.
    template: Template,
    /// What is new.
    note: Option<String>,
    /// For `If-Match`: changes with the labels.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A version to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptInput {
    /// 1 to 200 characters; the next version if the name is there already.
    name: String,
    /// The template.
    template: Template,
    /// Labels that move to this version, at most 20.
    #[serde(default)]
    labels: Vec<String>,
    /// What is new, at most 2,000 characters.
    #[serde(default)]
    note: Option<String>,
}

fn check_labels(c: &mut Checker, labels: &[String]) {
    c.require(labels.len() <= 20, "/labels", "too_many", "at most 20");
    for (i, label) in labels.iter().enumerate() {
        let pointer = format!("/labels/{i}");
        c.length(label, 1, 50, &pointer);
        let once = !labels[..i].contains(label);
        c.require(once, &pointer, "duplicate", "is there twice");
    }
}

impl Check for PromptInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        rules::template(c, &self.template, "/template");
        check_labels(c, &self.labels);
        c.length(self.note.as_deref().unwrap_or(""), 0, 2_000, "/note");
    }
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptsQuery {
    /// Only versions of this name.
    name: Option<String>,
    /// Only versions with this label.
    label: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Versions of prompt templates, newest first.
pub async fn list(
    caller: Caller<PromptsRead>,
    Query(query): Query<PromptsQuery>,
) -> Result<Json<Page<Prompt>>, Problem> {
    let mut select = Select::from(col::TABLE, SHOWN);
    if let Some(name) = query.name {
        select = select.filter(Filter::Eq(col::name, name));
    }
    if let Some(label) = query.label {
        select = select.filter(Filter::HasElement(col::labels, label));
    }
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |prompt: &Prompt| &prompt.id)
        .await
}

fn one(id: String) -> Select {
    Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id))
}

/// One version.
pub async fn get(caller: Caller<PromptsRead>, PathId(id): PathId) -> Result<Json<Prompt>, Problem> {
    let prompt: Prompt = caller.find(one(id), "prompt").await?;
    let tag = etag::of(prompt.version);
    Ok(Json::ok(prompt).header(header::ETAG, tag))
}

/// Saves the next version of a name.
pub async fn save(
    caller: Caller<PromptsWrite>,
    Valid(input): Valid<PromptInput>,
) -> Result<Created<Prompt>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/prompt-playground/prompts/{id}");
    let args = json!({"id": id, "name": input.name, "labels": input.labels, "template": input.template,
        "note": input.note});
    let command = Command::named("prompt_save", "prompt", &id, args)
        .audit("prompt.saved", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}

/// Labels of a version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsInput {
    /// All labels of this version from now on, at most 20; other versions lose them.
    labels: Vec<String>,
}

impl Check for LabelsInput {
    fn check(&self, c: &mut Checker) {
        check_labels(c, &self.labels);
    }
}

/// Moves labels to a version.
pub async fn label(
    caller: Caller<PromptsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<LabelsInput>,
) -> Result<Reply<Prompt>, Problem> {
    let args = json!({"id": id, "labels": input.labels, "expect_version": expected});
    let command = Command::named("prompt_label", "prompt", &id, args)
        .audit("prompt.labelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Removes a version; the others keep their numbers.
pub async fn remove(
    caller: Caller<PromptsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "prompt", &id)
        .expect_version(expected)
        .audit("prompt.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}

/// With which version to compare.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// Id of the version before; the one before this by number unless given.
    with: Option<String>,
}

/// What changed from one version to another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Diff {
    /// Number of the version before.
    before: i64,
    /// Number of the version after.
    after: i64,
    /// Places that differ: `pointer`, `before`, `after`, and `lines` of texts of several lines.
    changes: Vec<Value>,
}

/// What changed since another version, of this name or of another one.
pub async fn diff(
    caller: Caller<PromptsRead>,
    PathId(id): PathId,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Diff>, Problem> {
    let other = uuid_filter(col::id, query.with)?;
    let after: Prompt = caller.find(one(id), "prompt").await?;
    let other = other.unwrap_or_else(|| {
        Filter::And(vec![
            Filter::Eq(col::name, after.name.clone()),
            Filter::Lt(col::number, after.number.to_string()),
        ])
    });
    let mut select = Select::from(col::TABLE, SHOWN).filter(other);
    select.order = vec![Order::Desc(col::number)];
    select.limit = 1;
    let before: Vec<Prompt> = caller.select(select).await?;
    let before = before
        .first()
        .ok_or_else(|| Problem::not_found("there is no such version to compare with"))?;
    let places = changes(&before.template, &after.template);
    Ok(Json::ok(Diff {
        before: before.number,
        after: after.number,
        changes: places.iter().map(|place| json!(place)).collect(),
    }))
}
