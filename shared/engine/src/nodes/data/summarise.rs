//! `summarise`: groups items and computes over each group, as SQL's `GROUP BY` does.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::columns::{key_of, number_at};
use super::order::{Collation, compare, key};
use super::path::Path;
use super::{done, entry, given, items_schema, list_port, path_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    entry(
        "summarise",
        "Summarise",
        "Groups items by fields and computes over each group: counts, sums, averages, extremes, first, last, lists and joined texts. Null and missing values do not count.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["fields"],
            "properties": {
                "items": items_schema(),
                "group_by": {"type": "array", "maxItems": 20, "items": path_schema("A field"), "description": "Without it all items are one group"},
                "fields": {"type": "array", "minItems": 1, "maxItems": 50, "items": {
                    "type": "object", "additionalProperties": false, "required": ["operation"],
                    "properties": {
                        "operation": {"type": "string", "enum": ["count", "count_unique", "sum", "average", "median", "min", "max", "first", "last", "list", "concat"]},
                        "field": path_schema("The field; count may do without"),
                        "as": {"type": "string", "minLength": 1, "maxLength": 128, "description": "The name of the result; such as sum_price unless given"},
                        "separator": {"type": "string", "default": ", ", "description": "Of concat"},
                    },
                }},
            },
        }),
        list_port("One object per group, in the order in which the groups came"),
        json!({"items": "{{ inputs.orders }}", "group_by": ["country"], "fields": [{"operation": "sum", "field": "total"}, {"operation": "count", "as": "orders"}]}),
    )
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Count,
    CountUnique,
    Sum,
    Average,
    Median,
    Min,
    Max,
    First,
    Last,
    List,
    Concat,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountUnique => "count_unique",
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Median => "median",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::List => "list",
            Self::Concat => "concat",
        }
    }
}

#[derive(Deserialize)]
struct Field {
    operation: Operation,
    field: Option<Path>,
    #[serde(rename = "as")]
    name: Option<String>,
    separator: Option<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    #[serde(default)]
    group_by: Vec<Path>,
    fields: Vec<Field>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let missing =
        |(_, field): &(usize, &Field)| field.field.is_none() && field.operation != Operation::Count;
    if let Some((at, _)) = config.fields.iter().enumerate().find(missing) {
        return Err(NodeError::config(format!(
            "/fields/{at}/field: is required for this operation"
        )));
    }
    let items = call.items(config.items)?;
    let mut groups: IndexMap<String, Vec<usize>> = IndexMap::new();
    if config.group_by.is_empty() {
        groups.insert(String::new(), Vec::new());
    }
    for (at, item) in items.iter().enumerate() {
        let key = key_of(item, &config.group_by, false, false);
        groups.entry(key).or_default().push(at);
    }
    let rows = groups.values().map(|members| {
        let mut row = Map::new();
        for path in &config.group_by {
            let of_first = members.first().and_then(|&at| path.get(&items[at]));
            row.insert(
                path.as_str().to_owned(),
                of_first.cloned().unwrap_or_default(),
            );
        }
        for field in &config.fields {
            row.insert(field.result_name(), field.compute(&items, members)?);
        }
        Ok(Value::Object(row))
    });
    Ok(done(Value::Array(rows.collect::<Result<_, NodeError>>()?)))
}

impl Field {
    fn result_name(&self) -> String {
        let name = self.operation.name();
        match (&self.name, &self.field) {
            (Some(given), _) => given.clone(),
            (None, Some(path)) => format!("{name}_{}", path.as_str()),
            (None, None) => name.to_owned(),
        }
    }

