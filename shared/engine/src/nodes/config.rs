//! How a node's config is read: strings are rendered by the roles that its schema gives them, and what comes out must fit it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{COMMON, Call};
use crate::log::NodeError;
use crate::scope::Scope;
use crate::template::TemplateError;

/// How the strings of a config field are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// As templates.
    Template,
    /// As a bare expression.
    Expression,
    /// As they are.
    Literal,
    /// As JavaScript.
    Code,
}

/// Names that a field's strings may use beside the common ones, by the keyword `x-nodeai-names`. Such a field is not
/// rendered with the config: the node does it, once per item.
///
/// Those of `x-nodeai-batch-names` count where the node has `batch`; the node then renders its whole config once per item.
pub(crate) fn names<'a>(schema: &'a Value, data: &Map<String, Value>) -> Vec<&'a str> {
    let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
    let of_batch = list("x-nodeai-batch-names").filter(|_| data.contains_key("batch"));
    let lists = list("x-nodeai-names").into_iter().chain(of_batch);
    lists.flatten().filter_map(Value::as_str).collect()
}

/// The role that a field's schema gives it by the keyword `x-nodeai`.
pub(crate) fn role(schema: &Value) -> Role {
    match schema.get("x-nodeai").and_then(Value::as_str) {
        Some("expression") => Role::Expression,
        Some("literal") => Role::Literal,
        Some("javascript") => Role::Code,
        _ => Role::Template,
    }
}

impl<'a> Call<'a> {
    /// The same with another config, read in another scope.
    pub(crate) fn with<'b>(
        &self,
        data: &'b Map<String, Value>,
        scope: &'b Scope<'b>,
        schema: &'b Value,
    ) -> Call<'b>
    where
        'a: 'b,
    {
        Call {
            kind: self.kind,
            data,
            templates: self.templates,
            scope,
            inputs: self.inputs,
            incoming: self.incoming,
            schema,
            round: self.round,
            callee: None,
        }
    }

    /// The value of a field of this name, or else the one value that came in.
    pub(crate) fn value_or_incoming(
        &self,
        field: &str,
        given: Option<Value>,
    ) -> Result<Value, NodeError> {
        match (given, self.incoming) {
            (Some(value), _) => Ok(value),
            (None, [only]) => Ok(only.value.clone()),
            (None, several) => Err(NodeError::config(format!(
                "/{field}: {} values come in; say which one is meant",
                several.len()
            ))),
        }
    }

    /// Renders the config by its schema and reads it as `T`.
    pub(crate) fn config<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        let rendered = self.rendered()?;
        let mut faults = crate::fault::Faults::default();
        let templates = crate::schema::Templates::Plain;
        crate::schema::Checker {
            templates,
            faults: &mut faults,
        }
        .check(self.schema, &rendered, "");
        if let Some(fault) = faults.into_vec().first() {
            return Err(NodeError::config(format!(
                "{}: {}",
                fault.pointer, fault.message
            )));
        }
        serde_json::from_value(rendered).map_err(|error| NodeError::config(error.to_string()))
    }

    fn rendered(&self) -> Result<Value, NodeError> {
        let mut out = Map::new();
        for (name, value) in self
            .data
            .iter()
            .filter(|(name, _)| !COMMON.contains(&name.as_str()))
        {
            let schema = &self.schema["properties"][name.as_str()];
            let value = self
                .render(value, schema)
                .map_err(|error| NodeError::template(name, &error))?;
            out.insert(name.clone(), value);
        }
        Ok(Value::Object(out))
    }

    /// Renders every string below `value`. Where the schema wants a string it gets text,
    /// elsewhere one expression keeps its type.
    fn render(&self, value: &Value, schema: &Value) -> Result<Value, TemplateError> {
        if role(schema) != Role::Template || schema.get("x-nodeai-names").is_some() {
            return Ok(value.clone());
        }
        Ok(match value {
            Value::String(text) if schema["type"] == "string" => {
                Value::String(self.templates.render_text(text, self.scope)?)
            }
            Value::String(text) => self.templates.render(text, self.scope)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.render(item, &schema["items"]));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let properties = &schema["properties"];
                let pairs = map.iter().map(|(name, value)| {
                    let schema = properties
                        .get(name)
                        .unwrap_or(&schema["additionalProperties"]);
                    Ok((name.clone(), self.render(value, schema)?))
                });
                Value::Object(pairs.collect::<Result<_, TemplateError>>()?)
            }
            other => other.clone(),
        })
    }
}
