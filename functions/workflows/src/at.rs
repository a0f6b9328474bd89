//! A workflow at some of its versions, own or shared with the caller: one question to the store.

use crate::document::Egress;
use crate::model::WorkflowBrief;
use nodeai_app::{Caller, Scope};
use nodeai_http::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A version of a workflow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Its number, from 1.
    pub number: i64,
    /// The document as it was saved.
    pub definition: Value,
    /// Note of whoever saved it.
    pub message: Option<String>,
    /// The user who saved it.
    pub author: Option<String>,
    /// The version that it was made from; null for the first one.
    pub parent: Option<i64>,
    /// RFC 3339.
    pub created_at: String,
    /// The hosts that its runs reach.
    #[serde(default)]
    pub egress: Option<Egress>,
}

impl Version {
    /// The hosts that its runs reach: as they are stored, or else as its document says.
    pub fn egress(&self) -> Egress {
        let read = || Egress::of(&self.definition, self.author.clone(), &self.created_at);
        self.egress.clone().unwrap_or_else(read)
    }
}

/// A workflow with some of its versions.
#[derive(Debug, Deserialize)]
pub struct At {
    /// What a list shows of it.
    pub workflow: WorkflowBrief,
    /// The role of the share; none for an own workflow.
    pub role: Option<String>,
    versions: HashMap<i64, Version>,
}

impl At {
    /// Reads the workflow `id` at these versions; `None` is the current one. Errors: 404.
    pub async fn read<S: Scope>(
        caller: &Caller<S>,
        id: &str,
        numbers: &[Option<i64>],
    ) -> Result<Self, Problem> {
        let args = json!({"id": id, "org_id": caller.org_id(), "numbers": numbers});
        let found: Option<Self> = caller.call("workflow_at", &args).await?;
        found.ok_or_else(|| Problem::not_found("there is no such workflow"))
    }

    /// One of the versions that were asked for; `None` is the current one. Errors: 404 when there is none.
    pub fn version(&self, number: Option<i64>) -> Result<&Version, Problem> {
        let number = number.unwrap_or(self.workflow.version);
        self.versions
            .get(&number)
            .ok_or_else(|| Problem::not_found(format!("the workflow has no version {number}")))
    }
}
