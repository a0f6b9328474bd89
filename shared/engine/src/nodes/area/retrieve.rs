//! `retrieve`: passages of a knowledge base that answer a question.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AreaCall, Call, Effect, Finish, Spec, port, segment};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::template::is_template;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "retrieve".into(),
        title: "Retrieve passages".into(),
        description: "Searches a knowledge base by words, by meaning, or by both, and gives the best passages, also as one text for a prompt.".into(),
        category: "platform".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["knowledge_base", "query"],
            "properties": {
                "knowledge_base": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Id of the knowledge base"},
                "query": {"type": "string", "minLength": 1, "maxLength": 8_000},
                "mode": {"type": "string", "enum": ["lexical", "vector", "hybrid"], "description": "By words, by meaning, or both; as the base's search settings say unless given"},
                "k": {"type": "integer", "minimum": 1, "maximum": 400, "description": "How many passages, 10 unless the base says otherwise; more than 100 without their content alone"},
                "fusion": {"type": "string", "enum": ["rrf", "weighted"]},
                "weights": {"type": "object", "description": "How much each list counts: lexical, vector"},
                "rrf_k": {"type": "number", "minimum": 1, "maximum": 10_000, "description": "The constant of reciprocal rank fusion"},
                "content": {"type": "boolean", "description": "False leaves out what the passages say: ids, places and scores are left"},
                "candidates": {"type": "integer", "minimum": 1, "maximum": 400, "description": "How long each list is"},
                "filter": {"type": "object", "description": "A condition on documents' metadata, as the search of the knowledge base takes it"},
                "documents": {"type": "array", "maxItems": 1_000, "items": {"type": "string"}, "description": "In these documents alone"},
                "access": {"type": "array", "maxItems": 100, "items": {"type": "string"}, "description": "Labels of whoever it is for: documents with an access are found by one of theirs; * for all"},
                "mmr": {"type": "object", "description": "Passages that say the same are thinned out: {\"lambda\": 0 to 1}"},
                "rerank": {"type": "object", "description": "A model that puts the candidates in order: {\"model\": …}"},
                "expand": {"type": "string", "enum": ["parent", "window"], "description": "Gives what a passage belongs to, too"},
                "window": {"type": "integer", "minimum": 1, "maximum": 10, "description": "For window: passages on each side"},
                "index": {"type": "integer", "minimum": 1, "description": "In this index; the active one unless given"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The passages", json!({
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "The passages, each after its number in brackets"},
                "results": {"type": "array", "description": "The passages, the best first", "items": {"type": "object"}},
            },
        }))],
        example: json!({
            "knowledge_base": "{{ vars.handbook }}",
            "query": "{{ inputs.question }}",
            "mode": "hybrid",
            "k": 5,
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    knowledge_base: String,
    query: String,
    #[serde(flatten)]
    how: Map<String, Value>,
}

/// What goes on to the search as it is.
const HOW: [&str; 15] = [
    "mode",
    "k",
    "fusion",
    "weights",
    "rrf_k",
    "content",
    "candidates",
    "filter",
    "documents",
    "access",
    "mmr",
    "rerank",
    "expand",
    "window",
    "index",
];

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut body = json!({"query": config.query});
    for (name, value) in config.how {
        if HOW.contains(&name.as_str()) && !value.is_null() {
            body[name] = value;
        }
    }
    let id = segment(&config.knowledge_base);
    let path = format!("/api/v1/knowledge-base/{id}/search");
    let area = AreaCall::new("knowledge-base", Method::POST, path, Finish::Passages);
    let mut shown = body.clone();
    shown["knowledge_base"] = config.knowledge_base.into();
    Ok(area.json(&body).shown_as(shown).effect())
}

/// An id that is written out must be one.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let written = data.get("knowledge_base").and_then(Value::as_str);
    if let Some(text) = written.filter(|text| !text.is_empty() && !is_template(text))
        && super::FileRef::read(&text.into(), "").is_err()
    {
        let message = "expected the id of a knowledge base";
        faults.add(format!("{at}/knowledge_base"), "bad_id", message);
    }
}

/// The answer, with its passages as one text.
pub(super) fn output(mut answer: Value) -> Value {
    let results = answer["results"].as_array().into_iter().flatten();
    let passages = results.enumerate().filter_map(|(at, result)| {
        let content = result["content"].as_str()?;
        Some(format!("[{}] {}", at + 1, content.trim()))
    });
    let text = passages.collect::<Vec<_>>().join("\n\n");
    if let Some(members) = answer.as_object_mut() {
        members.insert("text".to_owned(), text.into());
    }
    answer
}
