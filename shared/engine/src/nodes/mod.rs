//! The node kinds: one file each, with its catalogue entry and its decision. A decision says
//! what to do (a value, a branch, a model call, a request); others do it.

mod condition;
mod flow;
mod for_each;
mod http;
mod input;
mod llm;
mod merge;
mod output;
mod switch;
mod template;
mod transform;
mod wait;
mod while_loop;
mod workflow;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use minijinja::Value as Jinja;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::flow::WorkflowRef;
pub(crate) use self::flow::{Flow, Join, OnItemError, own_handles};
pub use self::http::{HttpCall, HttpReply};
pub(crate) use self::input::check as check_inputs;
pub use self::llm::LlmCall;
pub(crate) use self::llm::to_micros;
pub use self::wait::WaitCall;
use crate::fault::Faults;
use crate::graph::DEFAULT_HANDLE;
use crate::log::{NodeError, Shortcut};
use crate::template::{TemplateError, Templates};

/// A node type as the catalogue shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The `type` in a document.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name for people.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Where a palette shows it: `io`, `ai`, `data`, `flow`, `network`.
    pub category: String,
    /// JSON Schema of `data`.
    pub config_schema: Value,
    /// Handles that edges may end at.
    pub inputs: Vec<Port>,
    /// Handles that edges may start from.
    pub outputs: Vec<Port>,
    /// A `data` that is valid.
    pub example: Value,
}

/// One handle of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// `sourceHandle` or `targetHandle`.
    pub name: String,
    /// What comes through it.
    pub description: String,
    /// JSON Schema of that value.
    pub schema: Value,
}

fn port(name: &str, description: &str, schema: Value) -> Port {
    Port {
        name: name.to_owned(),
        description: description.to_owned(),
        schema,
    }
}

/// A value that a finished node hands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `nodes.<id>.output`.
    pub output: Value,
    /// The handle whose edges are taken.
    pub handle: String,
}

impl Outcome {
    pub(crate) fn new(output: Value) -> Self {
        Self {
            output,
            handle: DEFAULT_HANDLE.to_owned(),
        }
    }
}

/// What a node wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Nothing: the value is here.
    Done(Outcome),
    /// Nothing: something stands for the node's work.
    Passed(Outcome, Shortcut),
    /// Run the node's body once for each of these.
    Enter(Vec<Value>),
    /// Wait.
    Wait(Box<WaitCall>),
    /// Ask a model.
    Llm(Box<LlmCall>),
    /// Send a request.
    Http(Box<HttpCall>),
}

/// What templates see, apart from node outputs.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `inputs`.
    pub inputs: Jinja,
    /// `vars`.
    pub vars: Jinja,
    /// `run`: `id`, `trace_id`, `started_at`.
    pub run: Jinja,
    /// `nodes`: by id, `{output}`. `output` is none for a node that was not taken.
    pub nodes: BTreeMap<String, Jinja>,
    /// `secrets` that this node refers to, resolved.
    pub secrets: BTreeMap<String, String>,
    /// Names that only some places know: `item`, `index`, `previous`, `loops`, `error`, `attempt`.
    pub local: BTreeMap<&'static str, Jinja>,
}

impl Scope {
    pub(crate) fn to_value(&self) -> Jinja {
        let local = self.local.iter().map(|(name, v)| (*name, v.clone()));
        Jinja::from_pairs(
            [
                ("inputs", self.inputs.clone()),
                ("vars", self.vars.clone()),
                ("run", self.run.clone()),
                (
                    "nodes",
                    Jinja::from_pairs(self.nodes.iter().map(|(id, v)| (id.clone(), v.clone()))),
                ),
                (
                    "secrets",
                    Jinja::from_pairs(
                        self.secrets
                            .iter()
                            .map(|(n, v)| (n.clone(), Jinja::from(v.clone()))),
                    ),
                ),
            ]
            .into_iter()
            .chain(local),
        )
    }
}

/// A value that came in over an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The node it comes from.
    pub source: String,
    /// Its output.
    pub value: Value,
}

/// Where a loop stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Round {
    /// How many iterations there were.
    pub(crate) index: u32,
    /// The result of the last one.
    pub(crate) previous: Value,
}

impl Round {
    /// The output of a loop that ends here.
    pub(crate) fn output(&self) -> Value {
        json!({"result": self.previous, "iterations": self.index})
    }
}

/// Everything a decision may look at.
pub(crate) struct Call<'a> {
    pub(crate) data: &'a Map<String, Value>,
    pub(crate) templates: &'a Templates,
    pub(crate) scope: &'a Jinja,
    pub(crate) inputs: &'a Value,
    pub(crate) incoming: &'a [Incoming],
    pub(crate) schema: &'a Value,
    pub(crate) round: Round,
    /// The configs of the input nodes of the workflow that a `workflow` node calls.
    pub(crate) callee: Option<Vec<&'a Map<String, Value>>>,
}

