//! What the MCP server offers: the caller's deployed workflows, and enabled tools of the registry.

use crate::ToolsRun;
use crate::call::{self, CallOutput, as_mcp, workflow};
use crate::learn::{self, Offered, OfferedWorkflow};
use crate::model::{Kind, Limits, Stored, tools as col};
use crate::outbound::Failure;
use crate::span::Begun;
use nodeai_app::Caller;
use nodeai_http::Problem;
use nodeai_http::page::{Keyset, decode_cursor, encode_cursor};
use nodeai_mcp::rpc::{RpcError, code};
use nodeai_mcp::server::{Call, Freshness, Provider};
use nodeai_mcp::version::Era;
use nodeai_store::Filter;
use nodeai_toolkit::function::Function;
use nodeai_toolkit::schema::Schema;
use serde_json::{Map, Value, json};

/// Tools on a page.
const PAGE: usize = 50;
/// How long a workflow may take, ms; shorter than the host waits for the beginning of an answer.
const WORKFLOW_MS: u64 = 25_000;
/// The same where progress is sent meanwhile, ms: the run's own limit is the shorter one.
const STREAMED_MS: u64 = 3_600_000;

/// What one caller is offered.
pub struct Own {
    caller: Caller<ToolsRun>,
}

impl Own {
    /// For a caller.
    pub fn of(caller: Caller<ToolsRun>) -> Self {
        Self { caller }
    }

    async fn page(&self, which: &Value) -> Result<Vec<Offered>, RpcError> {
        learn::offered(&self.caller, which).await.map_err(internal)
    }

    async fn by_name(&self, name: &str) -> Result<Offered, RpcError> {
        let found = self.page(&json!({"name": name})).await?;
        let found = found.into_iter().find(is_offered);
        found.ok_or_else(|| RpcError::params(format!("Unknown tool: {name}")))
    }

    /// Calls a function of the registry.
    async fn call_tool_of(&self, name: &str, arguments: Value) -> Result<Value, Problem> {
        let (tool, function) = match name.split_once("__") {
            Some((tool, function)) => (tool, Some(function)),
            None => (name, None),
        };
        let tool = call::find(&self.caller, Filter::Eq(col::name, tool.to_owned())).await?;
        let called = call::call(&self.caller, &tool, (function, None), arguments, None).await?;
        Ok(as_mcp(called))
    }

    /// Runs a workflow; whoever asked for progress hears of its nodes.
    async fn run(&self, name: &str, offered: &OfferedWorkflow, call: &Call<'_>) -> Value {
        let arguments = call.arguments();
        let begun = Begun::in_request(&self.caller.cx);
        let tell = |done: f64, node: &str| call.progress(done, None, Some(node));
        let wants = call.meta(nodeai_mcp::meta::PROGRESS_TOKEN).is_some();
        let progress: Option<&dyn Fn(f64, &str)> = if wants { Some(&tell) } else { None };
        let place = (offered.slug.as_str(), offered.environment.as_str());
        let run = async {
            let trace = &begun.trace;
            Ok(workflow::invoke(&self.caller, place, &arguments, trace, progress).await)
        };
        let limit = if wants { STREAMED_MS } else { WORKFLOW_MS };
        let outcome = learn::within(&self.caller, limit, run).await;
        let outcome = outcome.unwrap_or_else(|failure: Failure| failure.into());
        let tool = as_stored(name);
        let function = offered.function(name);
        let called: CallOutput = call::judge(&tool, &function, &begun, outcome);
        begun.end(&self.caller.cx, &tool, name, &arguments, &called);
        as_mcp(called)
    }
}

/// A workflow as the tool that it is here, for its span.
fn as_stored(name: &str) -> Stored {
    Stored {
        id: String::new(),
        name: name.to_owned(),
        kind: Kind::Workflow,
        description: None,
        config: json!({}),
        permissions: Default::default(),
        limits: Limits::default(),
        enabled: true,
        functions: Vec::new(),
        functions_at: None,
        left_out: Vec::new(),
        protocol: None,
        version: 0,
        document: None,
    }
}

fn internal(problem: Problem) -> RpcError {
    let text = problem.detail.unwrap_or(problem.title);
    RpcError::new(code::INTERNAL, text)
}

/// Whether a thing may be called at all: a workflow that the caller's key is not for is not there.
fn is_offered(one: &Offered) -> bool {
    match (&one.workflow, &one.function) {
        (Some(_), _) => true,
        (None, Some(function)) => {
            let permissions = one.permissions.clone().unwrap_or_default();
            permissions.permits(function).is_ok()
        }
        (None, None) => false,
    }
}

