//! `agent`: a model that works with tools until it has an answer. Each tool is a node: its config is rendered with the
//! arguments that the model gave.

use nodeai_llm::{Tool, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::llm::{self, Config as Chat};
use crate::nodes::{Call, Effect, Spec, kind};
use crate::schema::{Checker, Templates as Mode};
use crate::scope::{Local, Surroundings};
use crate::template::Templates;

/// Node types that can be tools: they give a value, run code, ask a database or an area, or send one request.
const TOOLS: [&str; 30] = [
    "tool",
    "retrieve",
    "file_read",
    "file_extract",
    "file_write",
    "webhook",
    "http",
    "postgres",
    "code",
    "template",
    "transform",
    "set",
    "filter",
    "sort",
    "limit",
    "dedupe",
    "aggregate",
    "summarise",
    "split_out",
    "join",
    "compare",
    "jq",
    "date",
    "text",
    "crypto",
    "html",
    "markdown",
    "xml",
    "csv",
    "stop",
];

pub(in crate::nodes) fn spec() -> Spec {
    let mut spec = llm::spec();
    spec.kind = "agent".into();
    spec.title = "AI agent".into();
    spec.description = "A language model that calls tools until it has an answer. Each tool is a node (an HTTP request, a jq program, …) whose templates see the model's arguments as args. Bounded in steps and in cost.".into();
    let properties = &mut spec.config_schema["properties"];
    properties["tools"] = json!({
        "type": "array", "minItems": 1, "maxItems": 64, "x-nodeai-names": ["args", "item", "index"],
        "description": "What the model can do; descriptions are for it, the node's templates see its arguments as args",
        "items": {
            "type": "object", "additionalProperties": false, "required": ["name", "node"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 64},
                "description": {"type": "string", "maxLength": 4_000},
                "parameters": {"type": "object", "description": "JSON Schema of the arguments"},
                "node": {"type": "object", "additionalProperties": false, "required": ["type", "data"], "properties": {
                    "type": {"type": "string", "enum": TOOLS},
                    "data": {"type": "object"},
                }},
            },
        },
    });
    properties["max_steps"] = json!({"type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": "Most times that the model is asked"});
    properties["max_cost_usd_micros"] = json!({"type": "integer", "minimum": 1, "description": "Do not ask again once the answers cost so much, in millionths of a US dollar"});
    if let Some(required) = spec.config_schema["required"].as_array_mut() {
        required.push("tools".into());
    }
    let output = &mut spec.outputs[0].schema["properties"];
    output["calls"] = json!({"type": "array", "description": "The tools that were called: name, arguments, result, failed"});
    output["steps"] = json!({"type": "integer"});
    spec.example = json!({
        "model": "openai/gpt-4o-mini",
        "system": "You help customers with their orders.",
        "prompt": "{{ inputs.question }}",
        "max_steps": 5,
        "tools": [{
            "name": "find_order",
            "description": "Finds an order by its number",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
            "node": {"type": "http", "data": {"url": "https://example.com/orders/{{ args.number | urlencode }}"}},
        }],
    });
    spec
}

/// The tools of an agent and its bounds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::nodes) struct Agent {
    tools: Vec<Function>,
    max_steps: u32,
    max_cost_pusd: Option<i64>,
    around: Surroundings,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    node: Node,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Node {
    #[serde(rename = "type")]
    kind: String,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    tools: Vec<Function>,
    max_steps: Option<u32>,
    max_cost_usd_micros: Option<i64>,
}

pub(in crate::nodes) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut whole: Map<String, Value> = call.config()?;
    let own = ["tools", "max_steps", "max_cost_usd_micros"];
    let own = own
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), whole.shift_remove(*name)?)));
    let own = Value::Object(own.collect());
    let bad = |error: serde_json::Error| NodeError::config(error.to_string());
    let config: Config = serde_json::from_value(own).map_err(bad)?;
    let chat: Chat = serde_json::from_value(Value::Object(whole)).map_err(bad)?;
    let mut call_ = chat.into_call()?;
    call_.chat.tools = config
        .tools
        .iter()
        .map(|tool| Tool {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool
                .parameters
                .clone()
                .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        })
        .collect();
    call_.agent = Some(Agent {
        tools: config.tools,
        max_steps: config.max_steps.unwrap_or(10),
        max_cost_pusd: config
            .max_cost_usd_micros
            .map(|micros| micros.saturating_mul(1_000_000)),
        around: call.scope.to_owned(),
    });
    Ok(Effect::Llm(Box::new(call_)))
}

