//! Datasets of examples in the chat form that OpenAI, Azure, Together, Mistral and Fireworks take: JSON Lines, each
//! `{"messages": [{"role", "content"}, …], "tools"?, …}`.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Fewest examples that providers take.
pub const FEWEST: usize = 10;
/// Most examples of a dataset here.
pub const MOST: usize = 100_000;
/// Most problems that are named.
const NAMED: usize = 100;
/// Tokens of an example beyond which providers cut or refuse it, unless the caller knows better.
pub const LONGEST: u64 = 65_536;
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LineProblem {
    /// Its number, from 1.
    pub line: u64,
    /// `json`, `messages`, `role`, `content`, `order`, `length`; `duplicate` is a warning.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// As it is uploaded.
    pub value: Value,
    /// About how many tokens it has.
    pub tokens: u64,
}

/// A dataset with what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// Examples that are well formed, each once.
    pub examples: Vec<Example>,
    /// What must be mended, the first 100.
    pub errors: Vec<LineProblem>,
    /// What may be: lines that came before are left out.
    pub warnings: Vec<LineProblem>,
    /// How many lines have an error.
    pub bad_lines: usize,
}

/// About how many tokens a text has: a quarter of its bytes, as providers tell for English; an estimate.
fn tokens_of(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// About how many tokens an example has: its texts, and three around each message (as OpenAI's cookbook counts them).
fn tokens(value: &Value) -> u64 {
    let messages = value["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |message: &Value| {
        let content = match &message["content"] {
            Value::String(text) => tokens_of(text),
            Value::Null => 0,
            other => tokens_of(&other.to_string()),
        };
        let calls = message.get("tool_calls");
        3 + content + calls.map_or(0, |calls| tokens_of(&calls.to_string()))
    };
    let tools = value.get("tools");
    messages.iter().map(of).sum::<u64>()
        + tools.map_or(0, |tools| tokens_of(&tools.to_string()))
        + 3
}

/// What is wrong with an example.
fn fault(value: &Value) -> Option<(&'static str, String)> {
    let Some(messages) = value["messages"].as_array().filter(|all| !all.is_empty()) else {
        return Some((
            "messages",
            "messages must be a list that is not empty".to_owned(),
        ));
    };
    for (i, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            return Some(("role", format!("message {i} has the role {role:?}")));
        }
        let said = match &message["content"] {
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(parts) => !parts.is_empty(),
            _ => false,
        };
        let calls = message["tool_calls"]
            .as_array()
            .is_some_and(|calls| !calls.is_empty());
        if !said && !(role == "assistant" && calls) {
            return Some(("content", format!("message {i} says nothing")));
        }
        if role == "system" && i > 0 {
            return Some((
                "order",
                format!("message {i} is a system message, which comes first"),
            ));
        }
    }
    let has = |role: &str| messages.iter().any(|message| message["role"] == role);
    if !has("user") {
        return Some(("order", "there is no user message".to_owned()));
    }
    match messages.last().map(|last| &last["role"]) {
        Some(role) if role == "assistant" => None,
        _ => Some((
            "order",
            "the last message must be the assistant's".to_owned(),
        )),
    }
}

/// Reads a dataset: JSON Lines, empty lines do not count. An example may have `longest` tokens.
pub fn read(text: &str, longest: u64) -> Dataset {
    let mut dataset = Dataset::default();
    let mut seen = BTreeSet::new();
    let lines = text.lines().zip(1_u64..);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let (value, fault) = match serde_json::from_str::<Value>(line) {
            Ok(value) => {
                let fault = fault(&value);
                (value, fault)
            }
            Err(error) => (Value::Null, Some(("json", error.to_string()))),
        };
        let tokens = tokens(&value);
        let fault = fault.or_else(|| {
            let message = format!("about {tokens} tokens, more than {longest}");
            (tokens > longest).then_some(("length", message))
        });
        let problem = |code, message| LineProblem {
            line: number,
            code,
            message,
        };
        if let Some((code, message)) = fault {
            dataset.bad_lines += 1;
            if dataset.errors.len() < NAMED {
                dataset.errors.push(problem(code, message));
            }
        } else if !seen.insert(<[u8; 32]>::from(Sha256::digest(value.to_string()))) {
            if dataset.warnings.len() < NAMED {
                let message = "is the same as a line before, and is left out".to_owned();
                dataset.warnings.push(problem("duplicate", message));
            }
        } else {
            dataset.examples.push(Example { value, tokens });
        }
    }
    dataset
}

impl Dataset {
    /// About how many tokens the examples have.
    pub fn tokens(&self) -> u64 {
        self.examples.iter().map(|example| example.tokens).sum()
    }

