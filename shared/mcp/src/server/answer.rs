//! From a request to its answer.

use super::{Call, Outlet, Provider, Request};
use crate::header;
use crate::meta;
use crate::rpc::{self, RpcError, code};
use crate::version::{self, Era};
use serde_json::{Map, Value, json};
use std::cell::Cell;

/// An answer of HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its status, where nothing has been sent before.
    pub status: u16,
    /// Its message; none for 202.
    pub body: Option<Value>,
    /// `Allow`, for 405.
    pub allow: Option<&'static str>,
}

impl Answer {
    /// 202: a message that wants no answer.
    pub fn accepted() -> Self {
        Self {
            status: 202,
            body: None,
            allow: None,
        }
    }

    /// An error that the transport prescribes.
    pub fn refusal(status: u16, id: Option<&Value>, error: &RpcError) -> Self {
        Self {
            status,
            body: Some(match id {
                Some(id) => rpc::refusal(Some(id), error),
                // An answer to nothing that could be read has no id.
                None => json!({"jsonrpc": "2.0", "error": error}),
            }),
            allow: None,
        }
    }

    pub(crate) fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }
}

/// Methods whose answers clients may keep.
const CACHEABLE: [&str; 6] = [
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
];

/// Methods that the handshake and its sessions had.
const REMOVED: [&str; 5] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
];

/// Answers a request. Notifications that belong to it go to `out` before.
pub async fn answer<P: Provider>(provider: &P, request: &Request, out: &dyn Outlet) -> Answer {
    let call = Call {
        method: &request.method,
        params: &request.params,
        era: request.era,
        version: request.version,
        id: &request.id,
        out,
        open: Cell::new(true),
    };
    let result = match request.era {
        Era::Modern => modern(provider, request, &call).await,
        Era::Legacy => legacy(provider, &call).await,
    };
    let status = match (&result, request.era) {
        (Err(error), Era::Modern) => error.status(),
        // Before 2026-07-28 a request that could be read is a 200, whatever came of it.
        _ => 200,
    };
    Answer {
        status,
        body: Some(rpc::answer(&request.id, result)),
        allow: None,
    }
}

async fn modern<P: Provider>(
    provider: &P,
    request: &Request,
    call: &Call<'_>,
) -> Result<Value, RpcError> {
    if REMOVED.contains(&call.method) {
        return Err(RpcError::method_not_found(call.method));
    }
    let result = match call.method {
        "server/discover" => discover(provider),
        "subscriptions/listen" => listen(provider, call).await?,
        "tools/call" => {
            fields_agree(provider, request, call).await?;
            shared(provider, call).await?
        }
        _ => shared(provider, call).await?,
    };
    finished(provider, call.method, result)
}

async fn legacy<P: Provider>(provider: &P, call: &Call<'_>) -> Result<Value, RpcError> {
    match call.method {
        "initialize" => Ok(initialize(provider, call)),
        "ping" => Ok(json!({})),
        // Nothing is kept, so that every message is sent.
        "logging/setLevel" if provider.capabilities(Era::Legacy).get("logging").is_some() => {
            Ok(json!({}))
        }
        _ => {
            let mut result = shared(provider, call).await?;
            if let Some(map) = result.as_object_mut() {
                map.remove("resultType");
            }
            Ok(result)
        }
    }
}

/// What both eras have.
async fn shared<P: Provider>(provider: &P, call: &Call<'_>) -> Result<Value, RpcError> {
    match call.method {
        "tools/list" => {
            if call.params.get("cursor").is_some_and(|c| !c.is_string()) {
                return Err(RpcError::params("cursor must be a text"));
            }
            provider.list_tools(call.text("cursor")).await
        }
        "tools/call" => {
            if call.text("name").is_none() {
                return Err(RpcError::params("name is required"));
            }
            let arguments = call.params.get("arguments");
            match arguments.is_none_or(|a| a.is_object() || a.is_null()) {
                true => provider.call_tool(call).await,
                false => Err(RpcError::params("arguments must be an object")),
            }
        }
        method => match provider.other(call).await {
            Some(result) => result,
            None => Err(RpcError::method_not_found(method)),
        },
    }
}

fn discover<P: Provider>(provider: &P) -> Value {
    let mut result = json!({"supportedVersions": [version::MODERN],
        "capabilities": provider.capabilities(Era::Modern)});
    if let Some(instructions) = provider.instructions() {
        result["instructions"] = json!(instructions);
    }
    result
}

fn initialize<P: Provider>(provider: &P, call: &Call<'_>) -> Value {
    let asked = call.text("protocolVersion").unwrap_or_default();
    let mut result = json!({"protocolVersion": version::negotiate(asked),
        "capabilities": provider.capabilities(Era::Legacy), "serverInfo": provider.info()});
    if let Some(instructions) = provider.instructions() {
        result["instructions"] = json!(instructions);
    }
    result
}

/// Holds a subscription open: the acknowledgement first, then what the provider tells.
async fn listen<P: Provider>(provider: &P, call: &Call<'_>) -> Result<Value, RpcError> {
    let filter = match call.params.get("notifications") {
        Some(Value::Object(filter)) => filter.clone(),
        None => Map::new(),
        Some(_) => return Err(RpcError::params("notifications must be an object")),
    };
    let honoured = provider.honoured(&filter);
    let honoured = honoured.ok_or_else(|| RpcError::method_not_found(call.method))?;
    let mut said = Map::new();
    said.insert("notifications".to_owned(), Value::Object(honoured.clone()));
    call.change("notifications/subscriptions/acknowledged", said);
    provider.changes(&honoured, call).await;
    Ok(json!({"_meta": {meta::SUBSCRIPTION: call.id}}))
}

/// `Mcp-Param-…` against the arguments, for tools whose schema marks some.
async fn fields_agree<P: Provider>(
    provider: &P,
    request: &Request,
    call: &Call<'_>,
) -> Result<(), RpcError> {
    let Some(schema) = provider.input_schema(call.name()).await else {
        return Ok(());
    };
    let arguments = call.arguments();
    for one in header::marked(&schema).unwrap_or_default() {
        let field = request.headers.get(&one.field);
        let text = field.map(|value| value.to_str().unwrap_or("\u{fffd}"));
        one.agrees(text, &arguments).map_err(|why| {
            RpcError::new(code::HEADER_MISMATCH, format!("Header mismatch: {why}"))
        })?;
    }
    Ok(())
}

/// What every result since 2026-07-28 has.
fn finished<P: Provider>(provider: &P, method: &str, result: Value) -> Result<Value, RpcError> {
    let Value::Object(mut map) = result else {
        return Err(RpcError::new(code::INTERNAL, "Internal error"));
    };
    let complete = map.entry("resultType").or_insert(json!("complete")) == "complete";
    if complete && CACHEABLE.contains(&method) {
        let fresh = provider.freshness(method);
        let scope = if fresh.public { "public" } else { "private" };
        map.entry("ttlMs").or_insert(json!(fresh.ttl_ms));
        map.entry("cacheScope").or_insert(json!(scope));
    }
    let own = map.entry("_meta").or_insert(json!({}));
    if let Some(own) = own.as_object_mut() {
        own.insert(meta::SERVER_INFO.to_owned(), provider.info());
    }
    Ok(Value::Object(map))
}
