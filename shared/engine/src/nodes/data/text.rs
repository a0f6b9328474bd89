//! `text`: splits, joins, matches, replaces and rewrites texts.

mod cases;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::pattern::{self, Pattern};
use super::{done, entry, given, made, to_text, too_large};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};
use crate::template::is_template;

pub(super) fn spec() -> Spec {
    entry(
        "text",
        "Text",
        "Splits, joins, matches, replaces, trims, shortens and rewrites texts. Patterns are regular expressions without look-around.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "x-nodeai": "literal", "enum": ["split", "join", "match", "match_all", "test", "replace",
                    "upper", "lower", "title", "capitalize", "camel", "snake", "kebab", "trim", "slugify", "truncate", "length"]},
                "text": {"description": "The text (of join: the list); without it what comes in over the edge"},
                "separator": {"type": "string", "description": "Of split (without it: at white space) and join"},
                "pattern": {"type": "string", "minLength": 1, "description": "A regular expression, of split, match, match_all, test and replace"},
                "find": {"type": "string", "minLength": 1, "description": "Of replace: a plain text instead of a pattern"},
                "replacement": {"type": "string", "default": "", "description": "Of replace; $1 and ${name} are groups of the pattern"},
                "ignore_case": {"type": "boolean", "default": false},
                "limit": {"type": "integer", "minimum": 1, "description": "Most parts of split, matches of match_all, or places of replace"},
                "characters": {"type": "string", "minLength": 1, "description": "Of trim: what to take off; white space unless given"},
                "side": {"type": "string", "enum": ["both", "start", "end"], "default": "both", "description": "Of trim"},
                "max": {"type": "integer", "minimum": 1, "default": 100, "description": "Of truncate and slugify: most characters"},
                "ellipsis": {"type": "string", "default": "…", "description": "Of truncate: put at the end; counts"},
                "at_word": {"type": "boolean", "default": false, "description": "Of truncate: cut between words"},
            },
        }),
        port(
            "output",
            "A text; of split and match_all a list; of match an object or null; of test true or false; of length a number",
            json!({}),
        ),
        json!({"operation": "replace", "text": "{{ inputs.message }}", "pattern": "\\d{4,}", "replacement": "****"}),
    )
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    text: Option<Value>,
    separator: Option<String>,
    pattern: Option<String>,
    find: Option<String>,
    replacement: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    limit: Option<usize>,
    characters: Option<String>,
    side: Option<String>,
    max: Option<usize>,
    ellipsis: Option<String>,
    #[serde(default)]
    at_word: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let value = call.value_or_incoming("text", config.text.take())?;
    if config.operation == "join" {
        return Ok(done(config.join(value)?));
    }
    let text = to_text("text", value)?;
    Ok(done(match config.operation.as_str() {
        "split" => config.split(&text)?,
        "match" => config
            .regex(&text)?
            .captures(&text)
            .map_or(Value::Null, |found| captured(&found, &config, &text)),
        "match_all" => config.match_all(&text)?,
        "test" => Value::from(config.regex(&text)?.is_match(&text)),
        "replace" => Value::from(config.replace(&text)?),
        "upper" => made(text.to_uppercase())?.into(),
        "lower" => made(text.to_lowercase())?.into(),
        "title" => made(cases::title(&text))?.into(),
        "capitalize" => made(cases::capitalize(&text))?.into(),
        "camel" => made(cases::camel(&text))?.into(),
        "snake" => made(cases::joined(&text, "_"))?.into(),
        "kebab" => made(cases::joined(&text, "-"))?.into(),
        "trim" => config.trim(&text).into(),
        "slugify" => cases::slug(&text, config.max.unwrap_or(100)).into(),
        "truncate" => config.truncate(&text).into(),
        _ => Value::from(text.chars().count()),
    }))
}

/// Patterns that are written out must be some, and must be there.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let operation = data
        .get("operation")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let has = |name: &str| data.contains_key(name);
    if matches!(operation, "match" | "match_all" | "test") && !has("pattern") {
        faults.add(
            format!("{at}/pattern"),
            "required",
            "\"pattern\" is required for this operation",
        );
    }
    if operation == "replace" && has("pattern") == has("find") {
        faults.add(
            format!("{at}/pattern"),
            "required",
            "give exactly one of pattern, find",
        );
    }
    let written = data.get("pattern").and_then(Value::as_str);
    if let Some(text) = written.filter(|text| !is_template(text))
        && let Err(error) = pattern::compile("pattern", text, false, 0)
    {
        faults.add(format!("{at}/pattern"), "bad_pattern", error.message);
    }
}

/// Positions are in characters.
fn captured(found: &regex_lite::Captures<'_>, config: &Config, text: &str) -> Value {
    let whole = found.get(0);
    let groups: Vec<Option<&str>> = found
        .iter()
        .skip(1)
        .map(|group| group.map(|group| group.as_str()))
        .collect();
    let names = config
        .pattern
        .as_deref()
        .and_then(|source| Pattern::new(source).ok());
    let named = names
        .iter()
        .flat_map(|pattern| pattern.capture_names().flatten());
    let named: Map<String, Value> = named
        .map(|name| {
            (
                name.to_owned(),
                json!(found.name(name).map(|group| group.as_str())),
            )
        })
        .collect();
    let before = whole.and_then(|whole| text.get(..whole.start()));
    let start = before.map_or(0, |before| before.chars().count());
    json!({"text": whole.map(|whole| whole.as_str()), "start": start, "groups": groups, "named": named})
}

