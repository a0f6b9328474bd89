//! A prompt with holes for variables.

use nodeai_engine::{Surroundings, evaluate_template};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// A person.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; `{{ inputs.name }}` stands for the variable `name`, as in workflows.
    pub content: String,
    /// Pictures that go with it: https: or data: URLs; variables may stand in them, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// How the model answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most tokens of an answer, 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts at which the answer ends; at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// For providers that can repeat an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

impl Settings {
    /// These settings, and the others where these say nothing.
    pub fn over(&self, others: &Self) -> Self {
        Self {
            temperature: self.temperature.or(others.temperature),
            top_p: self.top_p.or(others.top_p),
            max_tokens: self.max_tokens.or(others.max_tokens),
            stop: match self.stop.is_empty() {
                true => others.stop.clone(),
                false => self.stop.clone(),
            },
            seed: self.seed.or(others.seed),
        }
    }
}

/// A prompt template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The messages, 1 to 100.
    pub messages: Vec<Message>,
    /// Functions that the model may ask for: `{name, description?, parameters?}`; at most 128.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// `text`, `json`, or `{"type": "json_schema", "schema": …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    /// How the model answers.
    #[serde(default)]
    pub settings: Settings,
}

/// What is wrong with a template, or with its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer within the template.
    pub pointer: String,
    /// For a person.
    pub message: String,
}

/// A prompt without holes: texts and pictures of each message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rendered {
    /// The texts.
    pub texts: Vec<String>,
    /// The pictures of each.
    pub images: Vec<Vec<String>>,
}

impl Template {
    /// Fills in variables. Errors: each place that cannot be filled, such as with a variable that is not given.
    pub fn render(&self, variables: &Map<String, Value>) -> Result<Rendered, Vec<Fault>> {
        let around = Surroundings {
            inputs: Value::Object(variables.clone()),
            ..Surroundings::default()
        };
        let mut faults = Vec::new();
        let mut fill = |text: &str, pointer: String| match evaluate_template(text, &around) {
            Ok(Value::String(text)) => text,
            Ok(other) => other.to_string(),
            Err(error) => {
                faults.push(Fault {
                    pointer,
                    message: error.message,
                });
                String::new()
            }
        };
        let mut rendered = Rendered {
            texts: Vec::new(),
            images: Vec::new(),
        };
        for (i, message) in self.messages.iter().enumerate() {
            let at = format!("/messages/{i}");
            rendered
                .texts
                .push(fill(&message.content, format!("{at}/content")));
            let images = message.images.iter().enumerate();
            let images = images.map(|(j, image)| fill(image, format!("{at}/images/{j}")));
            rendered.images.push(images.collect());
        }
        match faults.is_empty() {
            true => Ok(rendered),
            false => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(content: &str) -> Template {
        let message = json!({"messages": [{"role": "user", "content": content}]});
        serde_json::from_value(message).expect("a template")
    }

    fn variables(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn variables_are_filled_in_and_their_braces_stay() {
        let given = variables(json!({"name": "{{ 1 + 1 }}", "n": 3}));
        let rendered = template("Hi {{ inputs.name }}, {{ inputs.n }} times").render(&given);
        assert_eq!(
            rendered.expect("renders").texts,
            ["Hi {{ 1 + 1 }}, 3 times"]
        );
        let whole = template("{{ inputs.n }}").render(&given);
        assert_eq!(
            whole.expect("renders").texts,
            ["3"],
            "a number becomes text"
        );
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let faults = template("{{ inputs.name")
            .render(&Map::new())
            .expect_err("broken");
        assert_eq!(faults[0].pointer, "/messages/0/content");
    }

    #[test]
    fn settings_of_a_candidate_come_first() {
        let own = Settings {
            temperature: Some(0.0),
            ..Settings::default()
        };
        let shared = Settings {
            temperature: Some(1.0),
            max_tokens: Some(9),
            ..Settings::default()
        };
        let both = own.over(&shared);
        assert_eq!((both.temperature, both.max_tokens), (Some(0.0), Some(9)));
    }
}
