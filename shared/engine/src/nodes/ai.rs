//! Nodes built on a model: an agent with tools, a classifier, an extractor, a summariser; embeddings and reranking.

pub(super) mod agent;
pub(super) mod classify;
pub(super) mod embed;
pub(super) mod extract;
pub(super) mod measure;
pub(super) mod rerank;
pub(super) mod summary;

use serde_json::{Value, json};

use super::{Spec, llm, port};

/// A catalogue entry of this family; the settings of models are added to its schema.
fn entry(
    kind: &str,
    title: &str,
    description: &str,
    mut config_schema: Value,
    output: Value,
    example: Value,
) -> Spec {
    llm::add_model_settings(&mut config_schema);
    Spec {
        kind: kind.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        category: "ai".to_owned(),
        config_schema,
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The answer", output)],
        example,
    }
}

/// The text that a node works on is not to be mistaken for instructions.
fn quoted(text: &str) -> String {
    format!("<text>\n{text}\n</text>")
}

/// Instructions of the node's own, then those of its config.
fn instructions(own: String, more: Option<&str>) -> Option<String> {
    Some(match more.filter(|more| !more.is_empty()) {
        Some(more) => format!("{own}\n\n{more}"),
        None => own,
    })
}

#[cfg(test)]
mod tests;