impl Config {
    fn regex(&self, text: &str) -> Result<Pattern, NodeError> {
        let source = self.pattern.as_deref();
        let source = source.ok_or_else(|| {
            NodeError::config("/pattern: is required for this operation".to_owned())
        })?;
        pattern::compile("pattern", source, self.ignore_case, text.len())
    }

    fn split(&self, text: &str) -> Result<Value, NodeError> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let parts: Vec<String> = match (&self.pattern, self.separator.as_deref()) {
            (Some(_), _) => self
                .regex(text)?
                .splitn(text, limit)
                .map(str::to_owned)
                .take(super::MOST_ITEMS + 1)
                .collect(),
            (None, None) => text
                .split_whitespace()
                .take(limit)
                .map(str::to_owned)
                .take(super::MOST_ITEMS + 1)
                .collect(),
            (None, Some("")) => text
                .chars()
                .take(limit)
                .map(String::from)
                .take(super::MOST_ITEMS + 1)
                .collect(),
            (None, Some(by)) => text
                .splitn(limit, by)
                .map(str::to_owned)
                .take(super::MOST_ITEMS + 1)
                .collect(),
        };
        if parts.len() > super::MOST_ITEMS {
            return Err(too_large(format!(
                "the text has more than {} parts",
                super::MOST_ITEMS
            )));
        }
        Ok(json!(parts))
    }

    fn join(&self, value: Value) -> Result<Value, NodeError> {
        let Value::Array(items) = value else {
            let found = super::type_of(&value);
            return Err(NodeError::config(format!(
                "/text: expected a list, found {found}"
            )));
        };
        let texts = items.into_iter().map(|item| match item {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        });
        let texts: Vec<String> = texts.collect();
        Ok(made(texts.join(self.separator.as_deref().unwrap_or_default()))?.into())
    }

    fn match_all(&self, text: &str) -> Result<Value, NodeError> {
        let regex = self.regex(text)?;
        let most = self
            .limit
            .unwrap_or(super::MOST_ITEMS)
            .min(super::MOST_ITEMS);
        // Positions are counted on from match to match.
        let mut out = Vec::new();
        let (mut bytes, mut characters) = (0, 0);
        for found in regex.captures_iter(text).take(most) {
            let start = found.get(0).map_or(0, |whole| whole.start());
            characters += text[bytes..start].chars().count();
            bytes = start;
            let mut one = captured(&found, self, "");
            one["start"] = characters.into();
            out.push(one);
        }
        Ok(Value::Array(out))
    }

    fn replace(&self, text: &str) -> Result<String, NodeError> {
        let by = self.replacement.as_deref().unwrap_or_default();
        let limit = self.limit.unwrap_or(0);
        // Checked beforehand: every place may grow by the replacement.
        let grown = |places: usize| places.saturating_mul(by.len()).saturating_add(text.len());
        match &self.find {
            Some(find) if !self.ignore_case => {
                let places = text.matches(find.as_str()).count();
                if grown(places) > 4 * super::MOST_TEXT {
                    return Err(too_large("the result is too long".to_owned()));
                }
                made(match limit {
                    0 => text.replace(find.as_str(), by),
                    limit => text.replacen(find.as_str(), by, limit),
                })
            }
            find => {
                let source = find.as_deref().map(regex_lite::escape);
                let regex = match &source {
                    Some(source) => pattern::compile("find", source, true, text.len())?,
                    None => self.regex(text)?,
                };
                if by.len() > 64 && grown(regex.find_iter(text).count()) > 4 * super::MOST_TEXT {
                    return Err(too_large("the result is too long".to_owned()));
                }
                made(match source {
                    Some(_) => regex
                        .replacen(text, limit, regex_lite::NoExpand(by))
                        .into_owned(),
                    None => regex.replacen(text, limit, by).into_owned(),
                })
            }
        }
    }

    fn trim(&self, text: &str) -> String {
        let off = |c: char| match &self.characters {
            Some(set) => set.contains(c),
            None => c.is_whitespace(),
        };
        match self.side.as_deref() {
            Some("start") => text.trim_start_matches(off),
            Some("end") => text.trim_end_matches(off),
            _ => text.trim_matches(off),
        }
        .to_owned()
    }

    fn truncate(&self, text: &str) -> String {
        let most = self.max.unwrap_or(100);
        if text.chars().count() <= most {
            return text.to_owned();
        }
        let ellipsis: String = self
            .ellipsis
            .as_deref()
            .unwrap_or("…")
            .chars()
            .take(most)
            .collect();
        let keep = most - ellipsis.chars().count();
        let end = text
            .char_indices()
            .nth(keep)
            .map_or(text.len(), |(at, _)| at);
        let mut kept = &text[..end];
        if self.at_word && !text[end..].starts_with(char::is_whitespace) {
            kept = kept
                .rfind(char::is_whitespace)
                .map_or(kept, |at| &kept[..at]);
        }
        format!("{}{ellipsis}", kept.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check as gives, refuse};
    use super::*;

    fn text(data: Value, from: &str, expected: Value) {
        gives("text", data, json!(from), expected);
    }

    #[test]
    fn texts_are_split_and_joined() {
        text(
            json!({"operation": "split", "separator": ", "}),
            "a, b, c",
            json!(["a", "b", "c"]),
        );
        text(
            json!({"operation": "split", "separator": ",", "limit": 2}),
            "a,b,c",
            json!(["a", "b,c"]),
        );
        text(json!({"operation": "split"}), "  a  b\n", json!(["a", "b"]));
        text(
            json!({"operation": "split", "pattern": "[,;]\\s*"}),
            "a; b,c",
            json!(["a", "b", "c"]),
        );
        text(
            json!({"operation": "split", "separator": ""}),
            "éa",
            json!(["é", "a"]),
        );
        gives(
            "text",
            json!({"operation": "join", "separator": "-"}),
            json!(["a", 1, null, true]),
            json!("a-1--true"),
        );
        refuse(
            "text",
            json!({"operation": "join"}),
            json!("x"),
            "/text: expected a list",
        );
        refuse(
            "text",
            json!({"operation": "split", "separator": ""}),
            json!("x".repeat(60_000)),
            "more than 50000 parts",
        );
    }

    #[test]
    fn patterns_match_and_replace() {
        text(
            json!({"operation": "match", "pattern": "(?P<y>\\d{4})-(\\d\\d)"}),
            "é 2024-03",
            json!({"text": "2024-03", "start": 2, "groups": ["2024", "03"], "named": {"y": "2024"}}),
        );
        text(
            json!({"operation": "match", "pattern": "x"}),
            "y",
            json!(null),
        );
        text(
            json!({"operation": "match_all", "pattern": "é(\\d)?"}),
            "aé1é",
            json!([
                {"text": "é1", "start": 1, "groups": ["1"], "named": {}}, {"text": "é", "start": 3, "groups": [null], "named": {}},
            ]),
        );
        text(
            json!({"operation": "test", "pattern": "^A", "ignore_case": true}),
            "abc",
            json!(true),
        );
        text(
            json!({"operation": "replace", "pattern": "(\\w+)@(\\w+)", "replacement": "$2 at $1"}),
            "me@home",
            json!("home at me"),
        );
        text(
            json!({"operation": "replace", "find": "a.", "replacement": "$1"}),
            "a.ab",
            json!("$1ab"),
        );
        text(
            json!({"operation": "replace", "find": "A", "ignore_case": true, "replacement": "$0", "limit": 1}),
            "aa",
            json!("$0a"),
        );
        refuse(
            "text",
            json!({"operation": "replace", "find": "a", "replacement": "x".repeat(50_000)}),
            json!("a".repeat(10_000)),
            "too long",
        );
        refuse(
            "text",
            json!({"operation": "test", "pattern": "(?=a)"}),
            json!("a"),
            "/pattern: ",
        );
    }

    #[test]
    fn texts_are_trimmed_and_shortened() {
        text(json!({"operation": "trim"}), " a ", json!("a"));
        text(
            json!({"operation": "trim", "characters": "-x", "side": "end"}),
            "-a-x",
            json!("-a"),
        );
        text(
            json!({"operation": "truncate", "max": 6}),
            "éééééééé",
            json!("ééééé…"),
        );
        text(
            json!({"operation": "truncate", "max": 9, "at_word": true, "ellipsis": "..."}),
            "one two three",
            json!("one..."),
        );
        text(
            json!({"operation": "truncate", "max": 3}),
            "abc",
            json!("abc"),
        );
        text(json!({"operation": "length"}), "é€", json!(2));
    }

    #[test]
    fn cases_change() {
        for (operation, expected) in [
            ("upper", "HELLO WORLD-TEST"),
            ("title", "Hello World-Test"),
            ("capitalize", "Hello world-TEST"),
            ("camel", "helloWorldTest"),
            ("snake", "hello_world_test"),
            ("kebab", "hello-world-test"),
        ] {
            text(
                json!({"operation": operation}),
                "hello world-TEST",
                json!(expected),
            );
        }
        text(
            json!({"operation": "snake"}),
            "parseHTTPResponse2x",
            json!("parse_http_response2x"),
        );
        text(
            json!({"operation": "slugify"}),
            "  Crème Brûlée & Søren's Straße — 2! ",
            json!("creme-brulee-sorens-strasse-2"),
        );
        text(
            json!({"operation": "slugify"}),
            "Привет, мир",
            json!("привет-мир"),
        );
        text(
            json!({"operation": "slugify", "max": 5}),
            "ab cd ef",
            json!("ab-cd"),
        );
    }
}