    fn compute(&self, items: &[Value], members: &[usize]) -> Result<Value, NodeError> {
        let Some(path) = &self.field else {
            return Ok(json!(members.len()));
        };
        let values = || {
            members
                .iter()
                .filter_map(|&at| path.get(&items[at]))
                .filter(|value| !value.is_null())
        };
        let extreme = |wanted| {
            let by = Collation::default();
            let better = |best: &'_ Value, value: &'_ Value| compare(value, best, by) == wanted;
            let best =
                values().reduce(|best, value| if better(best, value) { value } else { best });
            best.cloned().unwrap_or_default()
        };
        let numbers = || -> Result<Vec<Number>, NodeError> {
            let numbers = members.iter().map(|&at| number_at(&items[at], at, path));
            Ok(numbers
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect())
        };
        Ok(match self.operation {
            Operation::Count => json!(values().count()),
            Operation::CountUnique => {
                let keys: HashSet<String> =
                    values().map(|value| key(value, false, false)).collect();
                json!(keys.len())
            }
            Operation::Sum => sum(&numbers()?),
            Operation::Average => {
                let numbers = numbers()?;
                match numbers.len() {
                    0 => Value::Null,
                    count => json!(sum(&numbers).as_f64().unwrap_or(f64::NAN) / count as f64),
                }
            }
            Operation::Median => median(&numbers()?),
            Operation::Min => extreme(std::cmp::Ordering::Less),
            Operation::Max => extreme(std::cmp::Ordering::Greater),
            Operation::First => values().next().cloned().unwrap_or_default(),
            Operation::Last => values().next_back().cloned().unwrap_or_default(),
            Operation::List => values().cloned().collect(),
            Operation::Concat => {
                let texts = values().map(|value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                });
                let texts: Vec<String> = texts.collect();
                let separator = self.separator.as_deref().unwrap_or(", ");
                Value::from(super::made(texts.join(separator))?)
            }
        })
    }
}

/// Exact as long as all are integers.
fn sum(numbers: &[Number]) -> Value {
    let exact = numbers
        .iter()
        .try_fold(0i64, |sum, number| sum.checked_add(number.as_i64()?));
    match exact {
        Some(sum) => json!(sum),
        None => json!(numbers.iter().filter_map(Number::as_f64).sum::<f64>()),
    }
}

fn median(numbers: &[Number]) -> Value {
    let mut sorted: Vec<f64> = numbers.iter().filter_map(Number::as_f64).collect();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => Value::Null,
        (count, middle) if count % 2 == 1 => json!(sorted[middle]),
        (_, middle) => json!((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    /// Expected values are those of PostgreSQL 15 for the same rows.
    #[test]
    fn groups_are_computed_as_sql_does() {
        let rows = json!([
            {"c": "de", "n": 3, "s": "x"}, {"c": "fr", "n": 5, "s": "y"}, {"c": "de", "n": 4, "s": "x"},
            {"c": "de", "n": null, "s": "z"}, {"n": "2.5"},
        ]);
        let field = |operation: &str, field: &str| json!({"operation": operation, "field": field, "as": operation});
        let all = [
            "count", "sum", "average", "median", "min", "max", "first", "last", "list",
        ]
        .map(|o| field(o, "n"));
        let mut fields = all.to_vec();
        fields.extend([
            field("count_unique", "s"),
            json!({"operation": "concat", "field": "s", "separator": "|"}),
            json!({"operation": "count", "as": "rows"}),
        ]);
        check(
            "summarise",
            json!({"group_by": ["c"], "fields": fields}),
            rows,
            json!([
                {"c": "de", "count": 2, "sum": 7, "average": 3.5, "median": 3.5, "min": 3, "max": 4, "first": 3, "last": 4, "list": [3, 4], "count_unique": 2, "concat_s": "x|x|z", "rows": 3},
                {"c": "fr", "count": 1, "sum": 5, "average": 5.0, "median": 5.0, "min": 5, "max": 5, "first": 5, "last": 5, "list": [5], "count_unique": 1, "concat_s": "y", "rows": 1},
                {"c": null, "count": 1, "sum": 2.5, "average": 2.5, "median": 2.5, "min": "2.5", "max": "2.5", "first": "2.5", "last": "2.5", "list": ["2.5"], "count_unique": 0, "concat_s": "", "rows": 1},
            ]),
        );
    }

    #[test]
    fn one_group_without_items_is_one_row() {
        check(
            "summarise",
            json!({"fields": [{"operation": "count"}, {"operation": "average", "field": "n"}]}),
            json!([]),
            json!([{"count": 0, "average_n": null}]),
        );
        check(
            "summarise",
            json!({"group_by": ["a"], "fields": [{"operation": "count"}]}),
            json!([]),
            json!([]),
        );
    }

    #[test]
    fn what_is_no_number_is_named() {
        refuse(
            "summarise",
            json!({"fields": [{"operation": "sum", "field": "n"}]}),
            json!([{"n": 1}, {"n": "x"}]),
            "/items/1: n is a string, not a number",
        );
        refuse(
            "summarise",
            json!({"fields": [{"operation": "sum"}]}),
            json!([]),
            "/fields/0/field",
        );
    }
}