/// One node kind.
pub(crate) struct Kind {
    pub(crate) spec: Spec,
    pub(crate) decide: fn(&Call<'_>) -> Result<Effect, NodeError>,
    /// What the schema cannot say about a config: gets `data` and its pointer.
    pub(crate) check: fn(&Map<String, Value>, &str, &mut Faults),
}

fn nothing_more(_: &Map<String, Value>, _: &str, _: &mut Faults) {}

/// All kinds, by the order in which a palette shows them.
pub(crate) fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let mut kinds = vec![
            Kind {
                spec: input::spec(),
                decide: input::decide,
                check: input::check_defaults,
            },
            Kind {
                spec: llm::spec(),
                decide: llm::decide,
                check: llm::check,
            },
            Kind {
                spec: http::spec(),
                decide: http::decide,
                check: http::check,
            },
            Kind {
                spec: template::spec(),
                decide: template::decide,
                check: nothing_more,
            },
            Kind {
                spec: transform::spec(),
                decide: transform::decide,
                check: nothing_more,
            },
            Kind {
                spec: condition::spec(),
                decide: condition::decide,
                check: nothing_more,
            },
            Kind {
                spec: switch::spec(),
                decide: switch::decide,
                check: switch::check,
            },
            Kind {
                spec: for_each::spec(),
                decide: for_each::decide,
                check: nothing_more,
            },
            Kind {
                spec: while_loop::spec(),
                decide: while_loop::decide,
                check: nothing_more,
            },
            Kind {
                spec: workflow::spec(),
                decide: workflow::decide,
                check: nothing_more,
            },
            Kind {
                spec: wait::spec(),
                decide: wait::decide,
                check: wait::check,
            },
            Kind {
                spec: merge::spec(),
                decide: merge::decide,
                check: nothing_more,
            },
            Kind {
                spec: output::spec(),
                decide: output::decide,
                check: nothing_more,
            },
        ];
        kinds.iter_mut().for_each(|kind| add_common(&mut kind.spec));
        kinds
    })
}

pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.spec.kind == name)
}

/// The node types with their schemas and examples.
pub fn catalogue() -> Vec<Spec> {
    kinds().iter().map(|kind| kind.spec.clone()).collect()
}

/// Settings and notes that every node may have in `data`.
fn add_common(spec: &mut Spec) {
    let Some(properties) = spec.config_schema["properties"].as_object_mut() else {
        return;
    };
    let common = json!({
        "label": {"type": "string", "description": "What a front end shows"},
        "description": {"type": "string", "description": "A note for people"},
    });
    let acting = crate::settings::schemas();
    let acts = spec.kind != "input" && spec.kind != "output";
    for (name, schema) in [common, acting]
        .iter()
        .take(if acts { 2 } else { 1 })
        .filter_map(Value::as_object)
        .flatten()
    {
        properties
            .entry(name.clone())
            .or_insert_with(|| schema.clone());
    }
    if acts {
        spec.outputs.push(port(
            "error",
            "Taken after the last failed attempt when on_error is error_edge",
            json!({"type": "object", "properties": {"error": {"type": "object"}}}),
        ));
    }
}

/// Names in `data` that are settings, not config: never rendered.
pub(crate) const COMMON: [&str; 8] = [
    "label",
    "description",
    "timeout_ms",
    "retry",
    "on_error",
    "cache",
    "pinned",
    "skip_if",
];

/// How the strings of a config field are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// As templates.
    Template,
    /// As a bare expression.
    Expression,
    /// As they are.
    Literal,
}

/// The role that a field's schema gives it by the keyword `x-nodeai`.
pub(crate) fn role(schema: &Value) -> Role {
    match schema.get("x-nodeai").and_then(Value::as_str) {
        Some("expression") => Role::Expression,
        Some("literal") => Role::Literal,
        _ => Role::Template,
    }
}

impl Call<'_> {
    /// Renders the config by its schema and reads it as `T`.
    pub(crate) fn config<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        let rendered = self.rendered()?;
        let mut faults = crate::fault::Faults::default();
        let templates = crate::schema::Templates::Plain;
        crate::schema::Checker {
            templates,
            faults: &mut faults,
        }
        .check(self.schema, &rendered, "");
        if let Some(fault) = faults.into_vec().first() {
            return Err(NodeError::config(format!(
                "{}: {}",
                fault.pointer, fault.message
            )));
        }
        serde_json::from_value(rendered).map_err(|error| NodeError::config(error.to_string()))
    }

    fn rendered(&self) -> Result<Value, NodeError> {
        let mut out = Map::new();
        for (name, value) in self
            .data
            .iter()
            .filter(|(name, _)| !COMMON.contains(&name.as_str()))
        {
            let schema = &self.schema["properties"][name.as_str()];
            let value = self
                .render(value, schema)
                .map_err(|error| NodeError::template(name, &error))?;
            out.insert(name.clone(), value);
        }
        Ok(Value::Object(out))
    }

    /// Renders every string below `value`. Where the schema wants a string it gets text,
    /// elsewhere one expression keeps its type.
    fn render(&self, value: &Value, schema: &Value) -> Result<Value, TemplateError> {
        if role(schema) != Role::Template {
            return Ok(value.clone());
        }
        Ok(match value {
            Value::String(text) if schema["type"] == "string" => {
                Value::String(self.templates.render_text(text, self.scope)?)
            }
            Value::String(text) => self.templates.render(text, self.scope)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.render(item, &schema["items"]));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let properties = &schema["properties"];
                let pairs = map.iter().map(|(name, value)| {
                    let schema = properties
                        .get(name)
                        .unwrap_or(&schema["additionalProperties"]);
                    Ok((name.clone(), self.render(value, schema)?))
                });
                Value::Object(pairs.collect::<Result<_, TemplateError>>()?)
            }
            other => other.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Checker, Templates as Mode};

    #[test]
    fn every_example_is_valid_by_its_own_schema() {
        for kind in kinds() {
            let mut faults = Faults::default();
            Checker {
                templates: Mode::Allowed,
                faults: &mut faults,
            }
            .check(&kind.spec.config_schema, &kind.spec.example, "");
            assert_eq!(faults.into_vec(), Vec::new(), "{}", kind.spec.kind);
        }
    }
}
