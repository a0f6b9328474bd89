//! What went in and came out of a call, the same for every convention: what the attributes say in their own ways.

use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Messages, documents and values of a span, as far as its attributes tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Content {
    /// Messages to the model: `{"role","content"|"parts","tool_calls"}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_messages: Vec<Value>,
    /// Messages of the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_messages: Vec<Value>,
    /// Documents that a retrieval found: `{"id","content","score","metadata"}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Value>,
    /// What went in, where it is one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What came out, where it is one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

impl Content {
    /// Whether the attributes tell nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether attributes, as JSON text, can have content at all: what has none need not be read.
pub fn may_have_content(attributes: &str) -> bool {
    const PARTS: &[&str] = &[
        "gen_ai.input",
        "gen_ai.output",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.tool.call",
        "gen_ai.retrieval",
        "llm.input_messages",
        "llm.output_messages",
        "retrieval.documents",
        "reranker.output_documents",
        "nodeai.input",
        "nodeai.output",
        "input.value",
        "output.value",
        "traceloop.entity",
    ];
    PARTS.iter().any(|part| attributes.contains(part))
}

/// Reads the content from attributes as they came.
pub fn content_of(a: &Map<String, Value>) -> Content {
    let first = |names: &[&str]| names.iter().find_map(|name| a.get(*name)).map(parsed);
    Content {
        input_messages: messages(
            a,
            &["gen_ai.input.messages"],
            "llm.input_messages",
            "gen_ai.prompt",
        ),
        output_messages: messages(
            a,
            &["gen_ai.output.messages"],
            "llm.output_messages",
            "gen_ai.completion",
        ),
        documents: documents(a),
        input: first(&[
            "nodeai.input",
            "input.value",
            "traceloop.entity.input",
            "gen_ai.tool.call.arguments",
            "gen_ai.retrieval.query.text",
        ]),
        output: first(&[
            "nodeai.output",
            "output.value",
            "traceloop.entity.output",
            "gen_ai.tool.call.result",
        ]),
    }
}

fn messages(
    a: &Map<String, Value>,
    whole: &[&str],
    openinference: &str,
    openllmetry: &str,
) -> Vec<Value> {
    let whole = whole.iter().find_map(|name| a.get(*name)).map(parsed);
    if let Some(Value::Array(list)) = whole {
        return list;
    }
    let flat = unflatten(a, openinference);
    if !flat.is_empty() {
        let inner = |mut item: Value| match item.get_mut("message").map(Value::take) {
            Some(message) => message,
            None => item,
        };
        return flat.into_iter().map(inner).collect();
    }
    unflatten(a, openllmetry)
}

fn documents(a: &Map<String, Value>) -> Vec<Value> {
    if let Some(Value::Array(list)) = a.get("gen_ai.retrieval.documents").map(parsed) {
        return list;
    }
    let lists = ["retrieval.documents", "reranker.output_documents"];
    let mut found = lists.iter().map(|name| documents_at(a, name));
    found.find(|list| !list.is_empty()).unwrap_or_default()
}

/// Documents that OpenInference has flattened below `prefix`, such as `reranker.input_documents`.
pub fn documents_at(a: &Map<String, Value>, prefix: &str) -> Vec<Value> {
    let inner = |mut item: Value| match item.get_mut("document").map(Value::take) {
        Some(mut document) => {
            if let Some(metadata) = document.get("metadata").map(parsed) {
                document["metadata"] = metadata;
            }
            document
        }
        None => item,
    };
    unflatten(a, prefix).into_iter().map(inner).collect()
}

/// A text that is JSON of a list or an object is that.
fn parsed(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        _ => value.clone(),
    }
}

/// A list that was flattened into attributes (`prefix.0.message.role`), nested lists too.
pub fn unflatten(a: &Map<String, Value>, prefix: &str) -> Vec<Value> {
    let mut tree = Tree::default();
    for (name, value) in a {
        let rest = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('.'));
        if let Some(rest) = rest.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            tree.put(rest, value);
        }
    }
    match tree.into_value() {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Tree {
    value: Option<Value>,
    members: BTreeMap<String, Tree>,
}

impl Tree {
    fn put(&mut self, path: &str, value: &Value) {
        let mut at = self;
        for part in path.split('.').take(16) {
            at = at.members.entry(part.to_owned()).or_default();
        }
        at.value = Some(value.clone());
    }

    fn into_value(self) -> Value {
        if self.members.is_empty() {
            return self.value.unwrap_or(Value::Null);
        }
        let place = |name: &String| name.parse::<u32>().ok();
        let mut listed: Vec<(Option<u32>, String, Tree)> = self
            .members
            .into_iter()
            .map(|(name, tree)| (place(&name), name, tree))
            .collect();
        if listed.iter().all(|(place, ..)| place.is_some()) {
            listed.sort_by_key(|(place, ..)| *place);
            return listed
                .into_iter()
                .map(|(_, _, tree)| tree.into_value())
                .collect();
        }
        let members = listed
            .into_iter()
            .map(|(_, name, tree)| (name, tree.into_value()));
        json!(members.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: Value) -> Content {
        content_of(json.as_object().unwrap())
    }

    #[test]
    fn the_three_conventions_come_out_the_same() {
        let want = json!([{"role": "user", "content": "hi"}]);
        let openinference = of(
            json!({"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi"}),
        );
        assert_eq!(json!(openinference.input_messages), want);
        let openllmetry =
            of(json!({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi"}));
        assert_eq!(json!(openllmetry.input_messages), want);
        let genai = of(json!({"gen_ai.input.messages": want.to_string()}));
        assert_eq!(json!(genai.input_messages), want);
    }

    #[test]
    fn lists_keep_their_order_beyond_ten_and_nest() {
        let mut a = Map::new();
        for i in 0..12 {
            a.insert(format!("retrieval.documents.{i}.document.id"), i.into());
        }
        a.insert(
            "retrieval.documents.0.document.metadata".into(),
            "{\"page\": 3}".into(),
        );
        let documents = content_of(&a).documents;
        let ids: Vec<_> = documents
            .iter()
            .map(|d| d["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, (0..12).collect::<Vec<_>>());
        assert_eq!(documents[0]["metadata"]["page"], 3);
        let calls =
            of(json!({"llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f"}));
        assert_eq!(
            calls.output_messages[0]["tool_calls"][0]["tool_call"]["function"]["name"],
            "f"
        );
    }
}
