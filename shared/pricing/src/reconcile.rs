//! Usage exports of providers, read and held against what was counted, bucket by bucket.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::number::parse_usd;
use crate::{Bucket, Tokens, catalogue, reference_of};

/// What an export says of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Tokens.
    pub tokens: Tokens,
    /// Requests; none where it does not say.
    pub requests: Option<i64>,
    /// Pico-USD; none where it does not say.
    pub pusd: Option<i64>,
}

/// Why an export cannot be read: in which place, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads an export of `openai` or `anthropic`, as JSON of their usage API (pages joined or one) or as CSV with a head line,
/// and sums it by model.
///
/// # Errors
/// When it is neither, or lacks the model or the tokens.
pub fn read(provider: &str, text: &str) -> Result<BTreeMap<String, Line>, Unreadable> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let rows = if text.starts_with(['{', '[']) {
        json_rows(text)?
    } else {
        csv_rows(text)?
    };
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let place = |what: &str| Unreadable(format!("row {}: {what}", at + 1));
        let model = row
            .text(&["model", "model_version"])
            .ok_or_else(|| place("there is no model"))?;
        let tokens = row
            .tokens(provider)
            .ok_or_else(|| place("there are no token counts"))?;
        let line = lines.entry(key(provider, model)).or_default();
        line.tokens = sum(&line.tokens, &tokens);
        if let Some(n) = row.number(&["num_model_requests", "requests", "n_requests"]) {
            *line.requests.get_or_insert(0) += n;
        }
        if let Some(usd) = row
            .text(&["cost_usd", "usd", "amount_usd", "total_cost"])
            .and_then(parse_usd)
        {
            *line.pusd.get_or_insert(0) += usd;
        }
    }
    Ok(lines)
}

/// The name under which both sides count a model.
pub fn key(provider: &str, model: &str) -> String {
    let reference = reference_of(provider, model);
    catalogue()
        .find(&reference)
        .map_or(reference, |entry| entry.id.clone())
}

struct Row(BTreeMap<String, String>);

impl Row {
    fn text(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.0.get(*name))
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn number(&self, names: &[&str]) -> Option<i64> {
        self.text(names)?.parse().ok().filter(|n| *n >= 0)
    }

    /// Anthropic's input excludes what is read from and written to the cache, OpenAI's includes it.
    fn tokens(&self, provider: &str) -> Option<Tokens> {
        let count = |names: &[&str]| self.number(names).unwrap_or(0);
        if provider == "anthropic" {
            return Some(Tokens {
                uncached: self.number(&[
                    "uncached_input_tokens",
                    "input_tokens",
                    "usage_input_tokens_no_cache",
                ])?,
                cache_read: count(&["cache_read_input_tokens", "usage_input_tokens_cache_read"]),
                cache_write: count(&[
                    "ephemeral_5m_input_tokens",
                    "usage_input_tokens_cache_write_5m",
                    "cache_creation_input_tokens",
                ]),
                cache_write_1h: count(&[
                    "ephemeral_1h_input_tokens",
                    "usage_input_tokens_cache_write_1h",
                ]),
                output_text: count(&["output_tokens", "usage_output_tokens"]),
                ..Tokens::default()
            });
        }
        let all = crate::Inclusive {
            prompt_tokens: self.number(&[
                "input_tokens",
                "prompt_tokens",
                "n_context_tokens_total",
            ])?,
            completion_tokens: count(&[
                "output_tokens",
                "completion_tokens",
                "n_generated_tokens_total",
            ]),
            cache_read_tokens: count(&[
                "input_cached_tokens",
                "cached_tokens",
                "n_cached_context_tokens_total",
            ]),
            audio_input_tokens: count(&["input_audio_tokens"]),
            audio_output_tokens: count(&["output_audio_tokens"]),
            ..crate::Inclusive::default()
        };
        Some(all.into())
    }
}

/// `{"data": [{"results": [row]}]}`, a list of such pages, or a list of rows. Nested objects lose their names.
fn json_rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| Unreadable(format!("it is not JSON: {error}")))?;
    let mut rows = Vec::new();
    collect(&json, &mut rows);
    if rows.is_empty() {
        return Err(Unreadable("there is no row with a model and tokens".into()));
    }
    Ok(rows)
}

