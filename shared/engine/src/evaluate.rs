//! Previews for an editor: an expression, or a node's whole config, in surroundings that are given. What is evaluated is what a
//! run evaluates; only secrets are placeholders, and calls to outside are shown instead of made.

use serde_json::{Map, Value};

use crate::decide::{pinned, skipped};
use crate::document::Node;
use crate::fault::{Fault, Faults};
use crate::log::NodeError;
use crate::nodes::{Call, CodeCall, Effect, Incoming, LOOP_NAMES, Round};
use crate::plan::Ready;
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
    /// It has something done.
    Call {
        /// `http`, `llm`, `custom`, `enter` (its body runs, or the workflow that it calls) or `wait`.
        kind: &'static str,
        /// What it sends, as the log of a run shows it; the items that its body starts from; what it waits for.
        request: Value,
    },
    /// It runs code, which a preview may run too: nothing outside notices.
    Code(Box<CodeCall>),
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
        parent: None,
        data: data.clone(),
        extra: Map::new(),
    };
    let around = in_loop(kind, around);
    let mut names = LOOP_NAMES.to_vec();
    names.retain(|name| around.locals.contains_key(*name));
    let ready = read_node(0, &node, "", &names, &templates, &mut faults);
    let Some(ready) = ready.filter(|_| faults.none()) else {
        return Err(faults.into_vec());
    };
    let around = with_placeholders(&around, &ready.references);
    let edges = incoming
        .iter()
        .map(|(source, value)| Incoming { source, value });
    let edges: Vec<Incoming<'_>> = edges.collect();
    Ok(effect(kind, &ready, data, &templates, &around, &edges).map(shown))
}

/// What a run does with the node, in its order.
fn effect(
    kind: &str,
    ready: &Ready,
    data: &Map<String, Value>,
    templates: &Templates,
    around: &Surroundings,
    incoming: &[Incoming<'_>],
) -> Result<Effect, NodeError> {
    if let Some(effect) = pinned(&ready.settings) {
        return Ok(effect);
    }
    let scope = around.scope();
    if let Some(effect) = skipped(&ready.settings, templates, &scope, incoming)? {
        return Ok(effect);
    }
    let index = around.locals.get("index").and_then(Value::as_u64);
    let previous = around.locals.get("previous");
    (ready.kind.decide)(&Call {
        kind,
        data,
        templates,
        scope: &scope,
        inputs: &around.inputs,
        incoming,
        schema: &ready.kind.spec.config_schema,
        round: Round {
            index: index.and_then(|at| u32::try_from(at).ok()).unwrap_or(0),
            previous: previous.unwrap_or(Round::FIRST.previous),
        },
        // The called workflow is not there: its inputs are taken as they are.
        callee: Some(Vec::new()),
    })
}

fn shown(effect: Effect) -> Evaluated {
    let kind = effect.kind();
    let request = effect.shown();
    match effect {
        Effect::Done(outcome) | Effect::Passed(outcome, _) => Evaluated::Output {
            output: outcome.output,
            handle: outcome.handle,
        },
        Effect::Enter(items) => Evaluated::Call {
            kind,
            request: Value::Array(items),
        },
        Effect::Wait(wait) => Evaluated::Call {
            kind,
            request: wait.shown(),
        },
        Effect::Code(call) if call.is_closed() => Evaluated::Code(call),
        _ => Evaluated::Call {
            kind,
            request: request.unwrap_or_default(),
        },
    }
}

/// A `while` sees its own round, the first unless another is given.
fn in_loop(kind: &str, around: &Surroundings) -> Surroundings {
    let mut around = around.clone();
    if kind == "while" {
        for (name, first) in [("index", Value::from(0)), ("previous", Value::Null)] {
            around.locals.entry(name).or_insert(first);
        }
    }
    around
}

/// Secrets are never looked up here, and nothing waits: each stands for itself.
fn with_placeholders(around: &Surroundings, references: &References) -> Surroundings {
    let mut around = around.clone();
    let names = references.secrets.iter();
    around.secrets = names
        .map(|name| (name.clone(), format!("[secret {name}]")))
        .collect();
    let waits = references.waits.iter();
    around.waits = waits
        .map(|id| (id.clone(), format!("[address of {id}]")))
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
        assert_eq!(
            evaluate_template("{{ waits.ask.url }}?{{ waits['b-1'].url }}", &around()),
            Ok(json!("[address of ask]?[address of b-1]"))
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

    #[test]
    fn what_stands_for_a_nodes_work_is_shown_as_in_a_run() {
        let node = |kind: &str, data: Value, incoming: Value, around: &Surroundings| {
            let map = |value: Value| value.as_object().cloned().unwrap_or_default();
            match evaluate_node(kind, &map(data), around, &map(incoming)) {
                Ok(Ok(Evaluated::Output { output, handle })) => json!([output, handle]),
                Ok(Ok(Evaluated::Call { kind, request })) => json!([kind, request]),
                other => panic!("{other:?}"),
            }
        };
        let pinned = json!({"url": "{{ secrets.K }}", "pinned": {"output": 7, "handle": "error"}});
        assert_eq!(
            node("http", pinned, json!({}), &around()),
            json!([7, "error"])
        );
        let skipped = json!({"expression": "item > 1", "skip_if": "inputs.a == 1"});
        assert_eq!(
            node("filter", skipped, json!({"x": [3]}), &around()),
            json!([[3], "*"])
        );
        assert_eq!(
            node(
                "for_each",
                json!({"items": "{{ inputs.list }}"}),
                json!({}),
                &around()
            ),
            json!(["enter", [1, 2]])
        );
        assert_eq!(
            node("wait", json!({"duration_ms": 5}), json!({}), &around()),
            json!(["wait", {"kind": "timer", "after_ms": 5}])
        );
        let first = json!({"condition": "index == 0 and previous is none"});
        assert_eq!(
            node("while", first, json!({}), &around()),
            json!(["enter", [null]])
        );
        let mut inside = around();
        inside.locals = Map::from_iter([
            ("item".to_owned(), json!({"n": 4})),
            ("loops".to_owned(), json!({"each": {"index": 2}})),
        ]);
        let fields = json!({"fields": {"x": "{{ item.n }}", "y": "{{ loops.each.index + 1 }}"}});
        assert_eq!(
            node("transform", fields, json!({}), &inside),
            json!([{"x": 4, "y": 3}, "output"])
        );
    }
}
