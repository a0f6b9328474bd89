//! `code`: the user's JavaScript. It runs in a component of its own, which has no way out; this makes what goes there and reads
//! what comes back.

pub(crate) mod scan;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::decide::handed_on;
use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};

/// Most bytes of a source.
pub(crate) const LONGEST: usize = 64 * 1024;
/// Most brackets within brackets: the interpreter's parser recurses.
const DEEPEST: usize = 100;
/// Most bytes of the values that the code sees.
const MOST_VALUES: usize = 8 * 1024 * 1024;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "code".into(),
        title: "Code".into(),
        description: "Runs JavaScript: the body of an async function that sees input, inputs, nodes, vars, run and the names of loops around it, and returns a value. No network, files, timers, modules or secrets; Date shows when the run began and Math.random is the same for every attempt. Bounded in time, steps and memory.".into(),
        category: "data".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["source"],
            "properties": {
                "source": {"type": "string", "minLength": 1, "maxLength": LONGEST, "x-nodeai": "javascript",
                    "description": "The body of an async function: await and return are allowed; console.log writes to the trace"},
                "input": {"description": "What the code sees as input; without it what comes in over the edge, by source if it is more than one"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "What the code returns, as JSON", json!({}))],
        example: json!({
            "input": "{{ inputs.orders }}",
            "source": "const open = input.filter(order => !order.paid);\nconsole.log(`${open.length} are open`);\nreturn { count: open.length, total: open.reduce((sum, order) => sum + order.amount, 0) };",
        }),
    }
}

/// What is run by a component of its own: code, or a custom node.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeCall(Work);

#[derive(Debug, Clone, PartialEq)]
enum Work {
    /// Code to run, and what it sees.
    Source {
        source: String,
        globals: Map<String, Value>,
        now_ms: u64,
    },
    /// A custom node, its config and what came in.
    Node {
        name: String,
        config: Map<String, Value>,
        input: Value,
    },
}

/// A line that code wrote to its console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub text: String,
}

#[derive(Deserialize)]
struct Config {
    source: String,
    #[serde(default, deserialize_with = "super::data::given")]
    input: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let input = config.input.unwrap_or_else(|| handed_on(call.incoming));
    let globals = globals(call, &config.source, input);
    Ok(Effect::Code(Box::new(CodeCall(Work::Source {
        source: config.source,
        globals,
        now_ms: began_ms(call),
    }))))
}

/// The values whose names the source mentions.
fn globals(call: &Call<'_>, source: &str, input: Value) -> Map<String, Value> {
    let scope = call.scope;
    let mut globals = Map::from_iter([("input".to_owned(), input)]);
    let roots = [
        ("inputs", &scope.inputs),
        ("vars", &scope.vars),
        ("run", &scope.run),
    ];
    for (name, view) in roots {
        if let Some(view) = view.as_ref().filter(|_| scan::mentions(source, name)) {
            globals.insert(name.to_owned(), view.value.clone());
        }
    }
    if scan::mentions(source, "nodes") {
        let nodes = scope.nodes.iter().map(|(id, node)| {
            let output = node.output.as_ref().map(|view| view.value);
            (
                (*id).to_owned(),
                json!({"output": output, "state": node.state}),
            )
        });
        globals.insert("nodes".to_owned(), Value::Object(nodes.collect()));
    }
    for (name, local) in &scope.locals {
        if scan::mentions(source, name) {
            globals.insert((*name).to_owned(), local.to_value());
        }
    }
    globals
}

/// When the run began, which is what the code's clock shows: a later attempt or a replay sees the same.
fn began_ms(call: &Call<'_>) -> u64 {
    let run = call.scope.run.as_ref();
    let began = run.and_then(|run| run.value["started_at"].as_str());
    let began = began.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    began.map_or(0, |began| {
        u64::try_from(began.as_millisecond()).unwrap_or(0)
    })
}

/// A source that is nested too deeply would end its interpreter without a word.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let source = data.get("source").and_then(Value::as_str);
    if source.is_some_and(|source| scan::uses(source).depth > DEEPEST) {
        let message = format!("more than {DEEPEST} brackets within brackets");
        faults.add(format!("{at}/source"), "bad_source", message);
    }
}

