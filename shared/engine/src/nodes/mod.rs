//! The node kinds: one file each, with its catalogue entry and its decision. A decision says
//! what to do (a value, a branch, a model call, a request); others do it.

mod ai;
mod area;
pub(crate) mod code;
mod condition;
mod config;
mod connect;
pub mod custom;
mod data;
mod flow;
mod for_each;
mod http;
mod input;
mod llm;
mod merge;
mod note;
mod output;
mod postgres;
mod respond;
mod stop;
mod switch;
mod template;
mod transform;
mod wait;
mod while_loop;
mod workflow;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::ai::measure::MeasureCall;
pub use self::area::{AreaCall, AreaReply, FileRef};
pub use self::code::{CodeCall, LogLine};
pub(crate) use self::config::{Role, names, role};
pub(crate) use self::connect::base as service_base;
pub use self::flow::WorkflowRef;
pub(crate) use self::flow::{Flow, Join, LOOP_NAMES, OnItemError, own_handles};
pub use self::http::{FileContent, HttpBatch, HttpCall, HttpReply, Paged};
pub(crate) use self::input::check as check_inputs;
pub(crate) use self::llm::to_micros;
pub use self::llm::{LlmCall, Model, Next, Talk};
pub use self::postgres::SqlCall;
pub use self::wait::WaitCall;
use crate::fault::Faults;
use crate::graph::DEFAULT_HANDLE;
use crate::log::{NodeError, Shortcut};
use crate::memory::{Memory, Turn};
use crate::scope::Scope;
use crate::template::Templates;

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
    /// Where a palette shows it: `io`, `ai`, `data`, `flow`, `network`, `services`, `platform`.
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
    /// Ask a model that gives numbers: vectors, ranks.
    Measure(Box<MeasureCall>),
    /// Send a request.
    Http(Box<HttpCall>),
    /// Send requests, some at a time.
    HttpBatch(Box<HttpBatch>),
    /// Run a statement in a database of the user's own.
    Sql(Box<SqlCall>),
    /// Run the user's code, or a node of the user's own.
    Code(Box<CodeCall>),
    /// Ask one of the platform's own areas.
    Area(Box<AreaCall>),
}

impl Effect {
    /// `done`, `enter`, `wait`, `llm`, `measure`, `http`, `sql`, `code`, `custom` or `area`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Done(_) | Self::Passed(..) => "done",
            Self::Enter(_) => "enter",
            Self::Wait(_) => "wait",
            Self::Llm(_) => "llm",
            Self::Measure(_) => "measure",
            Self::Http(_) | Self::HttpBatch(_) => "http",
            Self::Sql(_) => "sql",
            Self::Code(call) => call.kind(),
            Self::Area(_) => "area",
        }
    }

    /// Whether it is a call, which others make.
    pub fn is_call(&self) -> bool {
        match self {
            Self::Done(_) | Self::Passed(..) | Self::Enter(_) | Self::Wait(_) => false,
            Self::Code(_) | Self::Area(_) => true,
            _ => self.sends(),
        }
    }

    /// Whether it is a call that sends requests to hosts.
    pub fn sends(&self) -> bool {
        matches!(
            self,
            Self::Llm(_) | Self::Measure(_) | Self::Http(_) | Self::HttpBatch(_) | Self::Sql(_)
        )
    }

    /// What a call sends, for the log; none for what needs no call. Secrets are still in it.
    pub(crate) fn shown(&self) -> Option<Value> {
        match self {
            Self::Llm(call) => Some(call.shown()),
            Self::Measure(call) => Some(call.shown()),
            Self::Http(call) => Some(call.shown()),
            Self::HttpBatch(batch) => Some(batch.shown()),
            Self::Sql(call) => Some(call.shown()),
            Self::Code(call) => Some(call.shown()),
            Self::Area(call) => Some(call.shown()),
            _ => None,
        }
    }

    /// The conversation that a call to a model belongs to.
    pub fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Llm(call) => call.memory(),
            _ => None,
        }
    }

    /// Tells the model of earlier turns.
    pub fn remember(&mut self, turns: &[Turn]) {
        if let Self::Llm(call) = self {
            call.remember(turns);
        }
    }

    /// Everything on which the result of a call depends, for the key of its cache; none for what needs no call.
    pub(crate) fn identity(&self) -> Option<Value> {
        match self {
            Self::Llm(call) => Some(json!(["llm", call.identity()])),
            Self::Measure(call) => Some(json!(["measure", call.identity()])),
            Self::Http(call) => Some(json!(["http", call.identity()])),
            Self::HttpBatch(batch) => Some(json!(["http_batch", batch.identity()])),
            Self::Sql(call) => Some(json!(["sql", call.identity()])),
            Self::Code(call) => Some(json!([call.kind(), call.identity()])),
            Self::Area(call) => Some(json!(["area", call.identity()])),
            _ => None,
        }
    }

    /// Whether the result may depend on who acts: a connection, an area and files of the platform give each user what is
    /// theirs, and an agent's tools may use any of these. Secrets do not count: whoever acts has opened them before.
    pub(crate) fn is_personal(&self) -> bool {
        match self {
            Self::Area(_) => true,
            Self::Http(call) => call.is_personal(),
            Self::HttpBatch(batch) => batch.is_personal(),
            Self::Llm(call) => call.has_tools(),
            _ => false,
        }
    }
}

