//! Tools as they are stored, and as the API shows them.

use nodeai_store::Column;
use nodeai_toolkit::function::Function;
use nodeai_toolkit::openapi::LeftOut;
use nodeai_toolkit::permissions::Permissions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Tools.
    tools {
        id: Uuid, name: Text, kind: Text, description: Text, config: Json, permissions: Json, limits: Json, enabled: Bool,
        functions: Json, functions_at: Time, left_out: Json, document: Json, protocol: Text, version: Int,
        created_at: Time, updated_at: Time,
    }
}

use tools as col;

/// What is shown of a tool.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::kind,
    col::description,
    col::config,
    col::permissions,
    col::limits,
    col::enabled,
    col::functions_at,
    col::protocol,
    col::version,
    col::created_at,
    col::updated_at,
];

/// What a call needs of it.
pub const CALLED: &[Column] = &[
    col::id,
    col::name,
    col::kind,
    col::description,
    col::config,
    col::permissions,
    col::limits,
    col::enabled,
    col::functions,
    col::functions_at,
    col::left_out,
    col::protocol,
    col::version,
];

/// What a refresh needs of it beside.
pub const REFRESHED: &[Column] = &[
    col::id,
    col::name,
    col::kind,
    col::description,
    col::config,
    col::permissions,
    col::limits,
    col::enabled,
    col::functions,
    col::functions_at,
    col::left_out,
    col::protocol,
    col::version,
    col::document,
];

/// What a tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A function that an HTTP endpoint answers.
    Function,
    /// The operations of an OpenAPI document.
    Openapi,
    /// The tools of an MCP server.
    Mcp,
    /// A deployed workflow.
    Workflow,
}

impl Kind {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Openapi => "openapi",
            Self::Mcp => "mcp",
            Self::Workflow => "workflow",
        }
    }
}

/// How long a call may take, and how much it may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// For one call, ms: 100 to 25,000.
    pub timeout_ms: u64,
    /// Most bytes of an answer: 1 KiB to 4 MiB.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout_ms: 20_000,
            max_bytes: 1 << 20,
        }
    }
}

/// A registered tool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Id (UUIDv7).
    pub id: String,
    /// Its name, unique in the organisation.
    pub name: String,
    /// What it is; this does not change.
    pub kind: Kind,
    /// What it is good for.
    pub description: Option<String>,
    /// How it is reached, by its kind.
    pub config: Map<String, Value>,
    /// Who may call what of it.
    pub permissions: Permissions,
    /// How long a call may take, and how much it may bring.
    pub limits: Limits,
    /// Whether it may be called.
    pub enabled: bool,
    /// When it was last asked what it offers, RFC 3339; null when never.
    pub functions_at: Option<String>,
    /// The revision of the protocol that an MCP server speaks, once that is known.
    pub protocol: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A tool as calls see it.
#[derive(Debug, Clone, Deserialize)]
pub struct Stored {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What it is good for.
    #[serde(default)]
    pub description: Option<String>,
    /// How it is reached.
    pub config: Value,
    /// Who may call what.
    pub permissions: Permissions,
    /// How long and how much.
    pub limits: Limits,
    /// Whether it may be called.
    pub enabled: bool,
    /// What it offers, as far as that is kept.
    pub functions: Vec<Function>,
    /// Since when.
    #[serde(default)]
    pub functions_at: Option<String>,
    /// What it has beside and cannot be called.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// The revision that an MCP server speaks.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Its version.
    pub version: i64,
    /// The OpenAPI document, where it was asked for.
    #[serde(default)]
    pub document: Option<Value>,
}

/// A function as the API shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FunctionShown {
    /// Its name, unique within its tool.
    pub name: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// JSON Schema of its output; absent where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Hints: `readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// Whether the tool's permissions let it be called.
    pub enabled: bool,
}

impl FunctionShown {
    /// A function of a tool.
    pub fn of(function: Function, permissions: &Permissions) -> Self {
        let enabled = permissions.permits(&function).is_ok();
        Self {
            name: function.name,
            title: function.title,
            description: function.description,
            input_schema: function.input_schema,
            output_schema: function.output_schema,
            annotations: function.annotations,
            enabled,
        }
    }
}
