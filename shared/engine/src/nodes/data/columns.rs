//! Reading items by their position, with errors that say which item is meant.

use serde_json::Value;

use super::path::Path;
use super::type_of;
use crate::log::NodeError;

/// The values of some fields of an item, as one key.
pub(super) fn key_of(item: &Value, paths: &[Path], loose: bool, ignore_case: bool) -> String {
    let parts = paths.iter().map(|path| {
        let value = path.get(item).unwrap_or(&Value::Null);
        super::order::key(value, loose, ignore_case)
    });
    parts.collect::<Vec<_>>().join("\u{1}")
}

/// Refuses items that are no objects.
pub(super) fn all_objects(field: &str, items: &[Value]) -> Result<(), NodeError> {
    match items.iter().enumerate().find(|(_, item)| !item.is_object()) {
        Some((at, item)) => Err(NodeError::config(format!(
            "/{field}/{at}: expected an object, found {}",
            type_of(item)
        ))),
        None => Ok(()),
    }
}

/// The number at a path of an item; none where there is nothing. Texts that hold a number are read as such.
pub(super) fn number_at(
    item: &Value,
    at: usize,
    path: &Path,
) -> Result<Option<serde_json::Number>, NodeError> {
    match path.get(item) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.clone())),
        Some(other) => {
            let parsed = other
                .as_str()
                .and_then(|text| serde_json::from_str(text.trim()).ok());
            parsed.map(Some).ok_or_else(|| {
                NodeError::config(format!(
                    "/items/{at}: {} is {}, not a number",
                    path.as_str(),
                    type_of(other)
                ))
            })
        }
    }
}
