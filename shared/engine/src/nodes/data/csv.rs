//! `csv`: reads and writes comma-separated values (RFC 4180), also with other separators.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{bounded, done, entry, given, made, to_items, to_text};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    entry(
        "csv",
        "CSV",
        "Reads comma-separated values into objects, or writes objects as such a text.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "enum": ["parse", "format"], "x-nodeai": "literal"},
                "value": {"description": "Of parse a text, of format a list of objects or lists; without it what comes in over the edge"},
                "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "default": ",", "description": "One character; a tab is \"\\t\""},
                "header": {"type": "boolean", "default": true, "description": "Whether the first row has the names; without, rows are lists"},
                "columns": {"type": "array", "maxItems": 1_000, "items": {"type": "string"},
                    "description": "Of parse: the names, if there is no header; of format: which columns, in which order"},
                "types": {"type": "boolean", "default": false, "description": "Of parse: read numbers, true, false and empty fields as such"},
                "trim": {"type": "boolean", "default": false, "description": "Of parse: take white space off fields"},
                "ragged": {"type": "boolean", "default": false, "description": "Of parse: take rows of different lengths"},
                "safe": {"type": "boolean", "default": false, "description": "Of format: put ' before texts that a spreadsheet would run as formulas"},
            },
        }),
        port(
            "output",
            "The rows, or the text",
            json!({"type": ["array", "string"]}),
        ),
        json!({"operation": "parse", "value": "{{ nodes.download.output.body }}", "types": true}),
    )
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    value: Option<Value>,
    delimiter: Option<String>,
    header: Option<bool>,
    columns: Option<Vec<String>>,
    #[serde(default)]
    types: bool,
    #[serde(default)]
    trim: bool,
    #[serde(default)]
    ragged: bool,
    #[serde(default)]
    safe: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let value = call.value_or_incoming("value", config.value.take())?;
    let delimiter = match config.delimiter.as_deref().map(str::as_bytes) {
        None => b',',
        Some([byte]) if !matches!(byte, b'"' | b'\n' | b'\r') => *byte,
        Some(_) => {
            return Err(NodeError::config(
                "/delimiter: must be one ASCII character, no quote and no line break".to_owned(),
            ));
        }
    };
    Ok(done(match config.operation.as_str() {
        "parse" => config.parse(&to_text("value", value)?, delimiter)?,
        _ => config.format(to_items("value", value)?, delimiter)?,
    }))
}

impl Config {
    fn parse(&self, text: &str, delimiter: u8) -> Result<Value, NodeError> {
        let wrong = |error: csv::Error| {
            NodeError::new("csv", format!("/value: {}", explain(&error)), false)
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(self.ragged)
            .trim(if self.trim {
                csv::Trim::All
            } else {
                csv::Trim::None
            })
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let mut records = reader.records();
        let mut names = self.columns.clone();
        if self.header.unwrap_or(true) {
            let first = records.next().transpose().map_err(wrong)?;
            let first: Vec<String> = first
                .iter()
                .flat_map(|record| record.iter())
                .map(str::to_owned)
                .collect();
            names = names.or(Some(first));
        }
        let names = names.map(distinct);
        let mut rows = Vec::new();
        let mut fields = 0;
        for record in records {
            let record = record.map_err(wrong)?;
            fields += record.len().max(names.as_ref().map_or(0, Vec::len));
            if fields > 20 * super::MOST_ITEMS {
                return Err(super::too_large(format!(
                    "more than {} fields",
                    20 * super::MOST_ITEMS
                )));
            }
            let values = record.iter().map(|field| self.read(field));
            rows.push(match &names {
                None => values.collect(),
                Some(names) => object(names, values),
            });
            bounded(&rows)?;
        }
        Ok(Value::Array(rows))
    }

    fn read(&self, field: &str) -> Value {
        if !self.types {
            return field.into();
        }
        match field {
            "" => Value::Null,
            "true" | "TRUE" | "True" => true.into(),
            "false" | "FALSE" | "False" => false.into(),
            // 007 and +49 are no numbers: they would not be written back as they were.
            text => match serde_json::from_str::<serde_json::Number>(text) {
                Ok(number) => Value::Number(number),
                Err(_) => text.into(),
            },
        }
    }

    fn format(&self, items: Vec<Value>, delimiter: u8) -> Result<Value, NodeError> {
        let wrong = |error: csv::Error| NodeError::new("csv", explain(&error), false);
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_writer(Vec::new());
        let columns = self.columns.clone().unwrap_or_else(|| columns_of(&items));
        if self.header.unwrap_or(true) && !columns.is_empty() {
            writer
                .write_record(columns.iter().map(|name| self.safe(name.clone())))
                .map_err(wrong)?;
        }
        for (at, item) in items.iter().enumerate() {
            let fields: Vec<String> = match item {
                Value::Object(map) => columns
                    .iter()
                    .map(|name| map.get(name))
                    .map(|value| self.write(value))
                    .collect(),
                Value::Array(values) => {
                    values.iter().map(|value| self.write(Some(value))).collect()
                }
                other => {
                    let found = super::type_of(other);
                    return Err(NodeError::config(format!(
                        "/value/{at}: expected an object or a list, found {found}"
                    )));
                }
            };
            writer.write_record(fields).map_err(wrong)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| NodeError::new("csv", error.to_string(), false))?;
        Ok(made(String::from_utf8_lossy(&bytes).into_owned())?.into())
    }

    fn write(&self, value: Option<&Value>) -> String {
        match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => self.safe(text.clone()),
            Some(other) => other.to_string(),
        }
    }