/// What a component answers, of code or of a custom node.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    handle: Option<String>,
    failure: Option<Value>,
    #[serde(default)]
    logs: Vec<LogLine>,
}

#[derive(Deserialize)]
struct Failure {
    kind: String,
    name: Option<String>,
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    pointer: Option<String>,
    #[serde(default)]
    retryable: bool,
}

impl Failure {
    fn of_code(self) -> NodeError {
        let kind = match self.kind.as_str() {
            "syntax" => "code_syntax",
            "thrown" => "code_error",
            "limit" => "code_limit",
            _ => "code_failed",
        };
        let mut message = "/source: ".to_owned();
        if let Some(name) = &self.name {
            message += name;
            message += ": ";
        }
        message += &self.message;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            message += &format!(" (line {line}, column {column})");
        }
        NodeError::new(kind, message, false)
    }

    fn of_node(self) -> NodeError {
        let pointer = self.pointer.filter(|pointer| pointer.starts_with('/'));
        let message = match pointer {
            Some(pointer) => format!("{pointer}: {}", self.message),
            None => self.message,
        };
        NodeError::new(&self.kind, message, self.retryable)
    }
}

impl CodeCall {
    /// Most time that code may take, in ms, whatever the node says.
    const MOST_MS: u64 = 10_000;

    /// A custom node's attempt.
    pub(super) fn of_node(name: &str, config: Map<String, Value>, input: Value) -> Self {
        Self(Work::Node {
            name: name.to_owned(),
            config,
            input,
        })
    }

