//! `embed`: vectors of texts.

use nodeai_llm::vectors::{Purpose, Work};
use serde::Deserialize;
use serde_json::json;

use super::measure::{Form, MeasureCall, add_settings, usage_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

/// Most texts of one node.
const MOST_TEXTS: usize = 10_000;
/// How many texts go into one request unless the node says otherwise; most providers take more.
const BATCH: usize = 96;

pub(in crate::nodes) fn spec() -> Spec {
    let mut config_schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["model"],
        "oneOf": [{"required": ["text"]}, {"required": ["texts"]}],
        "properties": {
            "text": {"type": "string", "description": "One text; either this or texts"},
            "texts": {"type": "array", "maxItems": MOST_TEXTS, "items": {"type": "string"}},
            "dimensions": {"type": "integer", "minimum": 1, "maximum": 16_384, "description": "How long the vectors shall be, where the model can choose"},
            "purpose": {"type": "string", "enum": ["document", "query"], "description": "What the texts are for: to be found, or to look for others; models that tell them apart give better neighbours"},
            "batch_size": {"type": "integer", "minimum": 1, "maximum": 2_048, "default": BATCH, "description": "Texts in one request"},
        },
    });
    add_settings(&mut config_schema, "openai/text-embedding-3-small");
    Spec {
        kind: "embed".to_owned(),
        title: "Embeddings".to_owned(),
        description: "Turns texts into vectors by an embedding model, in batches.".to_owned(),
        category: "ai".to_owned(),
        config_schema,
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port(
            "output",
            "The vectors",
            json!({
                "type": "object",
                "properties": {
                    "vector": {"type": "array", "items": {"type": "number"}, "description": "Of text"},
                    "vectors": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "description": "Of texts, in their order"},
                    "dimensions": {"type": "integer"},
                    "model": {"type": "string"},
                    "provider": {"type": "string"},
                    "usage": usage_schema(),
                },
            }),
        )],
        example: json!({"model": "builtin/hash", "texts": ["{{ inputs.question }}", "{{ nodes.page.output.body }}"]}),
    }
}

#[derive(Deserialize)]
struct Config {
    model: String,
    base_url: Option<String>,
    api_key: Option<String>,
    text: Option<String>,
    texts: Option<Vec<String>>,
    dimensions: Option<u32>,
    purpose: Option<Purpose>,
    batch_size: Option<usize>,
}

pub(in crate::nodes) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let (texts, form) = match (config.text, config.texts) {
        (Some(text), None) => (vec![text], Form::One),
        (None, Some(texts)) => (texts, Form::Many),
        _ => return Err(NodeError::config("give either text or texts".to_owned())),
    };
    if let Some(at) = texts.iter().position(|text| text.trim().is_empty()) {
        let field = match form {
            Form::One => "/text".to_owned(),
            _ => format!("/texts/{at}"),
        };
        return Err(NodeError::config(format!(
            "{field}: providers refuse an empty text"
        )));
    }
    let batches = texts.chunks(config.batch_size.unwrap_or(BATCH).max(1));
    let batches = batches.map(|texts| Work::Embed {
        texts: texts.to_vec(),
        dimensions: config.dimensions,
        purpose: config.purpose,
    });
    let call = MeasureCall::new(
        &config.model,
        config.base_url.as_deref(),
        config.api_key,
        batches.collect(),
        form,
    )?;
    Ok(Effect::Measure(Box::new(call)))
}
