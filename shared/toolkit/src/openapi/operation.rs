//! How one operation is called: what is kept of it beside its function.

use serde::{Deserialize, Serialize};

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header field.
    Header,
    /// In a cookie.
    Cookie,
}

/// How a value with structure is written (OpenAPI 3.1, section 4.8.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `a,b`
    Simple,
    /// `name=a&name=b`, or `name=a,b` unless exploded.
    Form,
    /// `name=a%20b`
    SpaceDelimited,
    /// `name=a|b`
    PipeDelimited,
    /// `name[x]=a`
    DeepObject,
    /// `.a.b`
    Label,
    /// `;name=a`
    Matrix,
    /// As JSON (`content` in place of `schema`).
    Json,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name on the wire.
    pub name: String,
    /// The argument that it takes.
    pub argument: String,
    /// Where it stands.
    pub place: Place,
    /// How it is written.
    pub style: Style,
    /// Whether each part is written with its name.
    pub explode: bool,
}

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A text as it is.
    Text,
}

/// The body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The argument that it takes.
    pub argument: String,
    /// Its media type.
    pub media: String,
    /// How it is written.
    pub encoding: Encoding,
}

/// What a security scheme asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemeKind {
    /// A key in a header field, a query parameter or a cookie.
    ApiKey {
        /// Where.
        place: Place,
        /// Its name there.
        name: String,
    },
    /// `Authorization: Basic`.
    Basic,
    /// `Authorization: Bearer`, OAuth 2.0 and OpenID Connect too.
    Bearer,
    /// Anything else.
    Other,
}

/// A security scheme of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    /// Its name in the document.
    pub name: String,
    /// What it asks for.
    pub kind: SchemeKind,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Method, in capitals.
    pub method: String,
    /// Path with `{parameters}`.
    pub path: String,
    /// The server that the document names for it, without a slash at its end.
    pub server: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Alternatives, each a list of schemes that count together; none at all where it is open to everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security: Vec<Vec<Scheme>>,
}
