//! Workflows as the API shows and takes them.

use crate::document::{Egress, faults_below};
use nodeai_http::{Check, Checker};
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
    col::folder,
    col::archived_at,
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
    col::folder,
    col::archived_at,
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
    /// The caller's role when another organisation shares it: `viewer` or `editor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The hosts that its runs reach; in answers to a read, a creation and a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// The folder that it is in, such as `sales/mail`; null for none.
    #[serde(default)]
    pub folder: Option<String>,
    /// Since when it is in the archive, where it does not run; null when it is not.
    #[serde(default)]
    pub archived_at: Option<String>,
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
    /// The folder that it is in, such as `sales/mail`; null for none.
    #[serde(default)]
    pub folder: Option<String>,
    /// Since when it is in the archive, where it does not run; null when it is not.
    #[serde(default)]
    pub archived_at: Option<String>,
    /// The user who made it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl WorkflowBrief {
    /// The whole workflow.
    pub fn with(self, definition: Value, role: Option<String>) -> Workflow {
        Workflow {
            id: self.id,
            name: self.name,
            description: self.description,
            definition,
            version: self.version,
            tags: self.tags,
            role,
            egress: None,
            folder: self.folder,
            archived_at: self.archived_at,
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
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
    /// 1 to 500 characters, such as `sales/mail`. A replacement without it leaves the workflow where it is.
    #[serde(default)]
    pub folder: Option<String>,
    /// Note for this version, at most 1,000 characters.
    #[serde(default)]
    pub message: Option<String>,
}

impl Check for WorkflowInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        check_description(c, self.description.as_deref());
        check_message(c, self.message.as_deref());
        check_tags(c, &self.tags);
        check_folder(c, self.folder.as_deref());
        for fault in faults_below("/definition", &self.definition) {
            c.report(fault);
        }
    }
}

/// At most 10,000 characters.
pub fn check_description(c: &mut Checker, text: Option<&str>) {
    c.length(text.unwrap_or_default(), 0, 10_000, "/description");
}

/// At most 1,000 characters.
pub fn check_message(c: &mut Checker, text: Option<&str>) {
    c.length(text.unwrap_or_default(), 0, 1_000, "/message");
}

/// 1 to 500 characters, when there is one.
pub fn check_folder(c: &mut Checker, folder: Option<&str>) {
    if let Some(folder) = folder {
        c.length(folder, 1, 500, "/folder");
    }
}

/// At most 50 tags of 1 to 100 characters.
pub fn check_tags(c: &mut Checker, tags: &[String]) {
    c.require(tags.len() <= 50, "/tags", "too_many", "at most 50 tags");
    for (i, tag) in tags.iter().enumerate() {
        c.length(tag, 1, 100, &format!("/tags/{i}"));
    }
}
