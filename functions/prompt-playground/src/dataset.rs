//! Rows of variables from a dataset of questions.

use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Scope};
use nodeai_http::{Checker, Problem};
use nodeai_store::{Filter, Order, Select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

nodeai_store::columns! {
    /// Items of datasets.
    eval_items {
        id: Uuid, dataset_id: Uuid, dataset_version: Int, question: Json, expected: Json,
    }
}

use eval_items as col;

/// Most rows of a trial.
const MOST: u32 = 50;

/// Items of a dataset as rows, in the order in which they came in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetRows {
    /// The dataset. A question that is a text is the variable `question`; one that is an object is the variables. `expected` is there,
    /// too, unless the question has a variable of that name.
    id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    version: Option<i64>,
    /// Only items behind this one: the last of the batch before.
    #[serde(default)]
    after: Option<String>,
    /// At most so many, 1 to 50; 20 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

impl DatasetRows {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(20)
    }
}

/// Reports what is wrong with it.
pub fn check(c: &mut Checker, given: Option<&DatasetRows>, rows: &[Map<String, Value>]) {
    let Some(given) = given else { return };
    let alone = rows.is_empty();
    let detail = "give rows or a dataset";
    c.require(alone, "/dataset", "one_of", detail);
    c.require(
        is_uuid(&given.id),
        "/dataset/id",
        "format",
        "must be a UUID",
    );
    let after = given.after.as_deref().is_none_or(is_uuid);
    c.require(after, "/dataset/after", "format", "must be an item's id");
    let few = (1..=MOST).contains(&given.limit());
    c.require(few, "/dataset/limit", "range", "must be from 1 to 50");
}

/// How many rows there can be.
pub fn count(given: Option<&DatasetRows>, rows: &[Map<String, Value>]) -> usize {
    given.map_or(rows.len(), |given| given.limit() as usize)
}

#[derive(Deserialize)]
struct Item {
    question: Value,
    #[serde(default)]
    expected: Value,
}

impl Item {
    fn variables(self) -> Map<String, Value> {
        let mut row = match self.question {
            Value::Object(inputs) => inputs,
            text => Map::from_iter([("question".to_owned(), text)]),
        };
        if !self.expected.is_null() {
            row.entry("expected").or_insert(self.expected);
        }
        row
    }
}

/// The rows of a request, those of its dataset when it names one. Errors: 404 without items.
pub async fn rows<S: Scope>(
    caller: &Caller<S>,
    given: Option<&DatasetRows>,
    rows: Vec<Map<String, Value>>,
) -> Result<Vec<Map<String, Value>>, Problem> {
    let Some(given) = given else { return Ok(rows) };
    let mut select = Select::from(col::TABLE, &[col::question, col::expected])
        .filter(Filter::Eq(col::dataset_id, given.id.clone()));
    if let Some(version) = given.version {
        select = select.filter(Filter::Lte(
            col::dataset_version,
            json!(version).to_string(),
        ));
    }
    if let Some(after) = &given.after {
        select = select.filter(Filter::Gt(col::id, after.clone()));
    }
    select.order = vec![Order::Asc(col::id)];
    select.limit = given.limit();
    let items: Vec<Item> = caller.select(select).await?;
    match items.is_empty() {
        true => Err(Problem::not_found(
            "there is no such dataset, or it has no such items",
        )),
        false => Ok(items.into_iter().map(Item::variables).collect()),
    }
}
