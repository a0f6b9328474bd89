//! JSON-RPC 2.0 as the protocol uses it: messages, errors and their codes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Codes of errors.
pub mod code {
    /// The body is not JSON.
    pub const PARSE: i64 = -32_700;
    /// It is JSON, but no message.
    pub const INVALID_REQUEST: i64 = -32_600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32_601;
    /// Parameters that the method does not take; since 2026-07-28 also a resource that there is not.
    pub const INVALID_PARAMS: i64 = -32_602;
    /// A defect of the server.
    pub const INTERNAL: i64 = -32_603;
    /// A resource that there is not, until 2025-11-25.
    pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32_002;
    /// Header fields and body do not agree.
    pub const HEADER_MISMATCH: i64 = -32_020;
    /// The client has not said that it can do what this needs.
    pub const MISSING_CAPABILITY: i64 = -32_021;
    /// The revision is not spoken here.
    pub const UNSUPPORTED_VERSION: i64 = -32_022;
}

/// An error of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of [`code`], or the other side's own.
    pub code: i64,
    /// For a person.
    #[serde(default)]
    pub message: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The same with data.
    pub fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// Parameters that the method does not take.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// A method that there is not.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            code::METHOD_NOT_FOUND,
            format!("Method not found: {method}"),
        )
    }

    /// Capabilities of clients that a request needs; names of `ClientCapabilities`.
    pub fn missing_capabilities(names: &[&str]) -> Self {
        let needed: Map<String, Value> = names.iter().map(|n| ((*n).into(), json!({}))).collect();
        let message = format!("Missing required client capability: {}", names.join(", "));
        Self::new(code::MISSING_CAPABILITY, message).with(json!({"requiredCapabilities": needed}))
    }

    /// Whether only servers since 2026-07-28 say this.
    pub fn is_modern(&self) -> bool {
        matches!(
            self.code,
            code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION
        )
    }

    /// The status of an answer that is this error, since 2026-07-28.
    pub fn status(&self) -> u16 {
        match self.code {
            code::METHOD_NOT_FOUND => 404,
            code::PARSE
            | code::INVALID_REQUEST
            | code::INVALID_PARAMS
            | code::HEADER_MISMATCH
            | code::MISSING_CAPABILITY
            | code::UNSUPPORTED_VERSION => 400,
            _ => 200,
        }
    }
}

/// A message from the other side.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// It wants an answer.
    Request {
        /// A text or a whole number.
        id: Value,
        /// Which.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// It wants none.
    Notification {
        /// Which.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// An answer.
    Response {
        /// To which request; none where that could not be read.
        id: Option<Value>,
        /// What came of it.
        result: Result<Value, RpcError>,
    },
}

/// What cannot be read, and to which request that is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// The id, where there was one.
    pub id: Option<Value>,
    /// Why.
    pub error: RpcError,
}

fn is_id(value: &Value) -> bool {
    value.is_string() || value.is_i64() || value.is_u64()
}

/// Reads a message.
///
/// # Errors
/// It is none.
pub fn read(value: Value) -> Result<Message, Unreadable> {
    let id = value.get("id").filter(|id| is_id(id)).cloned();
    let wrong = |why: &str| Unreadable {
        id: id.clone(),
        error: RpcError::new(code::INVALID_REQUEST, why),
    };
    let Value::Object(mut map) = value else {
        return Err(wrong("a message is an object"));
    };
    if map.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(wrong("jsonrpc must be \"2.0\""));
    }
    if let Some(method) = map.remove("method") {
        let Value::String(method) = method else {
            return Err(wrong("method must be a text"));
        };
        let params = match map.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(wrong("params must be an object")),
        };
        return match map.remove("id") {
            None => Ok(Message::Notification { method, params }),
            Some(id) if is_id(&id) => Ok(Message::Request { id, method, params }),
            Some(_) => Err(wrong("id must be a text or a whole number")),
        };
    }
    let result = match (map.remove("result"), map.remove("error")) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => {
            Err(serde_json::from_value(error).map_err(|_| wrong("error must have a code"))?)
        }
        _ => return Err(wrong("neither a request nor an answer")),
    };
    Ok(Message::Response { id, result })
}

/// A request.
pub fn request(id: &Value, method: &str, params: Map<String, Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A notification.
pub fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// An answer.
pub fn answer(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

/// An error that answers no request that could be read. JSON-RPC wants null for its id.
pub fn refusal(id: Option<&Value>, error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let kind = |value: Value| match read(value) {
            Ok(Message::Request { .. }) => "request",
            Ok(Message::Notification { .. }) => "notification",
            Ok(Message::Response { .. }) => "response",
            Err(_) => "none",
        };
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "id": 1, "method": "a"})),
            "request"
        );
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "method": "a"})),
            "notification"
        );
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "id": 1, "result": {}})),
            "response"
        );
        for none in [
            json!([]),
            json!({"id": 1, "method": "a"}),
            json!({"jsonrpc": "2.0", "id": null, "method": "a"}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "a", "params": [1]}),
            json!({"jsonrpc": "2.0", "id": 1}),
            json!({"jsonrpc": "2.0", "id": 1.5, "method": "a"}),
        ] {
            assert_eq!(kind(none.clone()), "none", "{none}");
        }
    }

    #[test]
    fn a_bad_message_is_refused_under_its_own_id() {
        let wrong = read(json!({"id": "x", "method": "a"})).unwrap_err();
        assert_eq!(wrong.id, Some(json!("x")));
    }
}
