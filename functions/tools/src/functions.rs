//! `GET /api/v1/tools/{id}/functions`, `POST /api/v1/tools/{id}/refresh`

use crate::config::Config;
use crate::learn::{self, Learned};
use crate::model::{CALLED, FunctionShown, Kind, REFRESHED, SHOWN, Stored, Tool, tools as col};
use crate::{ToolsRead, ToolsWrite};
use nodeai_app::{Caller, Op, PathId, Reply, Scope, Write, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use nodeai_toolkit::openapi::{Document, LeftOut, read as read_openapi};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use url::Url;

/// How long what an MCP server offers is taken as it was, µs.
const FRESH_US: i64 = 300_000_000;

/// What a tool offers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Functions {
    /// Its functions.
    data: Vec<FunctionShown>,
    /// What it has beside and cannot be called, with the reason.
    left_out: Vec<LeftOut>,
    /// When it was asked, RFC 3339; null for what is looked up each time.
    functions_at: Option<String>,
    /// Whether this is what was kept, since it could not be asked now.
    stale: bool,
}

/// Its functions with their schemas. An MCP server is asked anew after five minutes.
pub async fn list(
    caller: Caller<ToolsRead>,
    PathId(id): PathId,
) -> Result<Json<Functions>, Problem> {
    let select = Select::from(col::TABLE, CALLED).filter(Filter::Eq(col::id, id));
    let tool: Stored = caller.find(select, "tool").await?;
    let (learned, stale) = current(&caller, &tool).await?;
    let now = clock::rfc3339(clock::now_us());
    let functions = learned.functions.into_iter();
    Ok(Json::ok(Functions {
        data: functions
            .map(|one| FunctionShown::of(one, &tool.permissions))
            .collect(),
        left_out: learned.left_out,
        functions_at: match (tool.kind, stale) {
            (Kind::Workflow, _) => None,
            (Kind::Mcp, false) => tool.functions_at.filter(|at| is_fresh(at)).or(Some(now)),
            _ => tool.functions_at,
        },
        stale,
    }))
}

fn is_fresh(at: &str) -> bool {
    let at = clock::parse_rfc3339(at).unwrap_or(0);
    clock::now_us() - at < FRESH_US
}

/// What a tool offers now, and whether that is only what was kept.
///
/// Errors: an MCP server that cannot be asked and never was; a deployment that there is not.
pub async fn current<S: Scope>(
    caller: &Caller<S>,
    tool: &Stored,
) -> Result<(Learned, bool), Problem> {
    let kept = || Learned {
        functions: tool.functions.clone(),
        left_out: tool.left_out.clone(),
        protocol: tool.protocol.clone(),
    };
    let asked_at = tool.functions_at.as_deref();
    if tool.kind == Kind::Mcp && asked_at.is_some_and(is_fresh) {
        return Ok((kept(), false));
    }
    let config = Config::read(tool.kind, &tool.config).map_err(|_| broken())?;
    match learn::ask(caller, tool, &config).await {
        Ok(learned) => Ok((learned, false)),
        // Better what it offered once than nothing: a viewer opens no secrets, a server may be away.
        Err(_) if tool.kind == Kind::Mcp && asked_at.is_some() => Ok((kept(), true)),
        Err(problem) => Err(problem),
    }
}

/// What is stored and can no longer be read: written past the API.
pub fn broken() -> Problem {
    Problem::conflict("the tool's configuration cannot be read; replace it")
}

/// Asks anew: an MCP server for its tools, the document's URL for the document.
pub async fn refresh(
    caller: Caller<ToolsWrite>,
    PathId(id): PathId,
) -> Result<Reply<Tool>, Problem> {
    let select = Select::from(col::TABLE, REFRESHED).filter(Filter::Eq(col::id, id.clone()));
    let mut tool: Stored = caller.find(select, "tool").await?;
    let config = Config::read(tool.kind, &tool.config).map_err(|_| broken())?;
    let mut row = json!({"functions_at": clock::rfc3339(clock::now_us())});
    match &config {
        Config::Openapi(config) => {
            let (document, base) = match config.document_url.as_deref() {
                Some(url) => (
                    learn::fetch_document(&caller, url).await?,
                    Url::parse(url).ok(),
                ),
                None => {
                    let kept = tool.document.take().unwrap_or_default();
                    (Document::of(kept).map_err(|_| broken())?, None)
                }
            };
            let read = read_openapi(&document, config, base.as_ref());
            let read =
                read.map_err(|f| Problem::does_not_fit(format!("{} {}", f.pointer, f.detail)))?;
            row["functions"] = json!(read.functions);
            row["left_out"] = json!(read.left_out);
            row["document"] = document.root().clone();
        }
        Config::Mcp(server) => {
            // Whatever it spoke before, it may speak something newer now.
            let learned = crate::remote::list(&caller, server, None).await?;
            row["functions"] = json!(learned.functions);
            row["left_out"] = json!(learned.left_out);
            row["protocol"] = json!(learned.protocol);
        }
        Config::Function(_) | Config::Workflow(_) => {
            let detail = "only tools of the kinds openapi and mcp are asked; the others say themselves what they are";
            return Err(Problem::does_not_fit(detail));
        }
    }
    let write = Write::new(Op::Update, col::TABLE, "tool", &id)
        .row(row)
        .expect_version(Some(tool.version))
        .returning(SHOWN)
        .audit("tool.refreshed", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