    /// Takes a part of the examples for validation, drawn at random: the same seed draws the same ones. At least one stays on each
    /// side when a part is asked for.
    pub fn split(&self, part: f64, seed: u64) -> (Vec<&Example>, Vec<&Example>) {
        let mut order: Vec<&Example> = self.examples.iter().collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let wanted = (order.len() as f64 * part).round() as usize;
        let most = order.len().saturating_sub(1);
        let n = match part > 0.0 {
            true => wanted.clamp(most.min(1), most),
            false => 0,
        };
        let train = order.split_off(n);
        (train, order)
    }
}

/// Examples as JSON Lines.
pub fn to_jsonl(examples: &[&Example]) -> String {
    let lines = examples
        .iter()
        .map(|example| format!("{}\n", example.value));
    lines.collect()
}

/// USD per million trained tokens of OpenAI's models, as they are remembered of November 2025: not compared with its list
/// (<https://platform.openai.com/docs/pricing>). Others are asked from the caller.
const PRICES: [(&str, f64); 6] = [
    ("gpt-4.1-nano", 1.5),
    ("gpt-4.1-mini", 5.0),
    ("gpt-4.1", 25.0),
    ("gpt-4o-mini", 3.0),
    ("gpt-4o", 25.0),
    ("gpt-3.5-turbo", 8.0),
];

/// What a million trained tokens of a base model cost in USD, where that is known.
pub fn known_price(model: &str) -> Option<f64> {
    let longest = PRICES.iter().filter(|(name, _)| {
        model == *name
            || model
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('-'))
    });
    longest
        .max_by_key(|(name, _)| name.len())
        .map(|(_, price)| *price)
}

/// What training costs in pico-USD: tokens, so often as there are epochs.
pub fn cost_pusd(tokens: u64, epochs: u32, usd_per_million: f64) -> i64 {
    // USD per million tokens are 10^6 pico-USD per token.
    (tokens as f64 * f64::from(epochs) * usd_per_million * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(question: &str) -> String {
        json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": question},
            {"role": "assistant", "content": "yes"}]})
        .to_string()
    }

    #[test]
    fn each_wrong_line_is_named() {
        let text = [
            line("a"),
            "nonsense".to_owned(),
            json!({"messages": []}).to_string(),
            json!({"messages": [{"role": "bot", "content": "x"}]}).to_string(),
            json!({"messages": [{"role": "user", "content": " "}]}).to_string(),
            json!({"messages": [{"role": "user", "content": "x"}]}).to_string(),
            line("a"),
            line(&"long ".repeat(200)),
        ]
        .join("\n");
        let read = read(&text, 100);
        let codes: Vec<_> = read.errors.iter().map(|e| (e.line, e.code)).collect();
        let want = [
            (2, "json"),
            (3, "messages"),
            (4, "role"),
            (5, "content"),
            (6, "order"),
            (8, "length"),
        ];
        assert_eq!(codes, want);
        assert_eq!((read.examples.len(), read.bad_lines), (1, 6));
        assert_eq!(
            (read.warnings[0].line, read.warnings[0].code),
            (7, "duplicate")
        );
    }

    #[test]
    fn a_split_repeats_and_loses_nothing() {
        let text: Vec<String> = (0..50).map(|i| line(&i.to_string())).collect();
        let dataset = read(&text.join("\n"), LONGEST);
        let (train, validation) = dataset.split(0.1, 7);
        assert_eq!((train.len(), validation.len()), (45, 5));
        assert_eq!(dataset.split(0.1, 7), (train.clone(), validation.clone()));
        assert_ne!(dataset.split(0.1, 8).1, validation);
        assert_eq!(dataset.split(0.0, 7).1.len(), 0);
        assert_eq!(dataset.split(0.001, 7).1.len(), 1);
        assert_eq!(to_jsonl(&train).lines().count(), 45);
    }

    #[test]
    fn a_call_of_a_tool_needs_no_text() {
        let text = json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]});
        assert_eq!(read(&text.to_string(), LONGEST).bad_lines, 0);
    }

    #[test]
    fn training_costs_tokens_by_epochs() {
        assert_eq!(known_price("gpt-4o-mini-2024-07-18"), Some(3.0));
        assert_eq!(known_price("gpt-4.1"), Some(25.0));
        assert_eq!(known_price("gpt-4omega"), None);
        // 1,000,000 tokens three times at 3 USD.
        assert_eq!(cost_pusd(1_000_000, 3, 3.0), 9_000_000_000_000);
    }
}
