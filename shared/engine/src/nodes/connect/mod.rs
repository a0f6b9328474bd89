//! Nodes for well-known services: an operation and its fields instead of a URL and a body. Each is a request of the `http`
//! node's kind, so that the guard, connected accounts, retries and idempotency keys hold for it alike.

mod email;
mod github;
mod google_sheets;
mod notion;
mod slack;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::http::{self, Read, Sending};
use super::{Call, Effect, Kind, Spec, port};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::template::is_template;

/// The nodes of this family.
pub(super) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new(email::spec(), email::decide).checked(email::check),
        Kind::new(slack::SERVICE.spec(), slack::decide).checked(slack::check),
        Kind::new(github::SERVICE.spec(), github::decide).checked(github::check),
        Kind::new(notion::SERVICE.spec(), notion::decide).checked(notion::check),
        Kind::new(google_sheets::SERVICE.spec(), google_sheets::decide)
            .checked(google_sheets::check),
    ]
}

/// Rendered fields of a node.
type Fields = Map<String, Value>;

/// A service with operations.
struct Service {
    kind: &'static str,
    title: &'static str,
    description: &'static str,
    /// Where its API is, without a slash at the end.
    base: &'static str,
    /// Header fields of every request.
    headers: &'static [(&'static str, &'static str)],
    /// How an answer is judged.
    read: Read,
    operations: &'static [Operation],
    /// JSON Schemas of the operations' fields by name.
    fields: fn() -> Value,
    example: fn() -> Value,
}

/// Something that a service does.
struct Operation {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    request: fn(&Fields) -> Request,
}

/// A request of an operation.
struct Request {
    method: &'static str,
    /// Below the service's base.
    path: String,
    query: Fields,
    body: Option<Value>,
}

impl Service {
    fn spec(&self) -> Spec {
        let names: Vec<_> = self.operations.iter().map(|op| op.name).collect();
        let mut properties = json!({
            "operation": {"type": "string", "enum": names, "x-nodeai": "literal"},
            "connection": {"type": "string", "minLength": 1, "maxLength": 200,
                "description": "Id or name of a connected account"},
            "token": {"type": "string", "minLength": 1,
                "description": "Instead of a connection: an access token, such as {{ secrets.NAME }}"},
            "base_url": {"type": "string", "minLength": 1,
                "description": format!("Where the API is: {} unless given", self.base)},
        });
        if let (Some(all), Value::Object(fields)) = (properties.as_object_mut(), (self.fields)()) {
            all.extend(fields);
        }
        let operations = self.operations.iter().map(|op| {
            let optional = op.optional.iter().map(|name| format!("{name}?"));
            let fields: Vec<_> = op
                .required
                .iter()
                .map(ToString::to_string)
                .chain(optional)
                .collect();
            format!("{} ({})", op.name, fields.join(", "))
        });
        let operations: Vec<_> = operations.collect();
        Spec {
            kind: self.kind.into(),
            title: self.title.into(),
            description: format!(
                "{} Operations: {}.",
                self.description,
                operations.join("; ")
            ),
            category: "services".into(),
            config_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["operation"],
                "properties": properties,
            }),
            inputs: vec![port("input", "Runs after these nodes", json!({}))],
            outputs: vec![port("output", "What the service answered", json!({}))],
            example: (self.example)(),
        }
    }

    fn operation(&self, name: Option<&str>) -> Option<&'static Operation> {
        self.operations.iter().find(|op| Some(op.name) == name)
    }

    /// What the schema cannot say: which fields go with the operation, and that somebody must be known to the service.
    fn check(&self, data: &Fields, at: &str, faults: &mut Faults) {
        if data.contains_key("connection") == data.contains_key("token") {
            let words = "give either connection or token";
            faults.add(format!("{at}/connection"), "one_of", words);
        }
        let Some(op) = self.operation(data.get("operation").and_then(Value::as_str)) else {
            return;
        };
        for name in op.required.iter().filter(|name| !data.contains_key(**name)) {
            let words = format!("{} needs it", op.name);
            faults.add(format!("{at}/{name}"), "required", words);
        }
        let schemas = (self.fields)();
        let known = data
            .keys()
            .filter(|name| schemas.get(name.as_str()).is_some());
        for name in known {
            let taken = |list: &[&str]| list.contains(&name.as_str());
            if !taken(op.required) && !taken(op.optional) {
                let words = format!("does not go with {}", op.name);
                faults.add(format!("{at}/{name}"), "not_allowed", words);
            }
        }
        check_base(data, at, faults);
    }

    fn decide(&self, call: &Call<'_>) -> Result<Effect, NodeError> {
        let fields: Fields = call.config()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let op = self.operation(text("operation"));
        let op =
            op.ok_or_else(|| NodeError::config("/operation: there is no such one".to_owned()))?;
        let request = (op.request)(&fields);
        let base = text("base_url").unwrap_or(self.base).trim_end_matches('/');
        let mut headers = self.headers.to_vec();
        let bearer = text("token").map(|token| format!("Bearer {token}"));
        headers.extend(
            bearer
                .iter()
                .map(|bearer| ("authorization", bearer.as_str())),
        );
        http::service(Sending {
            method: request.method,
            url: &format!("{base}{}", request.path),
            query: &request.query,
            headers: &headers,
            body: request.body,
            connection: text("connection"),
            read: self.read,
        })
    }
}

/// Where the service of a node is unless its `base_url` says otherwise.
pub(crate) fn base(kind: &str, data: &Fields) -> Option<&'static str> {
    let services = [
        &slack::SERVICE,
        &github::SERVICE,
        &notion::SERVICE,
        &google_sheets::SERVICE,
    ];
    if kind == "email" {
        return data.get("provider")?.as_str().map(email::base);
    }
    let found = services.into_iter().find(|service| service.kind == kind);
    found.map(|service| service.base)
}

/// A URL that is written out must be one.
fn check_base(data: &Fields, at: &str, faults: &mut Faults) {
    let base = data.get("base_url").and_then(Value::as_str);
    if base.is_some_and(|base| !is_template(base) && url::Url::parse(base).is_err()) {
        let words = "must start with http:// or https://";
        faults.add(format!("{at}/base_url"), "bad_url", words);
    }
}

/// These fields, as far as they are given.
fn some(fields: &Fields, names: &[&str]) -> Fields {
    let given = names.iter().filter_map(|name| {
        let value = fields.get(*name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    given.collect()
}

/// A field as a part of a path. What belongs to the path's form (`/`, `..`) is part of the name.
fn part(fields: &Fields, name: &str) -> String {
    let text = match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
}

impl Request {
    fn get(path: impl Into<String>, query: Fields) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            query,
            body: None,
        }
    }

    fn send(method: &'static str, path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Fields::new(),
            body: Some(body.into()),
        }
    }
}

#[cfg(test)]
mod tests;
