//! Calls of models that were traced, as examples.

use serde_json::{Value, json};

/// What a traced call says: messages by one of the conventions, or what a node was given and gave.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Messages to the model.
    pub asked: &'a [Value],
    /// Messages of the model.
    pub answered: &'a [Value],
    /// What went in, where it is one value: a node's config.
    pub input: Option<&'a Value>,
    /// What came out, where it is one value: a node's output.
    pub output: Option<&'a Value>,
}

/// The example that a call is; none where it does not say both what was asked and what was answered as texts.
pub fn example(call: Call<'_>) -> Option<Value> {
    let mut messages = match call.asked {
        [] => own(call.input?),
        asked => asked.iter().map(plain).collect::<Option<Vec<Value>>>()?,
    };
    let answer = match call.answered.first() {
        Some(message) => text(message)?,
        None => match call.output? {
            Value::String(text) => text.clone(),
            output => output["text"].as_str()?.to_owned(),
        },
    };
    if messages.is_empty() || answer.trim().is_empty() {
        return None;
    }
    messages.push(json!({"role": "assistant", "content": answer}));
    Some(json!({"messages": messages}))
}

/// Of a node's config: `system`, and `prompt` or `messages`.
fn own(input: &Value) -> Vec<Value> {
    let system = input["system"].as_str().filter(|text| !text.is_empty());
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let asked = match (input["prompt"].as_str(), input["messages"].as_array()) {
        (Some(prompt), _) => vec![json!({"role": "user", "content": prompt})],
        (None, Some(messages)) => messages.iter().filter_map(plain).collect(),
        (None, None) => return Vec::new(),
    };
    system.into_iter().chain(asked).collect()
}

/// A message with its role and text alone.
fn plain(message: &Value) -> Option<Value> {
    let role = message["role"].as_str()?;
    Some(json!({"role": role, "content": text(message)?}))
}

/// The text of a message: `content`, or parts with a text.
fn text(message: &Value) -> Option<String> {
    if let Some(text) = message["content"].as_str() {
        return Some(text.to_owned());
    }
    let parts = message["parts"]
        .as_array()
        .or(message["content"].as_array())?;
    let text = |part: &Value| {
        part["text"]
            .as_str()
            .or(part["content"].as_str())
            .map(str::to_owned)
    };
    // A part that is no text would be missing in what is learned.
    let texts: Option<Vec<String>> = parts.iter().map(text).collect();
    texts.map(|texts| texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(asked: Value, answered: Value, input: Value, output: Value) -> Option<Value> {
        example(Call {
            asked: asked.as_array().expect("a list"),
            answered: answered.as_array().expect("a list"),
            input: Some(&input),
            output: Some(&output),
        })
    }

    #[test]
    fn calls_of_every_convention_become_examples() {
        let want = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]});
        let genai = of(
            json!([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
            json!([{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]),
            Value::Null,
            Value::Null,
        );
        assert_eq!(genai.as_ref(), Some(&want));
        let node = of(
            json!([]),
            json!([]),
            json!({"prompt": "hi", "model": "m"}),
            json!({"text": "hello"}),
        );
        assert_eq!(node.as_ref(), Some(&want));
        let system = of(
            json!([]),
            json!([]),
            json!({"system": "s", "messages": [{"role": "user", "content": "hi"}]}),
            json!("hello"),
        );
        assert_eq!(system.expect("an example")["messages"][0]["role"], "system");
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        let pictures = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
        let answered = json!([{"role": "assistant", "content": "a cat"}]);
        assert_eq!(of(pictures, answered, Value::Null, Value::Null), None);
        assert_eq!(
            of(
                json!([]),
                json!([]),
                json!({"prompt": "x"}),
                json!({"text": " "})
            ),
            None
        );
    }
}