/// Tools have names of their own, and configs that their node takes.
pub(in crate::nodes) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    llm::check(data, at, faults);
    let mut seen = std::collections::HashSet::new();
    let tools = data.get("tools").and_then(Value::as_array);
    for (i, tool) in tools.into_iter().flatten().enumerate() {
        let at = format!("{at}/tools/{i}");
        let name = tool["name"].as_str().unwrap_or_default();
        let fits = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !fits {
            faults.add(
                format!("{at}/name"),
                "bad_name",
                "a tool's name has letters, digits, _ and - only",
            );
        } else if !seen.insert(name) {
            faults.add(
                format!("{at}/name"),
                "duplicate_name",
                "another tool has this name",
            );
        }
        let known = tool["node"]["type"]
            .as_str()
            .filter(|name| TOOLS.contains(name))
            .and_then(kind);
        if let (Some(kind), Some(data)) = (known, tool["node"].get("data")) {
            let at = format!("{at}/node/data");
            Checker {
                templates: Mode::Allowed,
                faults,
            }
            .check(&kind.spec.config_schema, data, &at);
            if let Some(data) = data.as_object() {
                (kind.check)(data, &at, faults);
            }
        }
    }
}

impl Agent {
    /// What its answers depend on beside the conversation: what its tools are, and what they see.
    pub(in crate::nodes) fn identity(&self) -> Value {
        let mut text = json!(self.tools).to_string();
        if self.tools.iter().any(|tool| tool.node.kind == "date") {
            // "now" is when the run began.
            text.push_str("run");
        }
        let around = self.around.seen_by(&text);
        json!([text, around, self.max_steps, self.max_cost_pusd])
    }

    /// Whether it has any tools.
    pub(in crate::nodes) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Why the model is not asked again, if it is not.
    pub(in crate::nodes) fn exceeded(
        &self,
        steps: u32,
        cost_pusd: Option<i64>,
    ) -> Option<NodeError> {
        if steps >= self.max_steps {
            let message = format!("no answer after {steps} steps (max_steps)");
            return Some(NodeError::new("step_limit", message, false));
        }
        let most = self.max_cost_pusd?;
        match cost_pusd {
            None => Some(NodeError::new(
                "cost_unknown",
                "max_cost_usd_micros is set, but the price of this model is not known",
                false,
            )),
            Some(cost) if cost >= most => {
                let message = format!(
                    "no answer yet, and its cost has reached {} µ$ (max_cost_usd_micros)",
                    llm::to_micros(cost)
                );
                Some(NodeError::new("cost_limit", message, false))
            }
            Some(_) => None,
        }
    }

    /// What a tool call does: the decision of the tool's node with the model's arguments.
    pub(in crate::nodes) fn call(&self, call: &ToolCall) -> Result<Effect, NodeError> {
        let wrong = |message: String| NodeError::new("tool", message, false);
        let tool = self.tools.iter().find(|tool| tool.name == call.name);
        let tool = tool.ok_or_else(|| wrong(format!("there is no tool {:?}", call.name)))?;
        let text = if call.arguments.trim().is_empty() {
            "{}"
        } else {
            &call.arguments
        };
        let args: Value = serde_json::from_str(text)
            .map_err(|error| wrong(format!("the arguments are no JSON: {error}")))?;
        if let Some(schema) = &tool.parameters {
            let mut faults = Faults::default();
            let templates = Mode::Plain;
            Checker {
                templates,
                faults: &mut faults,
            }
            .check(schema, &args, "");
            if let Some(fault) = faults.into_vec().first() {
                return Err(wrong(format!(
                    "the arguments do not fit: {}: {}",
                    fault.pointer, fault.message
                )));
            }
        }
        let kind = kind(&tool.node.kind)
            .ok_or_else(|| wrong("the tool's node type does not exist".to_owned()))?;
        let mut scope = self.around.scope();
        scope.locals.insert("args", Local::Own(args));
        crate::nodes::decide(
            &tool.node.kind,
            kind,
            &tool.node.data,
            &Templates::new(),
            &scope,
            &self.around.inputs,
            &[],
        )
    }
}