fn function_of(one: &Offered) -> Option<Function> {
    match &one.workflow {
        Some(workflow) => Some(workflow.function(&one.name)),
        None => one.function.clone(),
    }
}

fn as_tool(one: &Offered) -> Option<Value> {
    let function = function_of(one)?;
    let mut schema = function.input_schema;
    if let Some(map) = schema.as_object_mut() {
        map.entry("type").or_insert(json!("object"));
    }
    let mut tool = json!({"name": one.name, "inputSchema": schema});
    let members = [
        ("title", function.title.map(Value::from)),
        ("description", function.description.map(Value::from)),
        ("annotations", function.annotations),
        // Structured content was an object before 2026-07-28, and so its schema.
        (
            "outputSchema",
            function
                .output_schema
                .filter(|schema| schema["type"] == "object"),
        ),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            tool[name] = value;
        }
    }
    Some(tool)
}

/// What the caller did wrong is the tool's answer: a model can mend it. What is ours is an error.
fn answered(problem: Problem) -> Result<Value, RpcError> {
    if problem.status >= 500 {
        return Err(internal(problem));
    }
    let mut text = problem.detail.unwrap_or(problem.title);
    for error in &problem.errors {
        let pointer = error.pointer.as_deref().unwrap_or_default();
        text.push_str(&format!("\n{pointer}: {}", error.detail));
    }
    Ok(json!({"content": [{"type": "text", "text": text}], "isError": true}))
}

impl Provider for Own {
    fn info(&self) -> Value {
        json!({"name": "nodeai", "title": "NodeAI", "version": env!("CARGO_PKG_VERSION")})
    }

    fn capabilities(&self, _: Era) -> Value {
        json!({"tools": {}})
    }

    fn instructions(&self) -> Option<String> {
        Some(
            "Tools named workflow__… run deployed workflows; the others call registered endpoints."
                .to_owned(),
        )
    }

    fn freshness(&self, method: &str) -> Freshness {
        Freshness {
            ttl_ms: if method == "server/discover" {
                3_600_000
            } else {
                30_000
            },
            public: false,
        }
    }

    async fn list_tools(&self, cursor: Option<&str>) -> Result<Value, RpcError> {
        let after: Option<Keyset> = cursor
            .map(decode_cursor)
            .transpose()
            .map_err(|_| RpcError::params("Invalid cursor"))?;
        let which = json!({"after": after.map(|key| key.id), "limit": PAGE + 1});
        let mut page = self.page(&which).await?;
        let more = page.len() > PAGE;
        page.truncate(PAGE);
        let next = page.last().filter(|_| more).map(|last| {
            encode_cursor(&Keyset {
                at: String::new(),
                id: last.name.clone(),
            })
        });
        let tools = page
            .iter()
            .filter(|one| is_offered(one))
            .filter_map(as_tool);
        let mut result = Map::new();
        result.insert("tools".to_owned(), tools.collect());
        if let Some(next) = next {
            result.insert("nextCursor".to_owned(), json!(next));
        }
        Ok(Value::Object(result))
    }

    async fn input_schema(&self, tool: &str) -> Option<Value> {
        let found = self.by_name(tool).await.ok()?;
        function_of(&found).map(|function| function.input_schema)
    }

    async fn call_tool(&self, call: &Call<'_>) -> Result<Value, RpcError> {
        let found = self.by_name(call.name()).await?;
        if let Some(workflow) = &found.workflow {
            // The run checks its inputs too; here each fault gets its place among the arguments.
            if let Some(refusal) = misfit(&workflow.function(&found.name), &call.arguments()) {
                return Ok(refusal);
            }
            return Ok(self.run(&found.name, workflow, call).await);
        }
        match self.call_tool_of(call.name(), call.arguments()).await {
            Ok(result) => Ok(result),
            Err(problem) => answered(problem),
        }
    }
}

/// Arguments that do not fit, as the tool's answer.
fn misfit(function: &Function, arguments: &Value) -> Option<Value> {
    let schema = Schema::read(&function.input_schema).ok()?;
    let faults = schema.check(arguments, "/arguments").err()?;
    let lines = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.detail));
    let text = lines.collect::<Vec<_>>().join("\n");
    Some(json!({"content": [{"type": "text", "text": text}], "isError": true}))
}
