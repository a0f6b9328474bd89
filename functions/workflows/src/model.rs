//! Workflows as the API shows and takes them.

use nodeai_http::{Check, Checker, FieldError};
use nodeai_store::{Column, tables::workflows as col};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Columns of a whole workflow.
pub const ALL: &[Column] = &[
    col::id,
    col::name,
    col::description,
    col::definition,
    col::version,
    col::tags,
    col::created_by,
    col::created_at,
    col::updated_at,
];

/// Columns of a list entry.
pub const BRIEF: &[Column] = &[
    col::id,
    col::name,
    col::description,
    col::version,
    col::tags,
    col::created_by,
    col::created_at,
    col::updated_at,
];

/// A workflow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Workflow {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The document: `nodes` and `edges` in React Flow's shape.
    pub definition: Value,
    /// Current version, from 1; the ETag is `"v<version>"`.
    pub version: i64,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The user who made it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A workflow in a list: without its definition.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowBrief {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Current version.
    pub version: i64,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The user who made it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// What a client sends to create or replace a workflow.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowInput {
    /// 1 to 200 characters.
    pub name: String,
    /// At most 10,000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// `nodes` and `edges` in React Flow's shape.
    pub definition: Value,
    /// At most 50 tags of 1 to 100 characters.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Note for this version, at most 1,000 characters.
    #[serde(default)]
    pub message: Option<String>,
}

impl Check for WorkflowInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        c.length(
            self.description.as_deref().unwrap_or(""),
            0,
            10_000,
            "/description",
        );
        c.length(self.message.as_deref().unwrap_or(""), 0, 1_000, "/message");
        c.require(
            self.tags.len() <= 50,
            "/tags",
            "too_many",
            "at most 50 tags",
        );
        for (i, tag) in self.tags.iter().enumerate() {
            c.length(tag, 1, 100, &format!("/tags/{i}"));
        }
        for fault in crate::document::faults(&self.definition) {
            let pointer = format!("/definition{}", fault.pointer);
            c.report(FieldError::body(pointer, &fault.code, fault.message));
        }
    }
}
