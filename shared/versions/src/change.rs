//! Changes inside one value: RFC 6902 operations with the old value beside the new one.

use crate::Error;
use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happens at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOp {
    /// There was nothing; in a list, what follows moves up.
    Add,
    /// It is gone.
    Remove,
    /// It is another one.
    Replace,
}

/// One change. The changes of a value belong together and are made in their order (RFC 6902).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What happens.
    pub op: ChangeOp,
    /// Where: a JSON pointer (RFC 6901).
    pub path: String,
    /// The new value, unless it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some")]
    #[schemars(with = "Value")]
    pub value: Option<Value>,
    /// The old value, unless it is added.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some")]
    #[schemars(with = "Value")]
    pub old: Option<Value>,
}

/// `null` is a value; only a missing member is none.
pub(crate) mod some {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub fn serialize<S: Serializer>(value: &Option<Value>, to: S) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
}

/// What makes `b` out of `a`.
pub(crate) fn changes(a: &Value, b: &Value) -> Vec<Change> {
    let mut state = a.clone();
    let operations = json_patch::diff(a, b).0;
    let told = operations.into_iter().map(|operation| {
        let old = state.pointer(operation.path().as_str()).cloned();
        let change = told(&operation, old);
        // Paths into a list hold for the state that the operations before have left.
        drop(json_patch::patch(&mut state, &[operation]));
        change
    });
    told.collect()
}

fn told(operation: &PatchOperation, old: Option<Value>) -> Change {
    let (op, value, old) = match operation {
        PatchOperation::Remove(_) => (ChangeOp::Remove, None, old),
        PatchOperation::Add(add) => (ChangeOp::Add, Some(add.value.clone()), None),
        PatchOperation::Replace(new) => (ChangeOp::Replace, Some(new.value.clone()), old),
        // The diff makes none of these.
        PatchOperation::Move(_) | PatchOperation::Copy(_) | PatchOperation::Test(_) => {
            (ChangeOp::Replace, None, old)
        }
    };
    let path = operation.path().as_str().to_owned();
    Change {
        op,
        path,
        value,
        old,
    }
}

/// Makes the changes.
///
/// # Errors
/// A path that is not there, or is no pointer.
pub(crate) fn make(value: &mut Value, changes: &[Change]) -> Result<(), Error> {
    let operations: Result<Vec<_>, _> = changes.iter().map(operation).collect();
    json_patch::patch(value, &Patch(operations?)).map_err(|e| Error::DoesNotFit(e.to_string()))
}

fn operation(change: &Change) -> Result<PatchOperation, Error> {
    let path: PointerBuf = Pointer::parse(&change.path)
        .map_err(|error| Error::DoesNotFit(error.to_string()))?
        .to_buf();
    let value = change.value.clone().unwrap_or_default();
    Ok(match change.op {
        ChangeOp::Add => PatchOperation::Add(AddOperation { path, value }),
        ChangeOp::Remove => PatchOperation::Remove(RemoveOperation { path }),
        ChangeOp::Replace => PatchOperation::Replace(ReplaceOperation { path, value }),
    })
}
