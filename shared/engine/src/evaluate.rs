//! Previews for an editor: an expression, or a node's whole config, in surroundings that are given. What is evaluated is what a
//! run evaluates; only secrets are placeholders, and calls to outside are shown instead of made.

use serde_json::{Map, Value};

use crate::document::Node;
use crate::fault::{Fault, Faults};
use crate::log::NodeError;
use crate::nodes::{self, Effect, Incoming};
use crate::scope::Surroundings;
use crate::template::{References, Templates};
use crate::validate::read_node;

/// What a node would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// It gives this value.
    Output {
        /// Its output.
        output: Value,
        /// The handle whose edges it takes.
        handle: String,
    },
    /// It calls something.
    Call {
        /// `http` or `llm`.
        kind: &'static str,
        /// What it sends, as the log of a run shows it.
        request: Value,
    },
}

/// Evaluates a bare expression, with or without braces, such as a condition's.
///
/// # Errors
/// As in a run, with line and column.
pub fn evaluate_expression(text: &str, around: &Surroundings) -> Result<Value, NodeError> {
    let templates = Templates::new();
    let wrong = |error| NodeError::template("expression", &error);
    let around = with_placeholders(around, &templates.check_expression(text).map_err(wrong)?);
    templates.evaluate(text, &around.scope()).map_err(wrong)
}

/// Renders a template, such as a prompt: one expression keeps its type, anything else becomes text.
///
/// # Errors
/// As in a run, with line and column.
pub fn evaluate_template(text: &str, around: &Surroundings) -> Result<Value, NodeError> {
    let templates = Templates::new();
    let wrong = |error| NodeError::template("template", &error);
    let around = with_placeholders(around, &templates.check(text).map_err(wrong)?);
    templates.render(text, &around.scope()).map_err(wrong)
}

/// Decides what a node of this kind does with this config. `incoming` are the values that come in, by their source.
///
/// # Errors
/// Faults of the config, with pointers below `data`.
pub fn evaluate_node(
    kind: &str,
    data: &Map<String, Value>,
    around: &Surroundings,
    incoming: &Map<String, Value>,
) -> Result<Result<Evaluated, NodeError>, Vec<Fault>> {
    let templates = Templates::new();
    let mut faults = Faults::default();
    let node = Node {
        id: "preview".to_owned(),
        kind: kind.to_owned(),
        data: data.clone(),
        extra: Map::new(),
    };
    let ready = read_node(&node, "", &templates, &mut faults);
    let Some(ready) = ready.filter(|_| faults.none()) else {
        return Err(faults.into_vec());
    };
    let around = with_placeholders(around, &ready.references);
    let edges = incoming
        .iter()
        .map(|(source, value)| Incoming { source, value });
    let edges: Vec<Incoming<'_>> = edges.collect();
    let effect = nodes::decide(
        ready.kind,
        data,
        &templates,
        around.scope(),
        &around.inputs,
        &edges,
    );
    Ok(effect.map(|effect| match effect {
        Effect::Done(outcome) => Evaluated::Output {
            output: outcome.output,
            handle: outcome.handle,
        },
        call => Evaluated::Call {
            kind: call.kind(),
            request: call.shown().unwrap_or_default(),
        },
    }))
}

/// Secrets are never looked up here: each stands for itself.
fn with_placeholders(around: &Surroundings, references: &References) -> Surroundings {
    let mut around = around.clone();
    let names = references.secrets.iter();
    around.secrets = names
        .map(|name| (name.clone(), format!("[secret {name}]")))
        .collect();
    around
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            inputs: json!({"a": 1, "list": [1, 2]}),
            nodes: json!({"x": {"text": "hi"}})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            ..Surroundings::default()
        }
    }

    #[test]
    fn expressions_and_templates_are_evaluated() {
        assert_eq!(evaluate_expression("inputs.a + 1", &around()), Ok(json!(2)));
        assert_eq!(
            evaluate_expression("{{ inputs.list }}", &around()),
            Ok(json!([1, 2]))
        );
        assert_eq!(
            evaluate_template("{{ nodes.x.output.text }}!", &around()),
            Ok(json!("hi!"))
        );
        assert_eq!(
            evaluate_template("k={{ secrets.K }}", &around()),
            Ok(json!("k=[secret K]"))
        );
        let error = evaluate_template("a {{ inputs.nope }}", &around()).expect_err("undefined");
        assert!(
            error.message.starts_with("/template: ")
                && error.message.ends_with("(line 1, column 6)"),
            "{error}"
        );
    }

    #[test]
    fn nodes_give_values_or_show_their_calls() {
        let node = |kind: &str, data: Value, incoming: Value| {
            let map = |value: Value| value.as_object().cloned().unwrap_or_default();
            evaluate_node(kind, &map(data), &around(), &map(incoming))
        };
        let filtered = node(
            "filter",
            json!({"expression": "item > inputs.a"}),
            json!({"before": [1, 2]}),
        );
        assert_eq!(
            filtered,
            Ok(Ok(Evaluated::Output {
                output: json!([2]),
                handle: "output".into()
            }))
        );
        let call = node(
            "http",
            json!({"url": "https://a.test/{{ inputs.a }}?k={{ secrets.K }}", "method": "POST", "body": "{{ secrets.K }}"}),
            json!({}),
        );
        let Ok(Ok(Evaluated::Call {
            kind: "http",
            request,
        })) = call
        else {
            panic!("{call:?}")
        };
        assert_eq!(
            request,
            json!({"method": "POST", "url": "https://a.test/1", "body": "[secret K]"})
        );
        let faults =
            node("filter", json!({"expression": "nope(", "x": 1}), json!({})).expect_err("faults");
        assert!(
            faults.iter().any(|fault| fault.pointer == "/data/x")
                && faults
                    .iter()
                    .any(|fault| fault.pointer == "/data/expression"),
            "{faults:?}"
        );
        assert!(node("teleport", json!({}), json!({})).is_err());
    }
}
