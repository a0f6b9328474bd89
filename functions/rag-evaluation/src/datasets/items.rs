//! `/api/v1/rag-evaluation/datasets/{id}/items`

use super::eval_datasets;
use crate::{EvaluationsRead, EvaluationsWrite};
use nodeai_app::{Caller, Command, Created, PathId, Query, Valid, clock};
use nodeai_evaluation::items::{BadLine, Item, from_csv, from_jsonl};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

nodeai_store::columns! {
    /// Items of datasets.
    eval_items {
        id: Uuid, dataset_id: Uuid, dataset_version: Int, question: Json, expected: Json, relevant: Json, metadata: Json,
        source_trace_id: Text, created_at: Time,
    }
}

use eval_items as col;

const SHOWN: &[Column] = &[
    col::id,
    col::dataset_version,
    col::question,
    col::expected,
    col::relevant,
    col::metadata,
    col::source_trace_id,
    col::created_at,
];
/// Most items of an import, and lines that an answer names.
const MOST: usize = 500;
const NAMED: usize = 20;

/// An item of a dataset.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoredItem {
    /// Id (UUIDv7).
    id: String,
    /// The version of the dataset that it came with.
    dataset_version: i64,
    /// A text, or an object of inputs.
    question: Value,
    /// What a good answer says.
    expected: Option<Value>,
    /// Relevant documents: ids, or ids with grades.
    relevant: Value,
    /// Whatever belongs to it.
    metadata: Map<String, Value>,
    /// The trace that it was taken from.
    source_trace_id: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// Items to be added: exactly one of `items`, `jsonl` and `csv`; at most 500.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemsInput {
    /// Items.
    #[serde(default)]
    items: Option<Vec<Item>>,
    /// The same as JSON Lines.
    #[serde(default)]
    jsonl: Option<String>,
    /// The same as CSV with a header line: `question`, `expected`, `relevant` (`d1;d2=3`), `source_trace_id`; other columns
    /// go into `metadata`.
    #[serde(default)]
    csv: Option<String>,
}

impl Check for ItemsInput {
    fn check(&self, c: &mut Checker) {
        let given = [
            self.items.is_some(),
            self.jsonl.is_some(),
            self.csv.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        c.require(
            one,
            "/items",
            "one_of",
            "give exactly one of items, jsonl and csv",
        );
        for (i, item) in self.items.iter().flatten().enumerate() {
            if let Some((field, why)) = item.fault() {
                c.require(false, &format!("/items/{i}/{field}"), "format", why);
            }
        }
    }
}

impl ItemsInput {
    fn read(self) -> Result<Vec<Item>, Problem> {
        let (read, field) = match (self.items, self.jsonl, self.csv) {
            (Some(items), ..) => (Ok(items), "/items"),
            (_, Some(text), _) => (from_jsonl(&text), "/jsonl"),
            (.., text) => (from_csv(&text.unwrap_or_default()), "/csv"),
        };
        let wrong = |bad: Vec<BadLine>| {
            let named = bad.into_iter().take(NAMED).map(|bad| {
                let detail = format!("line {}: {}", bad.line, bad.message);
                FieldError::body(field, "format", detail)
            });
            Problem::fields(named.collect())
        };
        let items = read.map_err(wrong)?;
        match (1..=MOST).contains(&items.len()) {
            true => Ok(items),
            false => Err(Problem::fields(vec![FieldError::body(
                field,
                "length",
                "1 to 500 items in one request",
            )])),
        }
    }
}

/// What was added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Added {
    /// How many items.
    added: i64,
    /// The dataset's version with them.
    version: i64,
}

/// Adds items as the dataset's next version: all of them, or none.
pub async fn import(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    Valid(input): Valid<ItemsInput>,
) -> Result<Created<Added>, Problem> {
    let items = input.read()?;
    let rows = items.into_iter().map(|item| {
        json!({"id": clock::new_id(), "question": item.question, "expected": item.expected,
            "relevant": if item.relevant.is_null() { json!([]) } else { item.relevant },
            "metadata": item.metadata, "source_trace_id": item.source_trace_id})
    });
    let args = json!({"dataset_id": id, "items": rows.collect::<Vec<Value>>()});
    let location = format!("/api/v1/rag-evaluation/datasets/{id}/items");
    let command = Command::named("eval_import", "dataset", &id, args)
        .audit("dataset.imported", json!({}))
        .answer(
            201,
            &[("location", &location)],
            &json!({"added": 0, "version": 0}),
        );
    caller.write(command).await.map(Created::from)
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemsQuery {
    /// The dataset as it was at this version; as it is now unless given.
    version: Option<i64>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Its items, newest first.
pub async fn list(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Page<StoredItem>>, Problem> {
    let dataset = Select::from(eval_datasets::TABLE, &[eval_datasets::id])
        .filter(Filter::Eq(eval_datasets::id, id.clone()));
    let _: Value = caller.find(dataset, "dataset").await?;
    let mut select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::dataset_id, id));
    if let Some(version) = query.version {
        select = select.filter(Filter::Lte(col::dataset_version, version.to_string()));
    }
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |item: &StoredItem| &item.id)
        .await
}
