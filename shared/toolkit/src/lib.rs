//! Tools that agents and workflows can call, without I/O.
//!
//! - [`function`] is what a tool offers: a name, a schema of its arguments, hints.
//! - [`endpoint`] makes a request of arguments, for a plain function that an endpoint of the user's answers.
//! - [`openapi`] makes functions of an OpenAPI 3.0 or 3.1 document, and requests of their arguments.
//! - [`credential`] puts secrets into requests; [`template`] is `{{ secrets.NAME }}`.
//! - [`schema`] checks arguments and outputs against JSON Schema.
//! - [`permissions`] says who may call what; [`output`] reads what came back; [`workflow`] is a workflow as a function.

pub mod credential;
pub mod endpoint;
pub mod function;
pub mod openapi;
pub mod output;
pub mod permissions;
pub mod request;
pub mod schema;
pub mod template;
pub mod workflow;

/// Something wrong at a place of what was given.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Fault {
    /// RFC 6901 JSON pointer, relative to what was checked.
    pub pointer: String,
    /// Stable word, such as `required` or `format`.
    pub code: String,
    /// For a person.
    pub detail: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

/// RFC 6901 escaping of one reference token.
pub(crate) fn token(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}
