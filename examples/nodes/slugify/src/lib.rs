//! A custom node in Rust: makes a slug, such as for a URL, of a text.

use serde::Deserialize;
use serde_json::json;

wit_bindgen::generate!({ path: "../../../wit/node", world: "custom-node" });
use exports::nodeai::node::node::{
    Call, Description, Failure, Guest, Level, LogLine, Outcome, Report,
};

struct Slugify;
export!(Slugify);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    text: String,
    #[serde(default = "longest")]
    max_length: usize,
}

fn longest() -> usize {
    80
}

impl Guest for Slugify {
    fn describe() -> Description {
        Description {
            title: "Slugify".into(),
            description: "Makes a slug, such as for a URL, of a text".into(),
            config_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "description": "What the slug is made of"},
                    "max_length": {"type": "integer", "minimum": 1, "maximum": 200, "default": 80},
                },
            })
            .to_string(),
            output_schema: json!({"type": "object", "properties": {"slug": {"type": "string"}}}).to_string(),
            example: json!({"text": "{{ inputs.title }}", "max_length": 40}).to_string(),
            handles: Vec::new(),
            hosts: Vec::new(),
        }
    }

    fn run(call: Call) -> Report {
        let config: Config = match serde_json::from_str(&call.config) {
            Ok(config) => config,
            Err(error) => return failed("config", error.to_string(), None),
        };
        let slug = slug(&config.text, config.max_length);
        if slug.is_empty() {
            let message = "there is no letter or digit in it".to_owned();
            return failed("nothing_left", message, Some("/text".to_owned()));
        }
        let logs = match slug.len() == config.max_length {
            true => vec![LogLine {
                level: Level::Warn,
                text: "the slug was cut".to_owned(),
            }],
            false => Vec::new(),
        };
        let output = json!({"slug": slug}).to_string();
        Report {
            ended: Ok(Outcome {
                output,
                handle: None,
            }),
            logs,
        }
    }
}

fn failed(kind: &str, message: String, pointer: Option<String>) -> Report {
    let failure = Failure {
        kind: kind.to_owned(),
        message,
        pointer,
        retryable: false,
    };
    Report {
        ended: Err(failure),
        logs: Vec::new(),
    }
}

/// Letters and digits in ASCII, in lower case, with one hyphen for whatever is between them.
fn slug(text: &str, most: usize) -> String {
    let plain = deunicode::deunicode(text).to_ascii_lowercase();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut slug = words.join("-");
    slug.truncate(most);
    slug.trim_end_matches('-').to_owned()
}
