//! How a model was asked, as a span has it: a node's own config, or the attributes of the GenAI semantic conventions.

use serde_json::{Map, Value, json};

use crate::Settings;

/// A call of a model.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The config of an `llm` node as it was rendered; null for calls that were not a node's.
    pub config: &'a Value,
    /// The span's attributes.
    pub attributes: &'a Map<String, Value>,
}

impl Call<'_> {
    fn told(&self, name: &str) -> Option<&Value> {
        let attribute = match name {
            "stop" => "gen_ai.request.stop_sequences".to_owned(),
            name => format!("gen_ai.request.{name}"),
        };
        let there = self.config.get(name);
        let there = there.or_else(|| self.attributes.get(&attribute));
        there.filter(|value| !value.is_null())
    }

    /// Temperature and the like.
    pub fn settings(&self) -> Settings {
        let stop = match self.told("stop") {
            Some(Value::Array(texts)) => texts.clone(),
            Some(text) => vec![text.clone()],
            None => Vec::new(),
        };
        let stop = stop.iter().filter_map(Value::as_str);
        Settings {
            temperature: self.told("temperature").and_then(Value::as_f64),
            top_p: self.told("top_p").and_then(Value::as_f64),
            max_tokens: self
                .told("max_tokens")
                .and_then(Value::as_f64)
                .map(|n| n as u32),
            stop: stop.map(str::to_owned).collect(),
            seed: self.told("seed").and_then(Value::as_i64),
        }
    }

    /// The functions that the model was offered, `{name, description?, parameters?}` each; they may be written as OpenAI does. What has no
    /// name is said in `left_out`.
    pub fn tools(&self, left_out: &mut Vec<String>) -> Vec<Value> {
        let offered = self.config.get("tools");
        let offered = offered.or_else(|| self.attributes.get("gen_ai.tool.definitions"));
        let read = match offered {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(value) => value.clone(),
            None => Value::Null,
        };
        let mut tools = Vec::new();
        for (i, tool) in read.as_array().into_iter().flatten().enumerate() {
            let function = match tool["function"].is_object() {
                true => &tool["function"],
                false => tool,
            };
            let Some(name) = function["name"].as_str() else {
                left_out.push(format!("tool {i}: it has no name"));
                continue;
            };
            let mut flat = json!({"name": name});
            for field in ["description", "parameters"] {
                if !function[field].is_null() {
                    flat[field] = function[field].clone();
                }
            }
            tools.push(flat);
        }
        tools
    }

    /// The form that the answer was to have; none for text, which is usual.
    pub fn response_format(&self) -> Option<Value> {
        let own = self.config.get("response_format");
        if let Some(own) = own.filter(|value| !value.is_null()) {
            return match own["type"].as_str().or(own.as_str()) {
                Some("text") => None,
                Some("json" | "json_object") => Some(json!("json")),
                _ => Some(own.clone()),
            };
        }
        let json_wanted = self.attributes.get("gen_ai.output.type") == Some(&json!("json"));
        json_wanted.then(|| json!("json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_config_says_how_it_asked() {
        let config = json!({"temperature": 0.2, "max_tokens": 50, "stop": "END", "seed": 7,
            "tools": [{"name": "look_up", "parameters": {"type": "object"}}],
            "response_format": {"type": "json_schema", "schema": {}}});
        let call = Call {
            config: &config,
            attributes: &Map::new(),
        };
        let read = call.settings();
        assert_eq!(
            (read.temperature, read.max_tokens, read.seed),
            (Some(0.2), Some(50), Some(7))
        );
        assert_eq!(read.stop, ["END"]);
        assert_eq!(
            call.tools(&mut Vec::new()),
            [json!({"name": "look_up", "parameters": {"type": "object"}})]
        );
        assert_eq!(
            call.response_format(),
            Some(config["response_format"].clone())
        );
        for (form, wanted) in [
            (json!({"type": "text"}), None),
            (json!("json"), Some(json!("json"))),
        ] {
            let config = json!({"response_format": form});
            let call = Call {
                config: &config,
                attributes: &Map::new(),
            };
            assert_eq!(call.response_format(), wanted);
        }
    }

    #[test]
    fn an_instrumented_call_says_it_in_attributes() {
        let attributes = json!({"gen_ai.request.top_p": 0.9, "gen_ai.request.stop_sequences": ["a", "b"],
            "gen_ai.request.seed": 3, "gen_ai.output.type": "json",
            "gen_ai.tool.definitions": r#"[{"type":"function","function":{"name":"f","description":"d"}},{}]"#});
        let call = Call {
            config: &Value::Null,
            attributes: attributes.as_object().expect("an object"),
        };
        let read = call.settings();
        assert_eq!((read.top_p, read.seed), (Some(0.9), Some(3)));
        assert_eq!(read.stop, ["a", "b"]);
        let mut left_out = Vec::new();
        assert_eq!(
            call.tools(&mut left_out),
            [json!({"name": "f", "description": "d"})]
        );
        assert_eq!(left_out, ["tool 1: it has no name"]);
        assert_eq!(call.response_format(), Some(json!("json")));
    }
}