    /// <https://owasp.org/www-community/attacks/CSV_Injection>
    fn safe(&self, text: String) -> String {
        match self.safe && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => format!("'{text}"),
            false => text,
        }
    }
}

fn object(names: &[String], values: impl Iterator<Item = Value>) -> Value {
    let mut map: Map<String, Value> = Map::new();
    let mut values = values;
    for name in names {
        map.insert(name.clone(), values.next().unwrap_or_default());
    }
    for (at, value) in values.enumerate() {
        map.insert(format!("column_{}", names.len() + at + 1), value);
    }
    Value::Object(map)
}

/// Names that come twice, or are empty, get their position.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let names = names.into_iter().enumerate();
    let named = names.map(
        |(at, name)| match name.is_empty() || !seen.insert(name.clone()) {
            true => format!(
                "{}{}",
                if name.is_empty() { "column_" } else { &name },
                at + 1
            ),
            false => name,
        },
    );
    named.collect()
}

fn columns_of(items: &[Value]) -> Vec<String> {
    let names = items
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|map| map.keys());
    names
        .collect::<indexmap::IndexSet<_>>()
        .into_iter()
        .cloned()
        .collect()
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                "line {line} has {len} fields, the first row has {expected_len}; set ragged to take such rows"
            )
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    /// The seven rules of RFC 4180, section 2.
    #[test]
    fn texts_are_read_by_the_standard() {
        let parse = || json!({"operation": "parse"});
        check(
            "csv",
            parse(),
            json!("a,b\r\n1,2\r\n3,4"),
            json!([{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        );
        check(
            "csv",
            parse(),
            json!("a,b\n\"x, y\",\"he said \"\"hi\"\"\"\n\"line\nbreak\",\n"),
            json!([{"a": "x, y", "b": "he said \"hi\""}, {"a": "line\nbreak", "b": ""}]),
        );
        check(
            "csv",
            json!({"operation": "parse", "header": false}),
            json!("1;2"),
            json!([["1;2"]]),
        );
        let typed = json!({"operation": "parse", "types": true, "delimiter": ";", "trim": true});
        check(
            "csv",
            typed,
            json!("\u{feff}n; t ;z\n1.5; true ;007\n;x;-2\n"),
            json!([{"n": 1.5, "t": true, "z": "007"}, {"n": null, "t": "x", "z": -2}]),
        );
        check(
            "csv",
            json!({"operation": "parse", "ragged": true}),
            json!("a,a,\n1\n1,2,3,4"),
            json!([{"a": "1", "a2": null, "column_3": null}, {"a": "1", "a2": "2", "column_3": "3", "column_4": "4"}]),
        );
        check(
            "csv",
            json!({"operation": "parse", "header": false, "columns": ["x", "y"]}),
            json!("1,2"),
            json!([{"x": "1", "y": "2"}]),
        );
        check("csv", parse(), json!(""), json!([]));
    }

    #[test]
    fn what_is_written_reads_back() {
        let rows = json!([{"a": "x, y", "b": "\"q\"\n"}, {"a": "", "c": "é"}]);
        let text =
            super::super::testing::run("csv", json!({"operation": "format"}), rows).expect("valid");
        assert_eq!(text, "a,b,c\n\"x, y\",\"\"\"q\"\"\n\",\n,,é\n");
        check(
            "csv",
            json!({"operation": "parse"}),
            text,
            json!([{"a": "x, y", "b": "\"q\"\n", "c": ""}, {"a": "", "b": "", "c": "é"}]),
        );
        check(
            "csv",
            json!({"operation": "format", "columns": ["b"], "header": false, "delimiter": "\t"}),
            json!([{"a": 1, "b": [2]}]),
            json!("[2]\n"),
        );
        check(
            "csv",
            json!({"operation": "format", "safe": true}),
            json!([{"a": "=1+1"}, {"a": -1}]),
            json!("a\n'=1+1\n-1\n"),
        );
    }

    #[test]
    fn faults_name_the_line() {
        refuse(
            "csv",
            json!({"operation": "parse"}),
            json!("a,b\n1,2\n3\n"),
            "line 3 has 1 fields, the first row has 2",
        );
        refuse(
            "csv",
            json!({"operation": "format"}),
            json!([1]),
            "/value/0: expected an object or a list",
        );
        refuse(
            "csv",
            json!({"operation": "parse", "delimiter": "é"}),
            json!(""),
            "/delimiter",
        );
        refuse(
            "csv",
            json!({"operation": "parse"}),
            json!("a\n".repeat(60_000)),
            "more than 50000 items",
        );
    }
}
