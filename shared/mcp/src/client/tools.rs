//! Tools of a server: listed, and called.

use super::{Client, Fault, Transport};
use crate::header::{self, Marked};
use crate::rpc::{RpcError, code};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Most pages of a list, and most tools.
const MOST_PAGES: usize = 50;
const MOST_TOOLS: usize = 1_000;
/// How often a tool may ask for more before it has to answer.
const MOST_ROUNDS: usize = 10;

/// A tool as its server describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    #[serde(default)]
    pub input_schema: Value,
    /// JSON Schema of its structured output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Hints, such as `readOnlyHint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

/// A server's tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Those that can be called.
    pub tools: Vec<Tool>,
    /// Those that cannot: names, and why.
    pub left_out: Vec<(String, String)>,
    /// How long the list stays as it is, ms; none where the server does not say.
    pub ttl_ms: Option<u64>,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// Blocks of content.
    pub content: Vec<Value>,
    /// The structured output, where there is one.
    pub structured: Option<Value>,
    /// Whether the tool says that it failed.
    pub is_error: bool,
}

/// Gives tools the input that they ask for in the middle of a call.
#[allow(async_fn_in_trait)]
pub trait Inputs {
    /// The client's result for a request such as `elicitation/create`; none if there is nobody to ask.
    async fn answer(&self, request: &Value) -> Option<Value>;
}

/// Nobody to ask.
pub struct NoInputs;

impl Inputs for NoInputs {
    async fn answer(&self, _: &Value) -> Option<Value> {
        None
    }
}

impl<T: Transport> Client<'_, T> {
    /// All tools. Those with marks that the protocol forbids are left out, as it asks for.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn list_tools(&self) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        let mut cursor: Option<Value> = None;
        for _ in 0..MOST_PAGES {
            let mut params = Map::new();
            if let Some(cursor) = cursor.take() {
                params.insert("cursor".to_owned(), cursor);
            }
            let page = self.request("tools/list", params, &[]).await?;
            let ttl = page["ttlMs"].as_u64();
            listing.ttl_ms = listing
                .ttl_ms
                .map_or(ttl, |least| ttl.map(|ttl| ttl.min(least)));
            let Some(tools) = page["tools"].as_array() else {
                return Err(Fault::Protocol("tools/list has no tools".to_owned()));
            };
            for tool in tools {
                listing.take(tool);
            }
            match page.get("nextCursor").filter(|next| next.is_string()) {
                Some(next) if listing.tools.len() < MOST_TOOLS => cursor = Some(next.clone()),
                _ => break,
            }
        }
        listing.tools.truncate(MOST_TOOLS);
        Ok(listing)
    }

    /// Calls a tool. `schema` is its input schema, for the parameters that go into header fields too; a server that finds
    /// those missing is asked for its tools anew.
    ///
    /// # Errors
    /// See [`Fault`]. A tool that fails is a result.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: &Value,
        schema: Option<&Value>,
        inputs: &impl Inputs,
    ) -> Result<CallResult, Fault> {
        let marks = schema.map(|schema| header::marked(schema).unwrap_or_default());
        let called = self
            .rounds(name, arguments, &marks.unwrap_or_default(), inputs)
            .await;
        match called {
            Err(Fault::Rpc(RpcError {
                code: code::HEADER_MISMATCH,
                ..
            })) => {
                let listing = self.list_tools().await?;
                let tool = listing.tools.into_iter().find(|tool| tool.name == name);
                let marks = tool.map(|tool| header::marked(&tool.input_schema));
                let marks = marks.and_then(Result::ok).unwrap_or_default();
                self.rounds(name, arguments, &marks, inputs).await
            }
            other => other,
        }
    }

    /// Calls until the tool asks for nothing more.
    async fn rounds(
        &self,
        name: &str,
        arguments: &Value,
        marks: &[Marked],
        inputs: &impl Inputs,
    ) -> Result<CallResult, Fault> {
        let fields: Vec<(String, String)> = marks
            .iter()
            .filter_map(|mark| Some((mark.field.clone(), mark.field_value(arguments)?)))
            .collect();
        let mut more = Map::new();
        for _ in 0..MOST_ROUNDS {
            let mut params = Map::new();
            params.insert("name".to_owned(), json!(name));
            params.insert("arguments".to_owned(), arguments.clone());
            params.extend(more);
            let result = self.request("tools/call", params, &fields).await?;
            match result.get("resultType").and_then(Value::as_str) {
                None | Some("complete") => return CallResult::read(result),
                Some("input_required") => more = given(&result, inputs).await?,
                Some(other) => {
                    let why = format!("a result of the type {other:?}");
                    return Err(Fault::Protocol(why));
                }
            }
        }
        let why = "the tool does not stop asking for input";
        Err(Fault::InputRequired(why.to_owned()))
    }
}

/// What the next round says beside what the first has said.
async fn given(result: &Value, inputs: &impl Inputs) -> Result<Map<String, Value>, Fault> {
    let mut more = Map::new();
    if let Some(Value::Object(requests)) = result.get("inputRequests") {
        let mut responses = Map::new();
        for (key, request) in requests {
            let answer = inputs.answer(request).await;
            let method = request["method"].as_str().unwrap_or("something");
            let answer = answer.ok_or_else(|| Fault::InputRequired(method.to_owned()))?;
            responses.insert(key.clone(), answer);
        }
        more.insert("inputResponses".to_owned(), Value::Object(responses));
    }
    if let Some(state) = result.get("requestState") {
        more.insert("requestState".to_owned(), state.clone());
    }
    match more.is_empty() {
        true => Err(Fault::Protocol(
            "it asks for input without saying which".to_owned(),
        )),
        false => Ok(more),
    }
}

impl Listing {
    fn take(&mut self, tool: &Value) {
        let name = tool["name"].as_str().unwrap_or_default().to_owned();
        let read: Result<Tool, _> = serde_json::from_value(tool.clone());
        let checked = read.map_err(|error| error.to_string()).and_then(|tool| {
            header::marked(&tool.input_schema)?;
            Ok(tool)
        });
        match checked {
            Ok(tool) => self.tools.push(tool),
            Err(why) => self.left_out.push((name, why)),
        }
    }
}

impl CallResult {
    fn read(mut result: Value) -> Result<Self, Fault> {
        let content = match result.get_mut("content").map(Value::take) {
            Some(Value::Array(content)) => content,
            None => Vec::new(),
            Some(_) => return Err(Fault::Protocol("content is no list".to_owned())),
        };
        Ok(Self {
            content,
            structured: result.get_mut("structuredContent").map(Value::take),
            is_error: result["isError"] == true,
        })
    }

    /// All texts among the content, one below the other.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter(|block| block["type"] == "text");
        let texts: Vec<&str> = texts.filter_map(|block| block["text"].as_str()).collect();
        texts.join("\n")
    }
}
