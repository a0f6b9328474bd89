//! `POST /api/v1/tools/{id}/call`, `POST /api/v1/tools/call`

mod endpoints;
pub mod workflow;

use crate::config::Config;
use crate::functions::{broken, current};
use crate::learn::within;
use crate::model::{CALLED, Stored, tools as col};
use crate::outbound::Failure;
use crate::span::Begun;
use crate::{ToolsRun, config, remote};
use nodeai_app::{Caller, PathId, Valid};
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_store::{Filter, Select};
use nodeai_toolkit::Fault;
use nodeai_toolkit::function::Function;
use nodeai_toolkit::output;
use nodeai_toolkit::permissions::Role;
use nodeai_toolkit::schema::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallInput {
    /// Which of the tool's functions; may be absent where it has only one.
    #[serde(default)]
    function: Option<String>,
    /// What it is called with, by its schema.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// How long it may take, ms, if less than the tool's own limit.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// A call of a tool by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedCall {
    /// The tool's name.
    name: String,
    /// Which of its functions; may be absent where it has only one.
    #[serde(default)]
    function: Option<String>,
    /// What it is called with, by its schema.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// How long it may take, ms, if less than the tool's own limit.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

impl Check for CallInput {
    fn check(&self, c: &mut Checker) {
        check_timeout(c, self.timeout_ms);
    }
}

impl Check for NamedCall {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 128, "/name");
        check_timeout(c, self.timeout_ms);
    }
}

fn check_timeout(c: &mut Checker, timeout_ms: Option<u64>) {
    let fine = timeout_ms.is_none_or(|ms| (100..=25_000).contains(&ms));
    c.require(fine, "/timeout_ms", "out_of_range", "100 to 25000");
}

/// Why a call did not succeed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CallError {
    /// Stable word: `http_status`, `timeout`, `unreachable`, `network`, `url_refused`, `egress_refused`, `redirect_refused`, `too_large`,
    /// `secret_missing`, `secret_refused`, `connection_failed`, `unauthorized`, `mcp_error`, `mcp_protocol`, `input_required`,
    /// `run_failed`, `output_invalid`, `tool_error`.
    pub kind: String,
    /// For a person.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// What a call gave. A tool that fails is an answer too, with `is_error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CallOutput {
    /// The tool.
    pub tool_id: String,
    /// Its name.
    pub tool: String,
    /// The function.
    pub function: String,
    /// This call: `gen_ai.tool.call.id` of its span.
    pub call_id: String,
    /// What came back: JSON as it is, text as a text, anything else as `{media_type, base64}`; of an MCP tool the structured
    /// output, else its text; of a workflow its outputs.
    pub output: Value,
    /// Blocks of content, as an MCP tool gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<Value>>,
    /// Whether it failed.
    pub is_error: bool,
    /// How, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Where the output does not fit the function's schema; pointers begin with `/output`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_errors: Vec<Fault>,
    /// The status of HTTP, where an endpoint was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The run, where a workflow was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// What a workflow's run cost, micro-USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<i64>,
    /// How long it took.
    pub duration_ms: f64,
}

/// What came of calling, before it is judged.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The output.
    pub output: Value,
    /// Content of an MCP tool.
    pub content: Option<Vec<Value>>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The status of HTTP.
    pub status: Option<u16>,
    /// The run.
    pub execution_id: Option<String>,
    /// Its cost.
    pub cost_usd_micros: Option<i64>,
    /// Whether the output is what the schema is about.
    pub typed: bool,
    /// What must not be seen in it.
    pub secrets: Vec<String>,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status,
            failure: Some(failure),
            ..Self::default()
        }
    }
}

/// Calls a tool by its id.
pub async fn by_id(
    caller: Caller<ToolsRun>,
    PathId(id): PathId,
    Valid(input): Valid<CallInput>,
) -> Result<Json<CallOutput>, Problem> {
    let tool = find(&caller, Filter::Eq(col::id, id)).await?;
    let wanted = (input.function.as_deref(), input.timeout_ms);
    let called = call(&caller, &tool, wanted, Value::Object(input.arguments), None).await?;
    Ok(Json::ok(called))
}