fn collect(json: &Value, rows: &mut Vec<Row>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| collect(item, rows)),
        Value::Object(map) => {
            let nested = ["data", "results"]
                .into_iter()
                .filter_map(|name| map.get(name))
                .collect::<Vec<_>>();
            if nested.is_empty() {
                let mut row = BTreeMap::new();
                flatten(map, &mut row);
                rows.push(Row(row));
            } else {
                nested.into_iter().for_each(|item| collect(item, rows));
            }
        }
        _ => {}
    }
}

fn flatten(map: &serde_json::Map<String, Value>, row: &mut BTreeMap<String, String>) {
    for (name, value) in map {
        match value {
            Value::Object(inner) => flatten(inner, row),
            Value::String(text) => drop(row.insert(name.clone(), text.clone())),
            Value::Number(number) => drop(row.insert(name.clone(), number.to_string())),
            _ => {}
        }
    }
}

/// RFC 4180: quotes around a field, two of them for one inside.
fn csv_rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let mut records = records(text).into_iter();
    let head = records
        .next()
        .ok_or_else(|| Unreadable("it is empty".into()))?;
    let head: Vec<String> = head
        .iter()
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut rows = Vec::new();
    for (at, record) in records.enumerate() {
        if record.len() != head.len() {
            return Err(Unreadable(format!(
                "row {}: {} fields, the head has {}",
                at + 1,
                record.len(),
                head.len()
            )));
        }
        rows.push(Row(head.iter().cloned().zip(record).collect()));
    }
    if rows.is_empty() {
        return Err(Unreadable("there is no row below the head".into()));
    }
    Ok(rows)
}

fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) =
        (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    record.push(field);
    records.push(record);
    records.retain(|record| record.iter().any(|field| !field.is_empty()));
    records
}

/// The sum of all of them.
pub fn total(all: impl IntoIterator<Item = Tokens>) -> Tokens {
    all.into_iter()
        .fold(Tokens::default(), |total, one| sum(&total, &one))
}

fn sum(a: &Tokens, b: &Tokens) -> Tokens {
    Tokens {
        uncached: a.uncached.saturating_add(b.uncached),
        cache_read: a.cache_read.saturating_add(b.cache_read),
        cache_write: a.cache_write.saturating_add(b.cache_write),
        cache_write_1h: a.cache_write_1h.saturating_add(b.cache_write_1h),
        audio_input: a.audio_input.saturating_add(b.audio_input),
        image_input: a.image_input.saturating_add(b.image_input),
        output_text: a.output_text.saturating_add(b.output_text),
        reasoning: a.reasoning.saturating_add(b.reasoning),
        audio_output: a.audio_output.saturating_add(b.audio_output),
    }
}

/// One bucket of one model on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The model.
    pub model: String,
    /// The bucket: `output` where the export does not tell reasoning from text.
    pub bucket: &'static str,
    /// Tokens that the provider counts.
    pub provider: i64,
    /// Tokens that were counted here.
    pub counted: i64,
    /// The provider's less ours: what was called without us, or lost.
    pub difference: i64,
}

