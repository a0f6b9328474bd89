//! The search language: terms with blanks between them, all of which must hold.
//!
//! `status:error cost>0.01 model:gpt-4o,gpt-4o-mini duration>2s -tag:test attr.http.method=GET "out of memory"`
//!
//! - `field:value` or `field=value` is one of the values between commas; numbers also take `<`, `<=`, `>`, `>=`.
//! - `-` before a term turns it round. A value with blanks or commas stands in double quotes (`\"` and `\\` inside).
//! - What has no field is text: it is sought, without regard to case, in names, inputs, outputs and events.
//! - Fields: `status`, `kind`, `name`, `workflow`, `execution`, `trace`, `node`, `type` (of node), `model`, `provider`,
//!   `user` (a member's id or the client's own name for a user), `session`, `tag`, `attr.<name>`; `duration` (`250ms`,
//!   `2s`, `1m`, `1h`), `cost` (USD), `tokens`, `spans`.
//!
//! A term about spans (`model`, `provider`, `node`, `type`, `attr`) holds when it holds for one of the trace's spans.

use nodeai_telemetry::terms;
use serde::Serialize;
use serde_json::Value;

/// Most characters of a query.
pub const LONGEST: usize = 2_000;
/// Most terms of a query.
pub const MOST_TERMS: usize = 20;

/// One term, as the SQL function `traces_search` takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Term {
    /// The field; `text` for what has none.
    pub field: &'static str,
    /// `=`, `<`, `<=`, `>` or `>=`.
    pub op: &'static str,
    /// One of them; numbers are µs, pico-USD and counts.
    pub values: Vec<Value>,
    /// Whether it must not hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
    /// The attribute's name, for `attr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For `attr`, what traces with one of the values have among their terms; none where that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<Vec<i32>>,
}

impl Term {
    /// `field` is `value`.
    pub fn is(field: &'static str, value: impl Into<Value>) -> Self {
        Self {
            field,
            op: "=",
            values: vec![value.into()],
            not: false,
            key: None,
            terms: None,
        }
    }
}

/// What is wrong with a query, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct Error {
    /// The character at which it is wrong, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

const FIELDS: &[&str] = &[
    "status",
    "kind",
    "name",
    "workflow",
    "execution",
    "trace",
    "node",
    "type",
    "model",
    "provider",
    "user",
    "session",
    "tag",
    "duration",
    "cost",
    "tokens",
    "spans",
];
const NUMBERS: &[&str] = &["duration", "cost", "tokens", "spans"];

/// Reads a query. Errors: the first fault, with its column.
pub fn parse(query: &str) -> Result<Vec<Term>, Error> {
    let chars: Vec<char> = query.chars().collect();
    if chars.len() > LONGEST {
        return Err(fault(
            LONGEST,
            format!("a query may have at most {LONGEST} characters"),
        ));
    }
    let mut reader = Reader { chars, at: 0 };
    let mut terms = Vec::new();
    loop {
        reader.skip_blanks();
        if reader.at == reader.chars.len() {
            return Ok(terms);
        }
        if terms.len() == MOST_TERMS {
            return Err(fault(
                reader.at,
                format!("a query may have at most {MOST_TERMS} terms"),
            ));
        }
        terms.push(reader.term()?);
    }
}