/// Calls a tool by its name.
pub async fn by_name(
    caller: Caller<ToolsRun>,
    Valid(input): Valid<NamedCall>,
) -> Result<Json<CallOutput>, Problem> {
    let tool = find(&caller, Filter::Eq(col::name, input.name)).await?;
    let wanted = (input.function.as_deref(), input.timeout_ms);
    let called = call(&caller, &tool, wanted, Value::Object(input.arguments), None).await?;
    Ok(Json::ok(called))
}

/// A tool that may be called. Errors: 404; 409 where it is off.
pub async fn find(caller: &Caller<ToolsRun>, which: Filter) -> Result<Stored, Problem> {
    let select = Select::from(col::TABLE, CALLED).filter(which);
    let tool: Stored = caller.find(select, "tool").await?;
    match tool.enabled {
        true => Ok(tool),
        false => Err(Problem::conflict(format!("the tool {} is off", tool.name))),
    }
}

/// Calls one function of a tool, whose `wanted` is its name and how long it may take.
///
/// Errors: 400 for arguments that do not fit, 403 where permissions forbid it; what goes wrong on the way is an answer.
pub async fn call(
    caller: &Caller<ToolsRun>,
    tool: &Stored,
    wanted: (Option<&str>, Option<u64>),
    arguments: Value,
    progress: Option<&dyn Fn(f64, &str)>,
) -> Result<CallOutput, Problem> {
    let (learned, _) = current(caller, tool).await?;
    let function = pick(learned.functions, wanted.0)?;
    let role = caller.session.principal.member_role.as_deref();
    let permitted = tool.permissions.permits_caller(&function, role_of(role));
    permitted.map_err(|denied| Problem::forbidden(denied.to_string()))?;
    check_arguments(&function, &arguments)?;
    let config = Config::read(tool.kind, &tool.config).map_err(|_| broken())?;
    let begun = Begun::in_request(&caller.cx);
    let limit = wanted.1.unwrap_or(u64::MAX).min(tool.limits.timeout_ms);
    let work = perform(
        caller,
        tool,
        &config,
        &function,
        &arguments,
        (&begun, progress),
    );
    // What is ours to answer comes through the time limit as it is.
    let done = within(caller, limit, async { Ok(work.await) }).await;
    let outcome = match done {
        Ok(performed) => performed?,
        Err(failure) => Outcome::from(failure),
    };
    let called = judge(tool, &function, &begun, outcome);
    begun.end(&caller.cx, tool, &function.name, &arguments, &called);
    Ok(called)
}

fn role_of(role: Option<&str>) -> Role {
    match role {
        Some("owner") => Role::Owner,
        Some("admin") => Role::Admin,
        // A viewer does not get here: no scope of his runs anything.
        _ => Role::Editor,
    }
}

fn pick(functions: Vec<Function>, wanted: Option<&str>) -> Result<Function, Problem> {
    let at = |code: &str, detail: String| {
        Problem::fields(vec![FieldError::body("/function", code, detail)])
    };
    match wanted {
        Some(name) => {
            let found = functions.into_iter().find(|one| one.name == name);
            found.ok_or_else(|| at("unknown", format!("the tool has no function {name}")))
        }
        None => {
            let mut all = functions.into_iter();
            match (all.next(), all.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(Problem::conflict("the tool offers nothing to be called")),
                _ => Err(at(
                    "required",
                    "the tool has several functions; name one".to_owned(),
                )),
            }
        }
    }
}

fn check_arguments(function: &Function, arguments: &Value) -> Result<(), Problem> {
    let schema = Schema::read(&function.input_schema).map_err(|fault| {
        let text = format!(
            "the function's schema cannot be worked with: {} {}",
            fault.pointer, fault.detail
        );
        Problem::does_not_fit(text)
    })?;
    match schema.check(arguments, "/arguments") {
        Ok(()) => Ok(()),
        Err(faults) => config::refuse(faults),
    }
}

