//! `index`: documents of another system go into a knowledge base, and stay as they are there.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AreaCall, Call, Effect, Finish, Spec, port, segment};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::template::is_template;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "index".into(),
        title: "Index documents".into(),
        description: "Brings documents of another system (pages of Notion, files of GitHub, answers of any API) into a knowledge base under keys of their own: new ones are added, changed ones indexed again, and those that are gone removed when the list is complete. Run it on a schedule.".into(),
        category: "platform".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["knowledge_base", "connector", "documents"],
            "properties": {
                "knowledge_base": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Id of the knowledge base"},
                "connector": {"type": "string", "minLength": 1, "maxLength": 100, "description": "What the other system is called; keys are its own"},
                "documents": {"description": "At most 500: a list, or a template that gives one, of {key, text, title?, content_type?, metadata?}"},
                "complete": {"type": "boolean", "description": "Whether the list is all that there is: other documents of this connector are removed"},
                "keep": {"description": "With complete: keys that other calls have brought and that stay, at most 50,000: a list, or a template that gives one"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "What became of them", json!({
            "type": "object",
            "properties": {
                "added": {"type": "integer"},
                "changed": {"type": "integer"},
                "unchanged": {"type": "integer"},
                "removed": {"type": "integer"},
                "documents": {"type": "array", "items": {"type": "object"}, "description": "key, id, outcome of each"},
            },
        }))],
        example: json!({
            "knowledge_base": "{{ vars.handbook }}",
            "connector": "notion",
            "documents": "{{ nodes.pages.output }}",
            "complete": true,
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    knowledge_base: String,
    connector: String,
    documents: Value,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    keep: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let Some(documents) = config.documents.as_array() else {
        return Err(NodeError::config("documents must be a list".to_owned()));
    };
    let mut body =
        json!({"connector": config.connector, "documents": documents, "complete": config.complete});
    if let Some(keys) = config.keep.filter(|keys| !keys.is_null()) {
        body["keep"] = keys;
    }
    let id = segment(&config.knowledge_base);
    let path = format!("/api/v1/knowledge-base/{id}/documents");
    let area = AreaCall::new("knowledge-base", Method::PUT, path, Finish::Whole);
    // The log has what came in already.
    let keys: Vec<&Value> = documents.iter().map(|one| &one["key"]).collect();
    let shown = json!({"knowledge_base": config.knowledge_base, "connector": config.connector, "keys": keys,
        "complete": config.complete});
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
