//! `GET /api/v1/prompt-playground/spans/{trace_id}/{span_id}`

use crate::PromptsRun;
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use nodeai_prompts::{Call, Message, Role, Template};
use nodeai_tracestore::load;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A model's call as something to try.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Draft {
    /// What `POST /api/v1/prompt-playground/run` takes: the prompt as it was sent, and the model that was asked.
    request: Value,
    /// What the model answered then, as the span has it.
    answered: Value,
    /// Parts of the call that could not be taken over, such as tool results.
    left_out: Vec<String>,
}

/// The call of a model in a trace, whoever sent it: a run, or an instrumented application. Braces in texts are kept as
/// texts.
pub async fn handle(caller: Caller<PromptsRun>) -> Result<Json<Draft>, Problem> {
    let trace_id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let stored = load::by_id(&caller, &trace_id).await?;
    let wanted = caller.cx.parameter("span_id").unwrap_or_default();
    let span = stored
        .spans
        .iter()
        .find(|span| text(span, "span_id") == Some(wanted));
    let span = span.ok_or_else(|| Problem::not_found("the trace has no such span"))?;
    let Some(model) = text(span, "model") else {
        return Err(Problem::conflict("the span is no call of a model"));
    };
    let attributes = span.get("attributes").and_then(Value::as_object);
    let attributes = attributes.cloned().unwrap_or_default();
    let content = nodeai_otel::content_of(&attributes);
    let mut left_out = Vec::new();
    let own = own_messages(content.input.as_ref());
    let sent = if content.input_messages.is_empty() {
        own
    } else {
        content.input_messages
    };
    let messages = messages(&sent, &mut left_out);
    if messages.is_empty() {
        return Err(Problem::conflict(
            "the span does not say what the model was asked",
        ));
    }
    let own = content.input.clone().unwrap_or_default();
    let call = Call {
        config: &own,
        attributes: &attributes,
    };
    let template = Template {
        messages,
        tools: call.tools(&mut left_out),
        response_format: call.response_format(),
        settings: call.settings(),
    };
    let provider = text(span, "provider").unwrap_or_default();
    let mut candidate = json!({"model": nodeai_pricing::reference_of(provider, model)});
    if let Some(url) = own["base_url"].as_str() {
        candidate["model"] = own["model"].clone();
        candidate["base_url"] = json!(url);
        left_out.push("the key of the model's server".to_owned());
    }
    let answered = match content.output_messages.is_empty() {
        true => content.output.unwrap_or_default(),
        false => json!(content.output_messages),
    };
    Ok(Json::ok(Draft {
        request: json!({"prompt": template, "models": [candidate]}),
        answered,
        left_out,
    }))
}

fn text<'a>(span: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    span.get(field).and_then(Value::as_str)
}

/// Of a run's own span: the node's config as it was rendered.
fn own_messages(input: Option<&Value>) -> Vec<Value> {
    let Some(input) = input else {
        return Vec::new();
    };
    let system = input["system"].as_str();
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let prompt = input["prompt"].as_str();
    let prompt =
        prompt.map(|text| json!({"role": "user", "content": text, "images": input["images"]}));
    let listed = input["messages"].as_array().cloned().unwrap_or_default();
    system.into_iter().chain(prompt).chain(listed).collect()
}

fn messages(sent: &[Value], left_out: &mut Vec<String>) -> Vec<Message> {
    let mut read = Vec::new();
    for (i, message) in sent.iter().enumerate() {
        let role = match message["role"].as_str() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant" | "model") => Role::Assistant,
            other => {
                left_out.push(format!("message {i}: the role {}", other.unwrap_or("none")));
                continue;
            }
        };
        let (content, images) = parts(message);
        if content.is_empty() && images.is_empty() {
            left_out.push(format!("message {i}: it has no text"));
            continue;
        }
        read.push(Message {
            role,
            content: as_text(&content),
            images: images.iter().map(|image| as_text(image)).collect(),
        });
    }
    read
}

/// The text of a message and its pictures, in the shapes that providers and conventions write them.
fn parts(message: &Value) -> (String, Vec<String>) {
    let listed = message["parts"]
        .as_array()
        .or(message["content"].as_array());
    let own = message["images"].as_array().into_iter().flatten();
    let mut images: Vec<String> = own
        .filter_map(|url| url.as_str().map(str::to_owned))
        .collect();
    let Some(listed) = listed else {
        let content = message["content"].as_str().unwrap_or_default();
        return (content.to_owned(), images);
    };
    let mut texts = Vec::new();
    for part in listed {
        let said = part["text"].as_str().or(part["content"].as_str());
        texts.extend(said);
        let url = part["url"].as_str().or(part["image_url"]["url"].as_str());
        images.extend(url.map(str::to_owned));
    }
    (texts.join("\n"), images)
}

/// What was sent is text: braces in it must not become a template.
fn as_text(sent: &str) -> String {
    match ["{{", "{%", "{#"].iter().any(|open| sent.contains(open)) {
        true => format!("{{{{ {} }}}}", json!(sent)),
        false => sent.to_owned(),
    }
}
