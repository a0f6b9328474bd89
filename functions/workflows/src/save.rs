//! A save: any change of a workflow, own or shared with the caller as an editor. Each one is a version.

use crate::WorkflowsWrite;
use crate::document::Egress;
use nodeai_app::{Caller, Command, clock};
use nodeai_store::Column;
use serde_json::{Map, Value, json};

/// What a save needs to know beside the row.
pub struct Save<'a> {
    /// The workflow.
    pub id: &'a str,
    /// The version that it must have; `None` for any.
    pub expected: Option<i64>,
    /// Note for the new version.
    pub message: Option<&'a str>,
    /// The hosts of its document; none for one that is there already: the store knows them.
    pub egress: Option<&'a Egress>,
    /// Columns that go into the answer.
    pub returning: &'a [Column],
}

impl Save<'_> {
    /// The arguments of a save that changes `row`. A version without a document of its own has the workflow's.
    pub fn args(&self, caller: &Caller<WorkflowsWrite>, mut row: Map<String, Value>) -> Value {
        row.insert(
            "updated_at".to_owned(),
            json!(clock::rfc3339(caller.cx.started_us)),
        );
        let version = json!({"workflow_id": self.id, "message": self.message,
            "author": caller.session.user_id(), "egress": self.egress.map(Egress::stored)});
        json!({"id": self.id, "row": row, "expect_version": self.expected, "returning": names(self.returning),
            "children": [{"table": "workflow_versions", "row": version}]})
    }

    /// The save as a write.
    pub fn command(&self, caller: &Caller<WorkflowsWrite>, row: Map<String, Value>) -> Command {
        let args = self.args(caller, row);
        Command::named("save_workflow", "workflow", self.id, args)
    }
}

/// The columns' names.
pub fn names(columns: &[Column]) -> Vec<&'static str> {
    columns.iter().map(|column| column.name).collect()
}

/// The members of an object.
pub fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
