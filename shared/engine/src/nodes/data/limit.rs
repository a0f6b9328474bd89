//! `limit`: the first or last items, or those after an offset.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{done, entry, given, items_schema, list_port};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    entry(
        "limit",
        "Limit",
        "Keeps the first or last items of a list, after an offset if one is given.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["count"],
            "properties": {
                "items": items_schema(),
                "count": {"type": "integer", "minimum": 0, "description": "Most items to keep"},
                "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "Items to pass over first"},
                "from": {"type": "string", "enum": ["start", "end"], "default": "start"},
            },
        }),
        list_port("The items that were kept, in their order"),
        json!({"items": "{{ inputs.results }}", "count": 10}),
    )
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    count: usize,
    #[serde(default)]
    offset: usize,
    from: Option<String>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let items = call.items(config.items)?;
    let range = if config.from.as_deref() == Some("end") {
        let end = items.len().saturating_sub(config.offset);
        end.saturating_sub(config.count)..end
    } else {
        let start = config.offset.min(items.len());
        start..start.saturating_add(config.count).min(items.len())
    };
    Ok(done(Value::Array(items[range].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    #[test]
    fn items_are_kept_from_either_end() {
        let items = || json!([1, 2, 3, 4]);
        check("limit", json!({"count": 2}), items(), json!([1, 2]));
        check(
            "limit",
            json!({"count": 2, "offset": 3}),
            items(),
            json!([4]),
        );
        check(
            "limit",
            json!({"count": 2, "from": "end", "offset": 1}),
            items(),
            json!([2, 3]),
        );
        check(
            "limit",
            json!({"count": 9, "offset": 9, "from": "end"}),
            items(),
            json!([]),
        );
        refuse(
            "limit",
            json!({"count": -1}),
            items(),
            "/count: must be at least 0",
        );
    }
}
