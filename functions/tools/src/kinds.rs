//! A tool to be registered or replaced: its input, its rules, and the row that it becomes.

use crate::config::{self, Config};
use crate::learn::{self, Learned};
use crate::model::{Kind, Limits};
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_toolkit::Fault;
use nodeai_toolkit::function::{Function, annotations_of, is_name};
use nodeai_toolkit::openapi::{Document, read as read_openapi};
use nodeai_toolkit::permissions::Permissions;
use nodeai_toolkit::schema::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

/// A tool.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolInput {
    /// 1 to 64 of letters, digits, `_` and `-`, without `__`; unique in the organisation.
    name: String,
    /// What it is; a replacement keeps it.
    pub kind: Kind,
    /// What it is good for, at most 10,000 characters; models read it.
    #[serde(default)]
    description: Option<String>,
    /// By kind. `function`: `{url, method?, headers?, query?, arguments?, auth?, output_at?}`; `openapi`: `{document_url?,
    /// server?, operations?, security?, auth?, headers?}`; `mcp`: `{url, auth?, headers?}`; `workflow`: `{deployment,
    /// environment?}`. `auth` is one of `{connection}`, `{bearer}`, `{header}`, `{query}`, `{basic}`, `{client_credentials}`
    /// and names secrets, never their values.
    pub config: Map<String, Value>,
    /// JSON Schema of the arguments, for `function`; any object unless given.
    #[serde(default)]
    input_schema: Option<Value>,
    /// JSON Schema of the output, for `function`.
    #[serde(default)]
    output_schema: Option<Value>,
    /// Hints such as `{"readOnlyHint": true}`, for `function`; by its method unless given.
    #[serde(default)]
    annotations: Option<Map<String, Value>>,
    /// The OpenAPI document, for `openapi`: an object, or JSON or YAML as a text. Either this or `config.document_url`.
    #[serde(default)]
    document: Option<Value>,
    /// Who may call what; all functions for editors unless given.
    #[serde(default)]
    permissions: Permissions,
    /// Limits of a call.
    #[serde(default)]
    limits: Limits,
    /// Whether it may be called.
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl Check for ToolInput {
    fn check(&self, c: &mut Checker) {
        let named = is_name(&self.name) && !self.name.contains("__");
        let detail = "1 to 64 of letters, digits, _ and -, without __";
        c.require(named && self.name != "workflow", "/name", "format", detail);
        if let Some(text) = &self.description {
            c.length(text, 0, 10_000, "/description");
        }
        check_permissions(c, &self.permissions);
        check_limits(c, self.limits);
        for (pointer, given, kind) in [
            ("/input_schema", self.input_schema.is_some(), Kind::Function),
            (
                "/output_schema",
                self.output_schema.is_some(),
                Kind::Function,
            ),
            ("/annotations", self.annotations.is_some(), Kind::Function),
            ("/document", self.document.is_some(), Kind::Openapi),
        ] {
            let detail = format!("only tools of the kind {} have it", kind.as_str());
            c.require(!given || self.kind == kind, pointer, "unsupported", &detail);
        }
        if self.kind == Kind::Openapi {
            let one = self.document.is_some() != self.config.contains_key("document_url");
            let detail = "give either document or config.document_url";
            c.require(one, "/document", "one_of", detail);
        }
    }
}

/// Rules of permissions.
pub fn check_permissions(c: &mut Checker, permissions: &Permissions) {
    let mut faults = Vec::new();
    permissions.check("/permissions", &mut faults);
    for fault in faults {
        c.report(FieldError::body(fault.pointer, &fault.code, fault.detail));
    }
}

/// Rules of limits.
pub fn check_limits(c: &mut Checker, limits: Limits) {
    let time = (100..=25_000).contains(&limits.timeout_ms);
    c.require(time, "/limits/timeout_ms", "out_of_range", "100 to 25000");
    let size = (1_024..=4 << 20).contains(&limits.max_bytes);
    c.require(size, "/limits/max_bytes", "out_of_range", "1024 to 4194304");
}

/// A tool's row.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    description: Option<String>,
    config: Map<String, Value>,
    input_schema: Option<Value>,
    output_schema: Option<Value>,
    permissions: Permissions,
    limits: Limits,
    enabled: bool,
    functions: Value,
    functions_at: Option<String>,
    left_out: Value,
    document: Option<Value>,
    /// What another server spoke says nothing of this one.
    protocol: Option<String>,
}

