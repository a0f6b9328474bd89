//! Schemas of a document as JSON Schema 2020-12 that is complete in itself.

use super::Document;
use crate::Fault;
use crate::function::name_of;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Deepest nesting.
const DEEPEST: usize = 64;
/// Most schemas that one schema may lead to.
const MOST_DEFS: usize = 500;

/// Collects what schemas refer to, for the `$defs` of one function.
pub struct Converter<'a> {
    document: &'a Document,
    /// Names in `$defs` by place in the document.
    names: BTreeMap<String, String>,
    defs: Map<String, Value>,
    waiting: Vec<String>,
}

impl<'a> Converter<'a> {
    /// A converter for a document.
    pub fn new(document: &'a Document) -> Self {
        Self {
            document,
            names: BTreeMap::new(),
            defs: Map::new(),
            waiting: Vec::new(),
        }
    }

    /// A schema of the document; `at` is its place, for faults.
    ///
    /// # Errors
    /// A reference that leads out of the document or to nothing, and nesting without end.
    pub fn schema(&mut self, schema: &Value, at: &str) -> Result<Value, Fault> {
        self.convert(schema, at, 0)
    }

    /// The schema with all that it refers to in its `$defs`.
    ///
    /// # Errors
    /// As [`schema`](Self::schema).
    pub fn finish(mut self, mut schema: Value) -> Result<Value, Fault> {
        while let Some(pointer) = self.waiting.pop() {
            let found = self.document.at(&pointer);
            let found = found.ok_or_else(|| {
                Fault::new(
                    &pointer,
                    "reference",
                    "there is nothing at this place of the document",
                )
            })?;
            let converted = self.convert(found, &pointer, 0)?;
            let name = self.names.get(&pointer).cloned().unwrap_or_default();
            self.defs.insert(name, converted);
        }
        if !self.defs.is_empty() {
            // A bare boolean cannot have definitions, and refers to nothing.
            if let Some(map) = schema.as_object_mut() {
                map.insert("$defs".to_owned(), Value::Object(self.defs));
            }
        }
        Ok(schema)
    }

    fn convert(&mut self, schema: &Value, at: &str, depth: usize) -> Result<Value, Fault> {
        if depth > DEEPEST {
            return Err(Fault::new(at, "length", "a schema has at most 64 levels"));
        }
        let map = match schema {
            Value::Object(map) => map,
            Value::Bool(_) => return Ok(schema.clone()),
            _ => return Err(Fault::new(at, "type", "a schema is an object or a boolean")),
        };
        let mut made = Map::new();
        for (key, value) in map {
            let at = format!("{at}/{}", crate::token(key));
            if let Some(value) = self.member(key, value, &at, depth + 1)? {
                made.insert(key.clone(), value);
            }
        }
        if self.document.is_3_0() {
            from_3_0(map, &mut made);
        }
        Ok(Value::Object(made))
    }

    /// One member of a schema; none for what JSON Schema does not have.
    fn member(
        &mut self,
        key: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Option<Value>, Fault> {
        let converted = match (key, value) {
            ("$ref", Value::String(reference)) => json!(self.reference(reference, at)?),
            (
                "discriminator" | "xml" | "externalDocs" | "nullable" | "example" | "$id"
                | "$schema",
                _,
            ) => {
                return Ok(None);
            }
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(schemas),
            ) => {
                let mut made = Map::new();
                for (name, schema) in schemas {
                    let at = format!("{at}/{}", crate::token(name));
                    made.insert(name.clone(), self.convert(schema, &at, depth)?);
                }
                Value::Object(made)
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                let each = schemas.iter().enumerate();
                let made =
                    each.map(|(i, schema)| self.convert(schema, &format!("{at}/{i}"), depth));
                Value::Array(made.collect::<Result<_, _>>()?)
            }
            (
                "items"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                Value::Object(_),
            ) => self.convert(value, at, depth)?,
            // Values, and words of JSON Schema that hold none.
            _ => value.clone(),
        };
        Ok(Some(converted))
    }

    fn reference(&mut self, reference: &str, at: &str) -> Result<String, Fault> {
        let pointer = reference.strip_prefix('#').ok_or_else(|| {
            let detail = format!("{reference:?} leads out of the document, which is not followed");
            Fault::new(at, "reference", detail)
        })?;
        if let Some(known) = self.names.get(pointer) {
            return Ok(format!("#/$defs/{known}"));
        }
        if self.names.len() >= MOST_DEFS {
            return Err(Fault::new(
                at,
                "length",
                "a schema leads to more than 500 others",
            ));
        }
        let wanted = name_of(pointer.rsplit('/').next().unwrap_or_default());
        let taken = |name: &String| self.names.values().any(|known| known == name);
        let mut name = wanted.clone();
        let mut n = 2;
        while taken(&name) {
            name = format!("{wanted}_{n}");
            n += 1;
        }
        self.names.insert(pointer.to_owned(), name.clone());
        self.waiting.push(pointer.to_owned());
        Ok(format!("#/$defs/{name}"))
    }
}

/// What OpenAPI 3.0 writes otherwise than JSON Schema 2020-12.
fn from_3_0(map: &Map<String, Value>, made: &mut Map<String, Value>) {
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(Value::Bool(exclusive)) = made.get(flag).cloned() {
            made.remove(flag);
            if exclusive && let Some(value) = made.remove(bound) {
                made.insert(flag.to_owned(), value);
            }
        }
    }
    if map.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(Value::String(one)) = made.get("type").cloned() {
        made.insert("type".to_owned(), json!([one, "null"]));
        if let Some(Value::Array(choices)) = made.get_mut("enum")
            && !choices.contains(&Value::Null)
        {
            choices.push(Value::Null);
        }
    } else if made.contains_key("$ref") || made.contains_key("allOf") {
        let inner = Value::Object(std::mem::take(made));
        made.insert("anyOf".to_owned(), json!([inner, {"type": "null"}]));
    }
}
