//! The serving side: [`receive`] takes a request of HTTP apart, [`answer`] asks a [`Provider`] and makes the answer. Both
//! eras are served at one address, without sessions: nothing is kept between two requests.
//!
//! How a transport uses it: it reads the request, hands it to [`receive`], and for each [`Request`] runs [`answer`] with an
//! [`Outlet`]. When the outlet hears of a notification before the answer is there, the answer is a stream of events, else it
//! is plain JSON with the answer's own status.

mod answer;
mod receive;
mod stage;
#[cfg(test)]
mod tests;

pub use answer::{Answer, answer};
pub use receive::{Received, Request, Rules, receive};
pub use stage::{Actor, Played, event, stage};

use crate::rpc::RpcError;
use crate::{meta, rpc, version::Era};
use serde_json::{Map, Value, json};
use std::cell::Cell;

/// Where notifications go that belong to a request.
pub trait Outlet {
    /// Hands one on. False when nobody listens any more: the request was cancelled.
    fn notify(&self, notification: Value) -> bool;
}

/// An outlet that leads nowhere.
pub struct Nowhere;

impl Outlet for Nowhere {
    fn notify(&self, _: Value) -> bool {
        true
    }
}

/// How long and for whom clients may keep what a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds; 0 for not at all.
    pub ttl_ms: u64,
    /// Whether everybody sees the same.
    pub public: bool,
}

/// What a server offers.
#[allow(async_fn_in_trait)]
pub trait Provider {
    /// `Implementation`: name, version and perhaps a title.
    fn info(&self) -> Value;

    /// `ServerCapabilities` for an era.
    fn capabilities(&self, era: Era) -> Value;

    /// What a model should know of the server.
    fn instructions(&self) -> Option<String> {
        None
    }

    /// How fresh the answers of a method stay.
    fn freshness(&self, _method: &str) -> Freshness {
        Freshness {
            ttl_ms: 0,
            public: false,
        }
    }

    /// A page of tools, always in the same order: `{"tools", "nextCursor"?}`.
    ///
    /// # Errors
    /// -32602 for a cursor that is none.
    async fn list_tools(&self, cursor: Option<&str>) -> Result<Value, RpcError>;

    /// The schema of a tool's arguments, where header fields are to be compared with it.
    async fn input_schema(&self, _tool: &str) -> Option<Value> {
        None
    }

    /// Calls a tool: a `CallToolResult`, or an `InputRequiredResult` (with its `resultType`).
    ///
    /// # Errors
    /// -32602 for a tool that there is not. What goes wrong inside of a tool is a result with `isError`.
    async fn call_tool(&self, call: &Call<'_>) -> Result<Value, RpcError>;

    /// Any other method, such as `resources/read`. None: there is no such method.
    async fn other(&self, _call: &Call<'_>) -> Option<Result<Value, RpcError>> {
        None
    }

    /// What of a subscription is honoured: the same filter with what can be told. None: no subscriptions.
    fn honoured(&self, _filter: &Map<String, Value>) -> Option<Map<String, Value>> {
        None
    }

    /// Tells a subscription of changes by [`Call::change`] until nobody listens.
    async fn changes(&self, _honoured: &Map<String, Value>, _call: &Call<'_>) {}
}

/// A request as a provider sees it.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// Its parameters, `_meta` included.
    pub params: &'a Map<String, Value>,
    /// Its era.
    pub era: Era,
    /// Its revision.
    pub version: &'static str,
    pub(crate) id: &'a Value,
    pub(crate) out: &'a dyn Outlet,
    pub(crate) open: Cell<bool>,
}

/// Levels of log messages, the least first (RFC 5424).
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

impl Call<'_> {
    /// A member of `_meta`.
    pub fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }

    /// A text of the parameters.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// The tool's or prompt's name.
    pub fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// The arguments; an empty object where there are none.
    pub fn arguments(&self) -> Value {
        let given = self.params.get("arguments");
        given.filter(|v| !v.is_null()).cloned().unwrap_or(json!({}))
    }

    /// The client's answer to an input request of the round before.
    pub fn input(&self, key: &str) -> Option<&Value> {
        self.params.get("inputResponses")?.get(key)
    }

    /// What the round before wants to be reminded of.
    pub fn state(&self) -> Option<&str> {
        self.text("requestState")
    }

    /// Whether the client has said that it can do something. In the earlier eras that is said once, in a session, so that a
    /// server without sessions does not know: no.
    pub fn client_can(&self, capability: &str) -> bool {
        let can = self.meta(meta::CAPABILITIES);
        can.is_some_and(|all| all.get(capability).is_some())
    }

    /// Whether somebody still listens.
    pub fn open(&self) -> bool {
        self.open.get()
    }

    fn notify(&self, method: &str, params: Value) {
        let heard = self.out.notify(rpc::notification(method, params));
        self.open.set(self.open.get() && heard);
    }

    /// Reports progress, to clients that have asked for it.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = self.meta(meta::PROGRESS_TOKEN) else {
            return;
        };
        let mut params = json!({"progressToken": token, "progress": progress});
        if let Some(total) = total {
            params["total"] = json!(total);
        }
        if let Some(message) = message {
            params["message"] = json!(message);
        }
        self.notify("notifications/progress", params);
    }

    /// Sends a log message, to clients that want messages of this level.
    pub fn log(&self, level: &str, data: Value) {
        let rank = |name: &str| LEVELS.iter().position(|known| *known == name);
        let wanted = match (self.era, self.meta(meta::LOG_LEVEL).and_then(Value::as_str)) {
            (Era::Modern, Some(least)) => rank(level) >= rank(least),
            (Era::Modern, None) => false,
            // `logging/setLevel` would be kept in a session.
            (Era::Legacy, _) => true,
        };
        if wanted {
            self.notify(
                "notifications/message",
                json!({"level": level, "data": data}),
            );
        }
    }

    /// Tells a subscription of a change, such as `notifications/tools/list_changed`.
    pub fn change(&self, method: &str, mut params: Map<String, Value>) {
        let tag = json!({meta::SUBSCRIPTION: self.id});
        params.insert("_meta".to_owned(), tag);
        self.notify(method, Value::Object(params));
    }
}