/// A value that came in over an edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Incoming<'a> {
    /// The node it comes from.
    pub(crate) source: &'a str,
    /// Its output.
    pub(crate) value: &'a Value,
}

/// Where a loop stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round<'a> {
    /// How many iterations there were.
    pub(crate) index: u32,
    /// The result of the last one.
    pub(crate) previous: &'a Value,
}

impl Round<'_> {
    /// Before the first iteration.
    pub(crate) const FIRST: Round<'static> = Round {
        index: 0,
        previous: &Value::Null,
    };

    /// The output of a loop that ends here.
    pub(crate) fn output(&self) -> Value {
        json!({"result": self.previous, "iterations": self.index})
    }
}

/// Everything a decision may look at.
pub(crate) struct Call<'a> {
    /// The node's type.
    pub(crate) kind: &'a str,
    pub(crate) data: &'a Map<String, Value>,
    pub(crate) templates: &'a Templates,
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) inputs: &'a Value,
    pub(crate) incoming: &'a [Incoming<'a>],
    pub(crate) schema: &'a Value,
    pub(crate) round: Round<'a>,
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

impl Kind {
    fn new(spec: Spec, decide: fn(&Call<'_>) -> Result<Effect, NodeError>) -> Self {
        Self {
            spec,
            decide,
            check: |_, _, _| {},
        }
    }

    /// With a check of what the schema cannot say.
    fn checked(self, check: fn(&Map<String, Value>, &str, &mut Faults)) -> Self {
        Self { check, ..self }
    }
}

/// All kinds, by the order in which a palette shows them.
pub(crate) fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let mut kinds = vec![
            Kind::new(input::spec(), input::decide).checked(input::check_defaults),
            Kind::new(llm::spec(), llm::decide).checked(llm::check),
            Kind::new(ai::agent::spec(), ai::agent::decide).checked(ai::agent::check),
            Kind::new(ai::classify::spec(), ai::classify::decide).checked(llm::check),
            Kind::new(ai::extract::spec(), ai::extract::decide).checked(llm::check),
            Kind::new(ai::summary::spec(), ai::summary::decide).checked(llm::check),
            Kind::new(ai::embed::spec(), ai::embed::decide).checked(ai::measure::check),
            Kind::new(ai::rerank::spec(), ai::rerank::decide).checked(ai::measure::check),
            Kind::new(http::spec(), http::decide).checked(http::check),
            Kind::new(postgres::spec(), postgres::decide),
            Kind::new(code::spec(), code::decide).checked(code::check),
            Kind::new(template::spec(), template::decide),
            Kind::new(transform::spec(), transform::decide),
            Kind::new(condition::spec(), condition::decide),
            Kind::new(switch::spec(), switch::decide).checked(switch::check),
            Kind::new(for_each::spec(), for_each::decide),
            Kind::new(while_loop::spec(), while_loop::decide),
            Kind::new(workflow::spec(), workflow::decide),
            Kind::new(wait::spec(), wait::decide).checked(wait::check),
            Kind::new(merge::spec(), merge::decide),
        ];
        kinds.extend(data::kinds());
        kinds.extend(connect::kinds());
        kinds.extend(area::kinds());
        kinds.extend([
            Kind::new(respond::spec(), respond::decide).checked(respond::check),
            Kind::new(stop::spec(), stop::decide),
            Kind::new(note::spec(), note::decide),
            Kind::new(output::spec(), output::decide),
        ]);
        kinds.iter_mut().for_each(|kind| add_common(&mut kind.spec));
        kinds
    })
}

/// Whether a node's value is what the run gives back.
pub(crate) fn gives_back(kind: &str) -> bool {
    matches!(kind, "output" | "respond")
}

/// Whether a node may not see secrets, not even in its templates.
pub(crate) fn sees_no_secrets(kind: &str) -> bool {
    kind == "code"
}

/// Whether a node is a remark: it has no edges and never runs.
pub(crate) fn is_remark(kind: &str) -> bool {
    kind == "note"
}

pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    static CUSTOM: OnceLock<Kind> = OnceLock::new();
    if custom::name(name).is_some() {
        return Some(CUSTOM.get_or_init(|| {
            let mut kind = Kind::new(custom::spec(), custom::decide);
            add_common(&mut kind.spec);
            kind
        }));
    }
    kinds().iter().find(|kind| kind.spec.kind == name)
}

/// Whether a node may have handles of which the engine does not know.
pub(crate) fn has_open_handles(kind: &str) -> bool {
    kind == custom::KIND
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
    let acts = spec.kind != "input" && !gives_back(&spec.kind) && !is_remark(&spec.kind);
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

/// Decides what a node does that is in no loop and calls no workflow.
///
/// # Errors
/// When its config cannot be rendered in this scope.
pub(crate) fn decide(
    name: &str,
    kind: &Kind,
    data: &Map<String, Value>,
    templates: &Templates,
    scope: &Scope<'_>,
    inputs: &Value,
    incoming: &[Incoming<'_>],
) -> Result<Effect, NodeError> {
    (kind.decide)(&Call {
        kind: name,
        data,
        templates,
        scope,
        inputs,
        incoming,
        schema: &kind.spec.config_schema,
        round: Round::FIRST,
        callee: None,
    })
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
