//! One request for each item of a list, some at a time.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{HttpCall, read_config};
use crate::log::{CallMeta, NodeError};
use crate::nodes::{Call, Effect, Outcome};

/// Names that a request's fields see beside the common ones.
pub(super) const NAMES: [&str; 2] = ["item", "index"];

/// Most items, and most bytes of all answers together.
const MOST_ITEMS: usize = 10_000;
const MOST_BYTES: usize = 20 * 1024 * 1024;

/// The schema of `batch`.
pub(super) fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["items"],
        "description": "One request for each item; url, headers, query and body see item and index",
        "properties": {
            "items": {"type": "array", "maxItems": MOST_ITEMS},
            "size": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": "How many at once"},
            "interval_ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "default": 0, "description": "Wait between batches"},
            "on_error": {"type": "string", "enum": ["fail", "keep"], "default": "fail", "description": "keep: a failed request's item has error instead of the answer"},
        },
    })
}

#[derive(Deserialize)]
struct Config {
    batch: Settings,
}

#[derive(Deserialize)]
struct Settings {
    items: Vec<Value>,
    size: Option<usize>,
    interval_ms: Option<u64>,
    on_error: Option<String>,
}

/// Requests that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpBatch {
    calls: Vec<HttpCall>,
    size: usize,
    interval_ms: u64,
    keep_errors: bool,
}

/// The call of a node with `batch`. Its other fields are rendered once per item.
pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut data = call.data.clone();
    let batch = data.shift_remove("batch").unwrap_or_default();
    if data.contains_key("pagination") {
        let message = "/pagination: does not go with batch".to_owned();
        return Err(NodeError::config(message));
    }
    let own = Map::from_iter([("batch".to_owned(), batch)]);
    let only = json!({"type": "object", "properties": {"batch": schema()}});
    let settings = call.with(&own, call.scope, &only).config::<Config>()?.batch;
    let mut scope = call.scope.for_items();
    let mut calls = Vec::with_capacity(settings.items.len());
    for (index, item) in settings.items.into_iter().enumerate() {
        scope.set_item(item, index);
        let one = call.with(&data, &scope, call.schema);
        let one = one.config().and_then(read_config);
        calls.push(one.map_err(|error| NodeError {
            message: format!("item {index}: {}", error.message),
            ..error
        })?);
    }
    Ok(Effect::HttpBatch(Box::new(HttpBatch {
        calls,
        size: settings.size.unwrap_or(10),
        interval_ms: settings.interval_ms.unwrap_or(0),
        keep_errors: settings.on_error.as_deref() == Some("keep"),
    })))
}

impl HttpBatch {
    /// The requests, as many at a time as may be sent at once.
    pub fn chunks(&self) -> impl Iterator<Item = &[HttpCall]> {
        self.calls.chunks(self.size.max(1))
    }

    /// How long to wait between two of them, in ms.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// What is known of it before the answers: the first request.
    pub fn meta(&self) -> CallMeta {
        self.calls.first().map(HttpCall::meta).unwrap_or_default()
    }

    /// Whether a request's failure ends it.
    pub fn ends_with(&self, result: &Result<Outcome, NodeError>) -> Option<NodeError> {
        result.as_ref().err().filter(|_| !self.keep_errors).cloned()
    }

    /// Takes one more answer to those before. `bytes` is what all have so far.
    ///
    /// # Errors
    /// When they are too many bytes together.
    pub fn take(
        &self,
        into: &mut Vec<Value>,
        bytes: &mut usize,
        result: Result<Outcome, NodeError>,
    ) -> Result<(), NodeError> {
        let item = match result {
            Ok(outcome) => outcome.output,
            Err(error) => json!({"error": {"kind": error.kind, "message": error.message}}),
        };
        let body = item.get("body").map_or(0, |body| body.to_string().len());
        *bytes = bytes.saturating_add(body);
        if *bytes > MOST_BYTES {
            let message = format!("the answers have more than {} MiB", MOST_BYTES >> 20);
            return Err(NodeError::new("response_too_large", message, false));
        }
        into.push(item);
        Ok(())
    }

    /// The node's output.
    pub fn finish(&self, items: Vec<Value>) -> Outcome {
        let failed = items.iter().filter(|item| item.get("error").is_some());
        let failed = failed.count();
        Outcome::new(json!({"items": items, "failed": failed}))
    }

    /// Everything on which the answers depend.
    pub(in crate::nodes) fn identity(&self) -> Value {
        let calls: Vec<Value> = self.calls.iter().map(HttpCall::identity).collect();
        json!([calls, self.keep_errors])
    }

    /// Whether one of them is made with what only some users may use.
    pub(in crate::nodes) fn is_personal(&self) -> bool {
        self.calls.iter().any(HttpCall::is_personal)
    }

    /// What is sent, for the log.
    pub(in crate::nodes) fn shown(&self) -> Value {
        const SHOWN: usize = 100;
        let shown = self.calls.iter().take(SHOWN).map(HttpCall::shown);
        json!({"requests": shown.collect::<Vec<_>>(), "count": self.calls.len()})
    }
}