impl ToolInput {
    /// Checks the configuration and makes the row; a document by URL is fetched.
    ///
    /// Errors: 400 with each wrong field; 422 where a document cannot be had.
    pub async fn row<S: Scope>(self, caller: &Caller<S>) -> Result<Row, Problem> {
        let config = Config::read(self.kind, &Value::Object(self.config.clone()))?;
        let mut faults = Vec::new();
        let schema = self
            .input_schema
            .clone()
            .unwrap_or(json!({"type": "object"}));
        config.check(&schema, &mut faults);
        if self.kind == Kind::Function {
            check_schemas(&schema, self.output_schema.as_ref(), &mut faults);
        }
        config::refuse(faults)?;
        config.may_be_called(&caller.cx).await?;
        let (learned, document) = self.offers(caller, &config, schema).await?;
        let known = !matches!(self.kind, Kind::Mcp | Kind::Workflow);
        Ok(Row {
            name: self.name,
            description: self.description,
            config: self.config,
            input_schema: self.input_schema,
            output_schema: self.output_schema,
            permissions: self.permissions,
            limits: self.limits,
            enabled: self.enabled,
            functions: json!(learned.functions),
            functions_at: known.then(|| clock::rfc3339(clock::now_us())),
            left_out: json!(learned.left_out),
            document,
            protocol: None,
        })
    }

    /// What it offers, as far as that is known without asking anybody but for a document.
    async fn offers<S: Scope>(
        &self,
        caller: &Caller<S>,
        config: &Config,
        schema: Value,
    ) -> Result<(Learned, Option<Value>), Problem> {
        match config {
            Config::Function(endpoint) => {
                let mut hints = annotations_of(endpoint.method.as_str());
                if let (Some(hints), Some(own)) = (hints.as_object_mut(), &self.annotations) {
                    hints.extend(own.clone());
                }
                let function = Function {
                    name: self.name.clone(),
                    title: None,
                    description: self.description.clone(),
                    input_schema: schema,
                    output_schema: self.output_schema.clone(),
                    annotations: Some(hints),
                    operation: None,
                };
                Ok((Learned::of(vec![function]), None))
            }
            Config::Openapi(config) => {
                let (document, base) = match &self.document {
                    Some(given) => (given_document(given)?, None),
                    None => {
                        let url = config.document_url.as_deref().unwrap_or_default();
                        let document = learn::fetch_document(caller, url).await?;
                        (document, Url::parse(url).ok())
                    }
                };
                let read = read_openapi(&document, config, base.as_ref());
                let read = read.map_err(|fault| at_document(&fault))?;
                let learned = Learned {
                    functions: read.functions,
                    left_out: read.left_out,
                    ..Learned::default()
                };
                if learned.functions.is_empty() {
                    let why = learned
                        .left_out
                        .first()
                        .map(|one| format!("{}: {}", one.name, one.reason));
                    let why = why
                        .unwrap_or_else(|| "it has no operations that were asked for".to_owned());
                    return Err(at_document(&Fault::new("", "empty", why)));
                }
                Ok((learned, Some(document.root().clone())))
            }
            Config::Mcp(_) | Config::Workflow(_) => Ok((Learned::default(), None)),
        }
    }
}

fn check_schemas(input: &Value, output: Option<&Value>, faults: &mut Vec<Fault>) {
    let mut check = |schema: &Value, at: &str| {
        if let Err(fault) = Schema::read(schema) {
            faults.push(Fault::new(
                format!("{at}{}", fault.pointer),
                &fault.code,
                fault.detail,
            ));
        }
    };
    check(input, "/input_schema");
    if let Some(output) = output {
        check(output, "/output_schema");
    }
    // Arguments are an object, whatever the schema says: a model could not call it otherwise.
    if input.get("type").is_some_and(|kind| kind != "object") {
        faults.push(Fault::new(
            "/input_schema/type",
            "type",
            "arguments are an object",
        ));
    }
}

fn given_document(given: &Value) -> Result<Document, Problem> {
    let read = match given {
        Value::String(text) => Document::parse(text),
        other => Document::of(other.clone()),
    };
    read.map_err(|fault| at_document(&fault))
}

fn at_document(fault: &Fault) -> Problem {
    let pointer = format!("/document{}", fault.pointer);
    Problem::fields(vec![FieldError::body(
        pointer,
        &fault.code,
        fault.detail.clone(),
    )])
}