/// Holds both sides against each other; buckets that are empty on both are left out. Exports do not tell reasoning or
/// pictures apart, so those count as the text that they are billed as.
pub fn compare(
    provider: &BTreeMap<String, Line>,
    counted: &BTreeMap<String, Tokens>,
) -> Vec<Compared> {
    let models: BTreeSet<&String> = provider.keys().chain(counted.keys()).collect();
    let mut rows = Vec::new();
    for model in models {
        let theirs = provider
            .get(model)
            .map(|line| line.tokens)
            .unwrap_or_default();
        let ours = counted.get(model).copied().unwrap_or_default();
        let sides: [(&'static str, fn(&Tokens) -> i64); 7] = [
            ("uncached", |t| t.uncached.saturating_add(t.image_input)),
            ("cache_read", |t| t.cache_read),
            ("cache_write", |t| t.cache_write),
            ("cache_write_1h", |t| t.cache_write_1h),
            ("audio_input", |t| t.audio_input),
            ("output", |t| t.output_text.saturating_add(t.reasoning)),
            ("audio_output", |t| t.of(Bucket::AudioOutput)),
        ];
        for (bucket, of) in sides {
            let (provider, counted) = (of(&theirs), of(&ours));
            if provider != 0 || counted != 0 {
                let difference = provider.saturating_sub(counted);
                rows.push(Compared {
                    model: model.clone(),
                    bucket,
                    provider,
                    counted,
                    difference,
                });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_report_and_openais_are_brought_to_one_shape() {
        let anthropic = r#"{"data":[{"starting_at":"2026-11-01T00:00:00Z","ending_at":"2026-11-02T00:00:00Z","results":[
            {"uncached_input_tokens":1500,"cache_creation":{"ephemeral_1h_input_tokens":1000,"ephemeral_5m_input_tokens":500},
             "cache_read_input_tokens":200,"output_tokens":500,"model":"claude-sonnet-4-5-20250929","service_tier":"standard"}]}],
            "has_more":false}"#;
        let lines = read("anthropic", anthropic).expect("readable");
        let tokens = lines["anthropic/claude-sonnet-4-5"].tokens;
        assert_eq!(
            (
                tokens.uncached,
                tokens.cache_read,
                tokens.cache_write,
                tokens.cache_write_1h
            ),
            (1500, 200, 500, 1000)
        );
        assert_eq!(tokens.prompt(), 3200);

        let openai = r#"{"object":"page","data":[{"object":"bucket","start_time":1730419200,"results":[
            {"object":"organization.usage.completions.result","input_tokens":5000,"output_tokens":1000,"input_cached_tokens":4000,
             "input_audio_tokens":300,"output_audio_tokens":200,"num_model_requests":5,"model":"gpt-4o-2024-08-06"}]}]}"#;
        let line = read("openai", openai).expect("readable")["openai/gpt-4o"];
        assert_eq!(
            (
                line.tokens.uncached,
                line.tokens.cache_read,
                line.tokens.audio_input
            ),
            (700, 4000, 300)
        );
        assert_eq!(
            (
                line.tokens.prompt(),
                line.tokens.completion(),
                line.requests
            ),
            (5000, 1000, Some(5))
        );
    }

    #[test]
    fn csv_has_quotes_and_says_where_it_is_wrong() {
        let csv =
            "model,input_tokens,output_tokens,cost_usd\r\n\"gpt-4o\",10,5,0.25\r\ngpt-4o,1,1,0.5\n";
        let line = read("openai", csv).expect("readable")["openai/gpt-4o"];
        assert_eq!(
            (line.tokens.uncached, line.tokens.output_text, line.pusd),
            (11, 6, Some(750_000_000_000))
        );
        assert_eq!(records("a,\"b \"\"c\"\"\n,d\"\n"), [["a", "b \"c\"\n,d"]]);
        for (wrong, says) in [
            ("model,input_tokens\nx", "row 1: 1 fields"),
            ("a,b\n1,2", "row 1: there is no model"),
            ("", "empty"),
            ("{", "not JSON"),
        ] {
            let error = read("openai", wrong).expect_err(wrong).to_string();
            assert!(error.contains(says), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn what_differs_is_named_by_bucket() {
        let theirs = read(
            "openai",
            "model,input_tokens,input_cached_tokens,output_tokens\ngpt-4o,100,40,9",
        )
        .expect("readable");
        let ours = BTreeMap::from([(
            "openai/gpt-4o".to_owned(),
            Tokens {
                uncached: 60,
                cache_read: 30,
                output_text: 4,
                reasoning: 5,
                ..Tokens::default()
            },
        )]);
        let rows = compare(&theirs, &ours);
        let differ: Vec<_> = rows
            .iter()
            .filter(|row| row.difference != 0)
            .map(|row| (row.bucket, row.difference))
            .collect();
        assert_eq!(differ, [("cache_read", 10)]);
    }
}