fn fault(at: usize, message: impl Into<String>) -> Error {
    Error {
        column: at + 1,
        message: message.into(),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn term(&mut self) -> Result<Term, Error> {
        let not = self.peek() == Some('-')
            && self
                .chars
                .get(self.at + 1)
                .is_some_and(|c| !c.is_whitespace());
        self.at += usize::from(not);
        let start = self.at;
        let mut term = match self.name() {
            Some(name) => self.field(&name, start)?,
            None => Term::is("text", self.value(&[])?),
        };
        term.not = not;
        Ok(term)
    }

    /// The name before an operator; the place stays when there is none.
    fn name(&mut self) -> Option<String> {
        let rest = &self.chars[self.at..];
        let length = rest
            .iter()
            .take_while(|c| c.is_alphanumeric() || "._-/".contains(**c))
            .count();
        let operator = rest.get(length).is_some_and(|c| ":=<>".contains(*c));
        (length > 0 && operator).then(|| {
            self.at += length;
            rest[..length].iter().collect()
        })
    }

    fn field(&mut self, name: &str, start: usize) -> Result<Term, Error> {
        let (field, key) = match name.strip_prefix("attr.") {
            Some(key) if !key.is_empty() => ("attr", Some(key.to_owned())),
            _ => match FIELDS.iter().find(|known| **known == name) {
                Some(field) => (*field, None),
                None => {
                    let fields = FIELDS.join(", ");
                    let message =
                        format!("there is no field `{name}`; there are {fields}, attr.<name>");
                    return Err(fault(start, message));
                }
            },
        };
        let op_at = self.at;
        let op = self.operator();
        let number = NUMBERS.contains(&field);
        if !number && op != "=" {
            return Err(fault(op_at, format!("`{field}` takes `:` or `=` only")));
        }
        let mut values = Vec::new();
        loop {
            let at = self.at;
            let text = self.value(&[','])?;
            values.push(match number {
                true => amount(field, &text)
                    .ok_or_else(|| fault(at, expected(field)))?
                    .into(),
                false => checked(field, text, at)?.into(),
            });
            if self.peek() != Some(',') {
                break;
            }
            if number {
                return Err(fault(self.at, format!("`{field}` takes one value")));
            }
            self.at += 1;
        }
        let terms = key.as_ref().and_then(|key| {
            let values = values.iter().filter_map(Value::as_str);
            values.map(|text| terms::term(key, text)).collect()
        });
        Ok(Term {
            field,
            op,
            values,
            not: false,
            key,
            terms,
        })
    }

    fn operator(&mut self) -> &'static str {
        let (first, second) = (self.peek(), self.chars.get(self.at + 1).copied());
        let (op, length) = match (first, second) {
            (Some('<'), Some('=')) => ("<=", 2),
            (Some('>'), Some('=')) => (">=", 2),
            (Some('<'), _) => ("<", 1),
            (Some('>'), _) => (">", 1),
            _ => ("=", 1),
        };
        self.at += length;
        op
    }

    /// A value in quotes, or up to a blank or one of `ends`.
    fn value(&mut self, ends: &[char]) -> Result<String, Error> {
        let start = self.at;
        let mut text = String::new();
        if self.peek() != Some('"') {
            while let Some(c) = self
                .peek()
                .filter(|c| !c.is_whitespace() && !ends.contains(c))
            {
                text.push(c);
                self.at += 1;
            }
            return match text.is_empty() {
                true => Err(fault(start, "a value is missing")),
                false => Ok(text),
            };
        }
        self.at += 1;
        loop {
            let c = self
                .peek()
                .ok_or_else(|| fault(start, "this quote is not closed"))?;
            self.at += 1;
            match c {
                '"' if text.is_empty() => return Err(fault(start, "a value is missing")),
                '"' => return Ok(text),
                '\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                c => text.push(c),
            }
        }
    }
}

fn checked(field: &str, text: String, at: usize) -> Result<String, Error> {
    let one_of = |known: &[&str]| match known.contains(&text.as_str()) {
        true => Ok(()),
        false => Err(fault(
            at,
            format!("`{field}` is one of {}", known.join(", ")),
        )),
    };
    let hex = |length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    match field {
        "status" => one_of(&["ok", "error", "unset"])?,
        "kind" => one_of(&["run", "request", "ingest"])?,
        "workflow" | "execution" if !is_uuid(&text) => {
            return Err(fault(at, format!("`{field}` is a UUID")));
        }
        "trace" if !hex(32) => return Err(fault(at, "`trace` is 32 hex digits")),
        _ => {}
    }
    Ok(text)
}

