//! What a tool offers: an OpenAPI document fetched, an MCP server asked, a deployment looked up.

use crate::config::{Config, Deployed};
use crate::model::Stored;
use crate::outbound::{self, Failure};
use crate::remote;
use nodeai_app::{Caller, Scope};
use nodeai_http::{FieldError, Problem};
use nodeai_toolkit::Fault;
use nodeai_toolkit::function::Function;
use nodeai_toolkit::openapi::{Document, LeftOut};
use nodeai_toolkit::permissions::Permissions;
use nodeai_toolkit::request::Outgoing;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

/// Largest document that is fetched, bytes.
const LARGEST: usize = 4 << 20;
/// How long anybody may take to say what he offers, ms.
pub const TIMEOUT_MS: u64 = 15_000;

/// What was learned.
#[derive(Debug, Default)]
pub struct Learned {
    /// What can be called.
    pub functions: Vec<Function>,
    /// What cannot, and why.
    pub left_out: Vec<LeftOut>,
    /// The revision that an MCP server speaks.
    pub protocol: Option<String>,
}

impl Learned {
    /// These functions and nothing else.
    pub fn of(functions: Vec<Function>) -> Self {
        Self {
            functions,
            ..Self::default()
        }
    }
}

/// Fetches an OpenAPI document.
///
/// Errors: 422 where it cannot be had, 400 where it is none.
pub async fn fetch_document<S: Scope>(caller: &Caller<S>, url: &str) -> Result<Document, Problem> {
    let at = "/config/document_url";
    let wrong =
        |code: &str, detail: String| Problem::fields(vec![FieldError::body(at, code, detail)]);
    let url = Url::parse(url).map_err(|error| wrong("format", error.to_string()))?;
    let guard = caller.cx.guard().await;
    caller.session.release();
    let mut request = Outgoing::new("GET", url);
    request.set_header(
        "accept",
        "application/json, application/yaml, text/yaml, */*;q=0.5",
    );
    let fetched = outbound::send(&guard, request, LARGEST);
    let answer = within(caller, TIMEOUT_MS, fetched).await;
    let answer = answer.map_err(|failure| failed(&failure))?;
    if !(200..=299).contains(&answer.status) {
        let text = format!("the document's server answered HTTP {}", answer.status);
        return Err(Problem::does_not_fit(text));
    }
    let text = String::from_utf8(answer.body)
        .map_err(|_| wrong("format", "the document is not UTF-8".to_owned()))?;
    let read = Document::parse(&text);
    read.map_err(|fault: Fault| wrong(&fault.code, format!("{} {}", fault.pointer, fault.detail)))
}

/// A failure on the way to what a tool offers, as a problem: the request was fine, what it is about is not.
pub fn failed(failure: &Failure) -> Problem {
    Problem::does_not_fit(format!("{}: {}", failure.kind, failure.message))
}

/// Waits for something at most so long. Errors: its own, or that it took longer.
pub async fn within<S: Scope, T>(
    caller: &Caller<S>,
    limit_ms: u64,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    use futures::future::{Either, select};
    let work = std::pin::pin!(work);
    match select(work, caller.cx.env().sleep_ms(limit_ms)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => {
            let text = format!("no answer within {limit_ms} ms");
            Err(Failure::passing("timeout", text))
        }
    }
}

/// Asks a tool what it offers. What is kept of a function or a document is that already.
///
/// Errors: 403 for a viewer, 404 for a deployment that there is not, 422 where the other side cannot be asked.
pub async fn ask<S: Scope>(
    caller: &Caller<S>,
    tool: &Stored,
    config: &Config,
) -> Result<Learned, Problem> {
    match config {
        Config::Mcp(server) => {
            let learned = remote::list(caller, server, tool.protocol.as_deref()).await?;
            keep(caller, tool, &learned).await;
            Ok(learned)
        }
        Config::Workflow(deployed) => {
            let found = offered(caller, &json!({"name": deployed.offered_name()})).await?;
            let found = found.into_iter().next().and_then(|one| one.workflow);
            let workflow = found.ok_or_else(|| missing(deployed))?;
            Ok(Learned::of(vec![workflow.function(&tool.name)]))
        }
        Config::Function(_) | Config::Openapi(_) => Ok(Learned {
            functions: tool.functions.clone(),
            left_out: tool.left_out.clone(),
            protocol: None,
        }),
    }
}

fn missing(deployed: &Deployed) -> Problem {
    let slug = &deployed.deployment;
    Problem::not_found(format!(
        "there is no active deployment {slug} in {}",
        deployed.environment.as_str()
    ))
}

/// Keeps what an MCP server offers; who only waits for a list does not care whether that works.
async fn keep<S: Scope>(caller: &Caller<S>, tool: &Stored, learned: &Learned) {
    let args = json!({"org_id": caller.org_id(), "id": tool.id, "version": tool.version,
        "functions": learned.functions, "left_out": learned.left_out, "protocol": learned.protocol});
    let kept: Result<Value, _> = caller.session.call("tool_learned", &args).await;
    if let Err(error) = kept {
        nodeai_app::errors::log("tool_learned", &error.to_string());
    }
}

/// One thing that the MCP server offers.
#[derive(Debug, Deserialize)]
pub struct Offered {
    /// Its name there.
    pub name: String,
    /// The function, where it is one.
    #[serde(default)]
    pub function: Option<Function>,
    /// Who may call it.
    #[serde(default)]
    pub permissions: Option<Permissions>,
    /// The workflow, where it is one that the caller may run.
    #[serde(default)]
    pub workflow: Option<OfferedWorkflow>,
}

/// A deployed workflow.
#[derive(Debug, Deserialize)]
pub struct OfferedWorkflow {
    /// The deployment's slug.
    pub slug: String,
    /// Where.
    pub environment: String,
    name: Option<String>,
    description: Option<String>,
    inputs: Vec<Value>,
}

impl OfferedWorkflow {
    /// It as a function of this name.
    pub fn function(&self, name: &str) -> Function {
        Function {
            name: name.to_owned(),
            title: self.name.clone(),
            description: self.description.clone().or_else(|| self.name.clone()),
            input_schema: nodeai_toolkit::workflow::input_schema(&self.inputs),
            output_schema: None,
            annotations: Some(json!({"openWorldHint": true})),
            operation: None,
        }
    }
}

/// What the MCP server offers to the caller: a page of it, or one by its name. Errors: 503.
pub async fn offered<S: Scope>(caller: &Caller<S>, which: &Value) -> Result<Vec<Offered>, Problem> {
    let mut args: Map<String, Value> = which.as_object().cloned().unwrap_or_default();
    args.insert("org_id".to_owned(), json!(caller.org_id()));
    caller.call("tools_offered", &args).await
}
