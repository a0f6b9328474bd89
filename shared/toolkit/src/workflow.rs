//! A workflow as a function: the schema of its arguments out of the `input` nodes of its definition.

use serde_json::{Map, Value, json};

/// The schema of what all input nodes together take; each item is a node's config. A node without a schema takes anything.
pub fn input_schema(nodes: &[Value]) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    let mut closed = !nodes.is_empty();
    let mut more = Map::new();
    for schema in nodes
        .iter()
        .map(|node| node.get("schema").unwrap_or(&Value::Null))
    {
        match schema {
            Value::Array(fields) => {
                closed = false;
                for field in fields {
                    take_field(field, &mut properties, &mut required);
                }
            }
            Value::Object(schema) => {
                let known = schema.get("properties").and_then(Value::as_object);
                properties.extend(known.cloned().unwrap_or_default());
                let names = schema.get("required").and_then(Value::as_array);
                required.extend(names.cloned().unwrap_or_default());
                closed &= schema.get("additionalProperties") == Some(&json!(false));
                for name in ["$defs", "definitions", "description"] {
                    if let Some(value) = schema.get(name) {
                        more.insert(name.to_owned(), value.clone());
                    }
                }
            }
            _ => closed = false,
        }
    }
    // A value that is there by default need not be given.
    required.retain(|name| {
        let property = name.as_str().and_then(|name| properties.get(name));
        property.is_none_or(|property| property.get("default").is_none())
    });
    required.dedup();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = Value::Array(required);
    }
    if closed {
        schema["additionalProperties"] = json!(false);
    }
    if let Some(map) = schema.as_object_mut() {
        map.extend(more);
    }
    schema
}

fn take_field(field: &Value, properties: &mut Map<String, Value>, required: &mut Vec<Value>) {
    let Some(name) = field.get("name").and_then(Value::as_str) else {
        return;
    };
    let mut property = Map::new();
    for member in ["type", "enum", "default", "title", "description"] {
        if let Some(value) = field.get(member) {
            property.insert(member.to_owned(), value.clone());
        }
    }
    properties.insert(name.to_owned(), Value::Object(property));
    if field.get("required") == Some(&json!(true)) {
        required.push(json!(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_schemas_come_together() {
        let fields = json!({"schema": [{"name": "q", "type": "string", "required": true, "description": "what"},
            {"name": "n", "type": "integer", "required": true, "default": 3}]});
        let schema = input_schema(&[fields]);
        assert_eq!(
            schema,
            json!({"type": "object", "properties": {"q": {"type": "string", "description": "what"},
                "n": {"type": "integer", "default": 3}}, "required": ["q"]})
        );
        let whole = json!({"schema": {"type": "object", "required": ["a"], "properties": {"a": {}}, "additionalProperties": false}});
        let schema = input_schema(&[whole.clone()]);
        assert_eq!(
            (&schema["required"], &schema["additionalProperties"]),
            (&json!(["a"]), &json!(false))
        );
        let both = input_schema(&[whole, json!({})]);
        assert_eq!(both.get("additionalProperties"), None);
        assert_eq!(
            input_schema(&[]),
            json!({"type": "object", "properties": {}})
        );
    }
}
