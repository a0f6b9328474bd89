//! Items of a dataset: a question, what is expected, which documents are relevant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The question: a text, or an object of inputs.
    pub question: Value,
    /// What a good answer says, where that is known.
    #[serde(default)]
    pub expected: Option<Value>,
    /// Relevant documents with their grades: `{"doc": 2, …}`, or a list of ids, which have grade 1.
    #[serde(default)]
    pub relevant: Value,
    /// Whatever belongs to it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The trace that it was taken from.
    #[serde(default)]
    pub source_trace_id: Option<String>,
}

/// A line that is no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1; of CSV with the header line.
    pub line: u64,
    /// Why.
    pub message: String,
}

impl Item {
    /// What is wrong with it, as a field and a reason.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let asked = match &self.question {
            Value::String(text) => !text.trim().is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => false,
        };
        if !asked {
            return Some(("question", "must be a text or an object, and not empty"));
        }
        let judged = match &self.relevant {
            Value::Null => true,
            Value::Array(ids) => ids
                .iter()
                .all(|id| id.as_str().is_some_and(|id| !id.is_empty())),
            Value::Object(grades) => grades.values().all(|grade| grade.as_i64().is_some()),
            _ => false,
        };
        (!judged).then_some((
            "relevant",
            "must be a list of ids, or an object of ids with whole numbers",
        ))
    }

    /// The relevant documents with their grades.
    pub fn grades(&self) -> nodeai_rag::metrics::Judged {
        match &self.relevant {
            Value::Array(ids) => {
                let ids = ids.iter().filter_map(Value::as_str);
                ids.map(|id| (id.to_owned(), 1)).collect()
            }
            Value::Object(grades) => {
                let grades = grades.iter();
                let graded = grades.filter_map(|(id, grade)| Some((id.clone(), grade.as_i64()?)));
                graded.collect()
            }
            _ => nodeai_rag::metrics::Judged::new(),
        }
    }
}

/// Reads JSON Lines; empty lines do not count.
pub fn from_jsonl(text: &str) -> Result<Vec<Item>, Vec<BadLine>> {
    let lines = text.lines().zip(1_u64..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty());
    gathered(lines.map(|(line, number)| {
        let read = serde_json::from_str::<Item>(line).map_err(|error| error.to_string());
        (number, read)
    }))
}

/// Reads CSV (RFC 4180) with a header line. `question` is required; `expected`, `relevant` (ids separated by `;`, each maybe
/// with `=grade`) and `source_trace_id` have their meaning; every other column goes into `metadata`.
pub fn from_csv(text: &str) -> Result<Vec<Item>, Vec<BadLine>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let bad = |line: u64, message: String| vec![BadLine { line, message }];
    let headers = reader
        .headers()
        .map_err(|error| bad(1, error.to_string()))?
        .clone();
    if !headers.iter().any(|name| name.trim() == "question") {
        return Err(bad(1, "there is no column question".to_owned()));
    }
    let rows = reader.records().map(|record| match record {
        Ok(record) => {
            let line = record.position().map_or(0, csv::Position::line);
            let cells = headers.iter().map(str::trim).zip(record.iter());
            (line, of_cells(cells))
        }
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line);
            (line, Err(error.to_string()))
        }
    });
    gathered(rows)
}

fn of_cells<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Item, String> {
    let mut item = Item {
        question: Value::Null,
        expected: None,
        relevant: Value::Null,
        metadata: Map::new(),
        source_trace_id: None,
    };
    for (name, cell) in cells {
        let text = (!cell.is_empty()).then(|| json!(cell));
        match name {
            "question" => item.question = json!(cell),
            "expected" => item.expected = text,
            "relevant" => item.relevant = relevant(cell)?,
            "source_trace_id" => item.source_trace_id = text.map(|_| cell.to_owned()),
            name => {
                if let Some(text) = text {
                    item.metadata.insert(name.to_owned(), text);
                }
            }
        }
    }
    Ok(item)
}

fn relevant(cell: &str) -> Result<Value, String> {
    let mut grades = Map::new();
    for part in cell
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (id, grade) = part.rsplit_once('=').unwrap_or((part, "1"));
        let grade: i64 = grade
            .trim()
            .parse()
            .map_err(|_| format!("the grade {grade:?} of {id} is no whole number"))?;
        grades.insert(id.trim().to_owned(), json!(grade));
    }
    Ok(Value::Object(grades))
}

fn gathered(
    lines: impl Iterator<Item = (u64, Result<Item, String>)>,
) -> Result<Vec<Item>, Vec<BadLine>> {
    let (mut items, mut bad) = (Vec::new(), Vec::new());
    for (line, read) in lines {
        let checked = read.and_then(|item| match item.fault() {
            Some((field, why)) => Err(format!("{field} {why}")),
            None => Ok(item),
        });
        match checked {
            Ok(item) => items.push(item),
            Err(message) => bad.push(BadLine { line, message }),
        }
    }
    if bad.is_empty() { Ok(items) } else { Err(bad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_columns_of_meaning_and_others() {
        let text =
            "question,expected,relevant,topic\n\"Who, then?\",Ada,d1;d2=3,people\nWhat?,,,\n";
        let items = from_csv(text).expect("items");
        assert_eq!(items[0].question, json!("Who, then?"));
        assert_eq!(items[0].relevant, json!({"d1": 1, "d2": 3}));
        assert_eq!(items[0].metadata["topic"], "people");
        assert_eq!((&items[1].expected, items[1].metadata.len()), (&None, 0));
        assert_eq!(items[0].grades().get("d2"), Some(&3));
    }

    #[test]
    fn each_bad_line_is_named() {
        let bad = from_csv("question,relevant\n,d1\nok,d1=x\nfine,d1\n").expect_err("bad");
        assert_eq!(bad.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 3]);
        let bad =
            from_jsonl("{\"question\": \"a\"}\n\n{\"question\": 3}\nnonsense\n").expect_err("bad");
        assert_eq!(bad.iter().map(|one| one.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(from_csv("a,b\n1,2\n").expect_err("bad")[0].line, 1);
    }

    #[test]
    fn json_lines_take_inputs_and_lists() {
        let items =
            from_jsonl("{\"question\": {\"q\": \"x\"}, \"relevant\": [\"d1\"]}").expect("items");
        assert_eq!(items[0].grades(), [("d1".to_owned(), 1)].into());
    }
}