fn is_uuid(text: &str) -> bool {
    let shape: Vec<usize> = text.split('-').map(str::len).collect();
    shape == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn expected(field: &str) -> &'static str {
    match field {
        "duration" => "expected a duration such as 250ms, 2s, 1.5m or 1h",
        "cost" => "expected an amount in USD such as 0.01",
        _ => "expected a whole number",
    }
}

/// µs, pico-USD, or a count.
fn amount(field: &str, text: &str) -> Option<i64> {
    match field {
        "duration" => {
            let split = text.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = text.split_at(split);
            let digits = match unit {
                "us" => return decimal(number, 0),
                "ms" => 3,
                "s" | "m" | "h" => 6,
                _ => return None,
            };
            let factor = match unit {
                "m" => 60,
                "h" => 3_600,
                _ => 1,
            };
            decimal(number, digits)?.checked_mul(factor)
        }
        "cost" => decimal(text.trim_start_matches('$'), 12),
        _ => decimal(text, 0),
    }
}

/// A decimal number times 10^`digits`, exactly; `None` when it has more digits than that, or is none.
fn decimal(text: &str, digits: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > digits || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn terms(query: &str) -> Value {
        json!(parse(query).unwrap_or_else(|error| panic!("{query}: {error}")))
    }

    #[test]
    fn every_kind_of_term_is_read() {
        let query = r#"status:error cost>0.01 model:gpt-4o,"gpt 4" duration>=1.5s -tag:test attr.http.method=GET "a \"b\"" 日本語"#;
        assert_eq!(
            terms(query),
            json!([
                {"field": "status", "op": "=", "values": ["error"]},
                {"field": "cost", "op": ">", "values": [10_000_000_000_i64]},
                {"field": "model", "op": "=", "values": ["gpt-4o", "gpt 4"]},
                {"field": "duration", "op": ">=", "values": [1_500_000]},
                {"field": "tag", "op": "=", "values": ["test"], "not": true},
                {"field": "attr", "op": "=", "values": ["GET"], "key": "http.method",
                // zlib.crc32(b"http.method\0GET") of Python 3.
                "terms": [-2_144_761_149]},
                {"field": "text", "op": "=", "values": ["a \"b\""]},
                {"field": "text", "op": "=", "values": ["日本語"]},
            ])
        );
        assert_eq!(terms("  "), json!([]));
        assert_eq!(terms("duration<2m")[0]["values"][0], 120_000_000);
        assert_eq!(terms("cost<0.000000000001")[0]["values"][0], 1);
        assert_eq!(terms("node:a/b type:llm user:u-1")[0]["values"][0], "a/b");
    }

    #[test]
    fn faults_say_where_they_are() {
        for (query, column, part) in [
            ("modle:x", 1, "no field `modle`"),
            ("a modle:x", 3, "no field"),
            ("status:bad", 8, "one of ok, error, unset"),
            ("status>ok", 7, "takes `:` or `=` only"),
            ("cost>cheap", 6, "USD"),
            ("cost>1,2", 7, "one value"),
            ("duration>5", 10, "250ms"),
            ("duration>5y", 10, "250ms"),
            ("model:", 7, "missing"),
            ("model:\"\"", 7, "missing"),
            ("x \"open", 3, "not closed"),
            ("workflow:1", 10, "UUID"),
            ("trace:1", 7, "hex"),
            ("spans>1.5", 7, "whole"),
            ("日本 cost>z", 9, "USD"),
        ] {
            let error = parse(query).expect_err(query);
            assert_eq!(error.column, column, "{query}: {error}");
            assert!(error.message.contains(part), "{query}: {error}");
        }
        assert!(parse(&"x ".repeat(MOST_TERMS + 1)).is_err());
        assert!(parse(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn an_amount_too_large_is_a_fault() {
        assert!(parse("cost>99999999999999999999").is_err());
        assert!(parse("duration>9999999999999999h").is_err());
    }
}