    /// `code` or `custom`.
    pub(super) fn kind(&self) -> &'static str {
        match self.0 {
            Work::Source { .. } => "code",
            Work::Node { .. } => "custom",
        }
    }

    /// Whether nothing outside can notice it.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0, Work::Source { .. })
    }

    /// Whether it is a custom node, which may reach hosts.
    pub fn is_node(&self) -> bool {
        matches!(self.0, Work::Node { .. })
    }

    /// Where it runs: a component that others reach by service chaining alone.
    pub fn url(&self) -> String {
        match &self.0 {
            Work::Source { .. } => "http://code.spin.internal/".to_owned(),
            Work::Node { name, .. } => super::custom::url(name),
        }
    }

    /// Most time that it may take, in ms, when its node's limit is `limit_ms`.
    pub fn most_ms(&self, limit_ms: u64) -> u64 {
        match self.0 {
            Work::Source { .. } => limit_ms.min(Self::MOST_MS),
            Work::Node { .. } => limit_ms,
        }
    }

    /// The request's body. `key` is the same for every attempt: what chance follows from, and what tells a repeated call.
    ///
    /// # Errors
    /// It would see too much.
    pub fn body(&self, key: &str, wall_ms: u64) -> Result<Vec<u8>, NodeError> {
        let job = match &self.0 {
            Work::Source {
                source,
                globals,
                now_ms,
            } => json!({"source": source, "globals": globals, "now_ms": now_ms, "seed": key,
                "limits": {"wall_ms": wall_ms}}),
            Work::Node { config, input, .. } => {
                json!({"config": config, "input": input, "idempotency_key": key,
                "timeout_ms": wall_ms})
            }
        };
        let body = job.to_string().into_bytes();
        match body.len() > MOST_VALUES + LONGEST {
            true => Err(self.limit(format!(
                "{}it would see more than {MOST_VALUES} bytes of values",
                self.at("/input: ")
            ))),
            false => Ok(body),
        }
    }

    /// What goes in, for the log; the source is in the document.
    pub(super) fn shown(&self) -> Value {
        match &self.0 {
            Work::Source { globals, .. } => Value::Object(globals.clone()),
            Work::Node { config, input, .. } => json!({"config": config, "input": input}),
        }
    }

    /// Everything on which the result depends but time and chance, of which a kept result is one as good as another.
    pub(super) fn identity(&self) -> Value {
        match &self.0 {
            Work::Source {
                source, globals, ..
            } => json!([source, globals]),
            Work::Node {
                name,
                config,
                input,
            } => json!([name, config, input]),
        }
    }

    /// Turns the component's answer into the node's output.
    ///
    /// # Errors
    /// The code threw, the node failed, or it was stopped.
    pub fn finish(&self, status: u16, body: &[u8]) -> (CallMeta, Result<Outcome, NodeError>) {
        let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
            return (CallMeta::default(), Err(self.stopped()));
        };
        let meta = CallMeta {
            logs: answer.logs,
            ..CallMeta::default()
        };
        let failure = answer.failure.filter(|failure| !failure.is_null());
        let failure = failure.map(serde_json::from_value::<Failure>);
        let result = match (status, failure) {
            (200, None) => {
                let outcome = Outcome::new(answer.result);
                let handle = answer.handle.unwrap_or(outcome.handle);
                Ok(Outcome { handle, ..outcome })
            }
            (_, Some(Ok(failure))) => Err(match self.is_closed() {
                true => failure.of_code(),
                false => failure.of_node(),
            }),
            _ => Err(self.broken(body)),
        };
        (meta, result)
    }

    /// The error of an answer that is none: a custom node's says what is wrong with it.
    fn broken(&self, body: &[u8]) -> NodeError {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) if !self.is_closed() => NodeError::new("custom_failed", detail, false),
            _ => self.stopped(),
        }
    }

    /// The error of an instance that ended without an answer.
    pub fn stopped(&self) -> NodeError {
        self.limit(match self.0 {
            Work::Source { .. } => {
                "/source: the code was stopped: it needs more time or memory than it may have"
            }
            Work::Node { .. } => {
                "the node was stopped: it broke, or needs more time or memory than it may have"
            }
        })
    }

    /// The error of work that takes longer than it may.
    pub fn too_slow(&self, most_ms: u64) -> NodeError {
        let what = if self.is_closed() { "code" } else { "node" };
        let at = self.at("/source: ");
        self.limit(format!(
            "{at}the {what} was stopped: it takes longer than {most_ms} ms"
        ))
    }

    /// The error of work for which there is no component here.
    pub fn unavailable(&self, why: &str) -> NodeError {
        match &self.0 {
            Work::Source { .. } => {
                let message = format!("code cannot be run here: {why}");
                NodeError::new("code_unavailable", message, false)
            }
            Work::Node { name, .. } => {
                let message = format!("the custom node {name:?} cannot be reached: {why}");
                NodeError::new("custom_unavailable", message, false)
            }
        }
    }

    fn limit(&self, message: impl Into<String>) -> NodeError {
        NodeError::new(&format!("{}_limit", self.kind()), message, false)
    }

    /// The pointer that a message begins with, where it is known.
    fn at(&self, pointer: &'static str) -> &'static str {
        if self.is_closed() { pointer } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_outputs_and_errors() {
        let call = CodeCall(Work::Source {
            source: String::new(),
            globals: Map::new(),
            now_ms: 0,
        });
        let ok = json!({"result": {"a": 1}, "logs": [{"level": "info", "text": "hi"}], "steps": 3});
        let (meta, result) = call.finish(200, ok.to_string().as_bytes());
        assert_eq!(meta.logs[0].text, "hi");
        assert_eq!(result.map(|outcome| outcome.output), Ok(json!({"a": 1})));
        let thrown = json!({"failure": {"kind": "thrown", "name": "TypeError", "message": "no", "line": 2, "column": 5}});
        let (_, result) = call.finish(422, thrown.to_string().as_bytes());
        let error = result.expect_err("thrown");
        assert_eq!(error.kind, "code_error");
        assert_eq!(error.message, "/source: TypeError: no (line 2, column 5)");
        for (status, body) in [(500, ""), (500, "{}"), (200, "<html>")] {
            let (_, result) = call.finish(status, body.as_bytes());
            assert_eq!(
                result.expect_err("stopped").kind,
                "code_limit",
                "{status} {body}"
            );
        }
    }
}