/// Calls what the tool leads to. Errors: ours, such as a vault without a key.
async fn perform(
    caller: &Caller<ToolsRun>,
    tool: &Stored,
    config: &Config,
    function: &Function,
    arguments: &Value,
    (begun, progress): (&Begun, Option<&dyn Fn(f64, &str)>),
) -> Result<Outcome, Problem> {
    let most = tool.limits.max_bytes;
    match config {
        Config::Function(endpoint) => endpoints::endpoint(caller, endpoint, arguments, most).await,
        Config::Openapi(config) => {
            let operation = function.operation.as_ref().ok_or_else(broken)?;
            endpoints::operation(caller, config, operation, arguments, most).await
        }
        Config::Mcp(server) => {
            let spoken = tool.protocol.as_deref();
            let called = remote::call(caller, server, spoken, function, arguments, most).await?;
            Ok(called.map_or_else(Outcome::from, |called| Outcome {
                failure: called.is_error.then(|| {
                    let text = called
                        .output
                        .as_str()
                        .unwrap_or("the tool says that it failed");
                    Failure::new("tool_error", text.chars().take(500).collect::<String>())
                }),
                output: called.output,
                content: Some(called.content),
                typed: called.structured,
                secrets: called.secrets,
                ..Outcome::default()
            }))
        }
        Config::Workflow(deployed) => {
            let place = (deployed.deployment.as_str(), deployed.environment.as_str());
            Ok(workflow::invoke(caller, place, arguments, &begun.trace, progress).await)
        }
    }
}

/// An outcome as an answer: its output held against the schema, secrets blanked.
pub fn judge(tool: &Stored, function: &Function, begun: &Begun, outcome: Outcome) -> CallOutput {
    let mut outcome = outcome;
    output::blank(&mut outcome.output, &outcome.secrets);
    for block in outcome.content.iter_mut().flatten() {
        output::blank(block, &outcome.secrets);
    }
    let output_errors = match (&outcome.failure, &function.output_schema) {
        (None, Some(schema)) if outcome.typed => misfits(schema, &outcome.output),
        _ => Vec::new(),
    };
    let failure = outcome.failure.or_else(|| {
        let wrong = !output_errors.is_empty();
        wrong.then(|| {
            Failure::new(
                "output_invalid",
                "the output does not fit the function's schema",
            )
        })
    });
    CallOutput {
        tool_id: tool.id.clone(),
        tool: tool.name.clone(),
        function: function.name.clone(),
        call_id: begun.call_id.clone(),
        is_error: failure.is_some(),
        error: failure.map(|failure| CallError {
            kind: failure.kind.to_owned(),
            message: output::blanked(&failure.message, &outcome.secrets),
            retryable: failure.retryable,
        }),
        output: outcome.output,
        content: outcome.content,
        output_errors,
        http_status: outcome.status,
        execution_id: outcome.execution_id,
        cost_usd_micros: outcome.cost_usd_micros,
        duration_ms: begun.elapsed_ms(),
    }
}

fn misfits(schema: &Value, value: &Value) -> Vec<Fault> {
    match Schema::read(schema) {
        Ok(schema) => schema.check(value, "/output").err().unwrap_or_default(),
        Err(fault) => vec![Fault::new(
            "/output",
            "schema",
            format!(
                "the output's schema cannot be worked with: {}",
                fault.detail
            ),
        )],
    }
}

/// A call's output as the result of an MCP tool.
pub fn as_mcp(called: CallOutput) -> Value {
    let text = match (&called.error, &called.output) {
        (Some(error), Value::Null) => error.message.clone(),
        (Some(error), output) => format!("{}\n{output}", error.message),
        (None, Value::String(text)) => text.clone(),
        (None, output) => output.to_string(),
    };
    let content = called
        .content
        .unwrap_or_else(|| vec![json!({"type": "text", "text": text})]);
    let mut result = json!({"content": content, "isError": called.is_error});
    // Structured content was an object before 2026-07-28.
    if called.output.is_object() && !called.is_error {
        result["structuredContent"] = called.output;
    }
    result
}
