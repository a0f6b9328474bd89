//! `rerank`: documents by their relevance to a query.

use nodeai_llm::vectors::Work;
use serde::Deserialize;
use serde_json::{Value, json};

use super::measure::{Form, MeasureCall, add_settings, usage_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Outcome, Spec, port};

/// Most documents of one node: what providers take in one request. Ranks of two requests cannot be compared.
const MOST_DOCUMENTS: usize = 1_000;

pub(in crate::nodes) fn spec() -> Spec {
    let mut config_schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["model", "query", "documents"],
        "properties": {
            "query": {"type": "string", "minLength": 1},
            "documents": {"type": "array", "maxItems": MOST_DOCUMENTS, "items": {"anyOf": [{"type": "string"}, {"type": "object"}]},
                "description": "Texts, or objects with the text in one of their members"},
            "text_at": {"type": "string", "maxLength": 512, "default": "/text", "description": "JSON pointer to the text of a document that is an object"},
            "top_n": {"type": "integer", "minimum": 1, "maximum": MOST_DOCUMENTS, "description": "How many of the best; all unless given"},
        },
    });
    add_settings(
        &mut config_schema,
        "cohere/rerank-v3.5, voyage/rerank-2.5, jina/jina-reranker-v2-base-multilingual",
    );
    Spec {
        kind: "rerank".to_owned(),
        title: "Rerank".to_owned(),
        description: "Orders documents by their relevance to a query, by a rerank model."
            .to_owned(),
        category: "ai".to_owned(),
        config_schema,
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port(
            "output",
            "The documents, the most relevant first",
            json!({
                "type": "object",
                "properties": {
                    "documents": {"type": "array", "description": "As they were given"},
                    "results": {"type": "array", "items": {"type": "object", "properties": {
                        "index": {"type": "integer", "description": "Its place among the documents given, from 0"},
                        "score": {"type": "number", "description": "Higher is more relevant; scales differ between models"},
                        "document": {},
                    }}},
                    "model": {"type": "string"},
                    "provider": {"type": "string"},
                    "usage": usage_schema(),
                },
            }),
        )],
        example: json!({
            "model": "builtin/hash",
            "query": "{{ inputs.question }}",
            "documents": "{{ nodes.search.output.results }}",
            "text_at": "/text",
            "top_n": 5,
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    model: String,
    base_url: Option<String>,
    api_key: Option<String>,
    query: String,
    documents: Vec<Value>,
    text_at: Option<String>,
    top_n: Option<usize>,
}

pub(in crate::nodes) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let documents = config.documents;
    if documents.is_empty() {
        // Nothing found is no failure, and no provider takes an empty list.
        return Ok(Effect::Done(Outcome::new(
            json!({"documents": [], "results": []}),
        )));
    }
    let pointer = config.text_at.as_deref().unwrap_or("/text");
    let texts = documents.iter().enumerate().map(|(at, document)| {
        let text = match document {
            Value::String(text) => Some(text.as_str()),
            other => other.pointer(pointer).and_then(Value::as_str),
        };
        let text = text.filter(|text| !text.trim().is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| NodeError::config(format!("/documents/{at}: has no text at {pointer}")))
    });
    let work = Work::Rerank {
        query: config.query,
        documents: texts.collect::<Result<_, _>>()?,
        top_n: config.top_n,
    };
    let call = MeasureCall::new(
        &config.model,
        config.base_url.as_deref(),
        config.api_key,
        vec![work],
        Form::Ranked(documents),
    )?;
    Ok(Effect::Measure(Box::new(call)))
}
