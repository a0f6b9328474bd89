//! A plain interpreter of documents, written for this test alone: it walks a body's nodes in
//! the order of the document, which is an order of the graph too, and calls itself for what is
//! inside. It knows no time, no log and no concurrency. Where a run may fail in several ways,
//! it gives them all.

use std::collections::{BTreeMap, BTreeSet};

use nodeai_engine::WorkflowRef;
use serde_json::{Map, Value, json};

use super::fate::{Answer, Fate};

/// How a node ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// With this value and by this handle; `None` as value where it depends on timing.
    Finished(Option<Value>, String),
    Skipped,
    Failed,
}

/// The node that failed first, and the error's kind.
pub type Cause = (String, String);

#[derive(Default, Debug)]
pub struct Expected {
    pub ends: BTreeMap<String, End>,
    /// Attempts that are not lost, by node.
    pub attempts: BTreeMap<String, u64>,
    pub causes: BTreeSet<Cause>,
    /// What the ways of nodes begin with that may not get their turn, since something beside
    /// them failed.
    pub broken_off: Vec<String>,
    pub outputs: Value,
    pub iterations: u64,
}

pub struct Reference<'a> {
    pub library: &'a BTreeMap<WorkflowRef, Value>,
    pub fate: Fate,
    pub max_depth: u32,
    pub expected: Expected,
}

/// What a body's nodes see.
struct Around<'a> {
    document: &'a Value,
    /// What the ways of its nodes begin with.
    prefix: String,
    inputs: Value,
    item: Value,
    index: u64,
    depth: u32,
    outer: Option<&'a Around<'a>>,
    done: BTreeMap<String, End>,
}

type Causes = BTreeSet<Cause>;

/// Runs with more iterations are drawn anew: they would only take time.
pub const MOST_ITERATIONS: u64 = 40;

impl Reference<'_> {
    pub fn run(mut self, document: &Value) -> Expected {
        let ended = self.workflow(document, String::new(), json!({}), 0);
        match ended {
            Ok(outputs) => self.expected.outputs = outputs,
            Err(causes) => {
                self.expected.causes = causes;
                if let Some(which) = which(&document["settings"]["error_workflow"])
                    && let Some(handler) = self.library.get(&which)
                {
                    // How the error workflow ends changes nothing.
                    let _ = self.workflow(handler, "@error/".into(), json!({}), 1);
                }
            }
        }
        self.expected
    }

    fn workflow(
        &mut self,
        document: &Value,
        prefix: String,
        inputs: Value,
        depth: u32,
    ) -> Result<Value, Causes> {
        let mut around = Around {
            document,
            prefix,
            inputs,
            item: Value::Null,
            index: 0,
            depth,
            outer: None,
            done: BTreeMap::new(),
        };
        self.body(&mut around, None)?;
        let mut outputs = Map::new();
        for node in nodes(document).filter(|node| node["type"] == "output") {
            if let Some(End::Finished(Some(value), _)) = around.done.get(text(&node["id"])) {
                outputs.insert(text(&node["data"]["name"]).to_owned(), value.clone());
            }
        }
        Ok(outputs.into())
    }

    fn body(&mut self, around: &mut Around<'_>, parent: Option<&str>) -> Result<(), Causes> {
        let document = around.document;
        let mut causes = Causes::new();
        if self.expected.iterations > MOST_ITERATIONS {
            return Ok(());
        }
        for node in nodes(document).filter(|node| node["parentId"].as_str() == parent) {
            let id = text(&node["id"]);
            let Some(turn) = turn_of(around, node) else {
                // It hangs on one that failed.
                continue;
            };
            let end = match turn {
                true => match self.node(around, node) {
                    Ok(end) => end,
                    Err(more) => {
                        causes.extend(more);
                        End::Failed
                    }
                },
                false => End::Skipped,
            };
            self.expected
                .ends
                .insert(format!("{}{id}", around.prefix), end.clone());
            around.done.insert(id.to_owned(), end);
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err(causes)
        }
    }

    fn node(&mut self, around: &Around<'_>, node: &Value) -> Result<End, Causes> {
        let way = format!("{}{}", around.prefix, text(&node["id"]));
        let result = self.work(around, node, &way);
        let on_error = text(&node["data"]["on_error"]);
        if result.is_err() {
            self.expected.broken_off.push(format!("{way}["));
        }
        match (result, on_error) {
            (Ok(end), _) => Ok(end),
            (Err(_), "continue") => Ok(End::Finished(None, "*".into())),
            (Err(_), "error_edge") => Ok(End::Finished(None, "error".into())),
            (Err(causes), _) => Err(causes),
        }
    }

    /// Tries until fate lets it happen or the attempts are used up.
    fn attempt(&mut self, node: &Value, way: &str) -> Result<(), Causes> {
        let retry = &node["data"]["retry"];
        let most = retry["max_attempts"].as_u64().unwrap_or(1);
        for own in 1.. {
            let count = self.expected.attempts.entry(way.to_owned()).or_default();
            *count += 1;
            let Some(error) = self.fate.failure(way, text(&node["type"]), *count) else {
                break;
            };
            let again = match retry.get("retry_if") {
                Some(_) => error.kind == "broken",
                None => error.retryable,
            };
            if !again || own >= most {
                return Err([(way.to_owned(), error.kind)].into());
            }
        }
        Ok(())
    }

    fn work(&mut self, around: &Around<'_>, node: &Value, way: &str) -> Result<End, Causes> {
        let data = &node["data"];
        let kind = text(&node["type"]);
        let value = around.term(node);
        let finished =
            |value: Value, handle: &str| Ok(End::Finished(Some(value), handle.to_owned()));
        if kind == "while" {
            return self.rounds(around, node, way);
        }
        self.attempt(node, way)?;
        if let Some(pinned) = data.get("pinned") {
            return finished(pinned["output"].clone(), "output");
        }
        if data.get("skip_if").is_some() && value % 3 == 0 {
            return Ok(around.handed_on(node));
        }
        match kind {
            // What the error workflow is told is not this test's business.
            "input" if way.starts_with("@error/n") => Ok(End::Finished(None, "output".into())),
            "input" => finished(around.inputs.clone(), "output"),
            "condition" => {
                let truth = value % 2 == 0;
                finished(
                    json!({"result": truth}),
                    if truth { "true" } else { "false" },
                )
            }
            "switch" => {
                let case = ["a", "b", "default"][(value % 3) as usize];
                finished(json!({"case": case}), case)
            }
            "merge" => Ok(End::Finished(None, "output".into())),
            "wait" => Ok(End::Finished(None, self.wait(data, way))),
            "for_each" => self.items(around, node, way, value),
            "workflow" => self.call(around, node, way, value),
            _ => finished(value.into(), "output"),
        }
    }

    fn wait(&self, data: &Value, way: &str) -> String {
        let handle = match data.get("approval") {
            None => "output",
            Some(_) => match self.fate.answer(way, data.get("expires_ms").is_some()) {
                Answer::Approves => "approved",
                Answer::Rejects => "rejected",
                Answer::Never => "timeout",
            },
        };
        handle.to_owned()
    }

    fn iteration(
        &mut self,
        around: &Around<'_>,
        node: &Value,
        way: &str,
        index: u64,
        item: Value,
    ) -> Result<Value, Causes> {
        self.expected.iterations += 1;
        let mut inside = Around {
            document: around.document,
            prefix: format!("{way}[{index}]/"),
            inputs: around.inputs.clone(),
            item,
            index,
            depth: around.depth,
            outer: Some(around),
            done: BTreeMap::new(),
        };
        self.body(&mut inside, node["id"].as_str())?;
        Ok(match inside.done.get(text(&node["data"]["result"])) {
            Some(End::Finished(Some(value), _)) => value.clone(),
            // Not a number, whatever it is.
            Some(End::Finished(None, _)) => json!({"any": true}),
            _ => Value::Null,
        })
    }

    fn items(
        &mut self,
        around: &Around<'_>,
        node: &Value,
        way: &str,
        value: u64,
    ) -> Result<End, Causes> {
        let data = &node["data"];
        let items = data["items"].as_array().into_iter().flatten();
        let items: Vec<Value> = items
            .map(|item| {
                if item.is_number() {
                    item.clone()
                } else {
                    value.into()
                }
            })
            .collect();
        let items: Vec<Value> = match data.get("batch_size") {
            Some(_) => items.chunks(2).map(|some| some.to_vec().into()).collect(),
            None => items,
        };
        let (mut results, mut causes) = (Vec::new(), Causes::new());
        for (index, item) in items.into_iter().enumerate() {
            let result = self.iteration(around, node, way, index as u64, item);
            if result.is_err() {
                self.expected.broken_off.push(format!("{way}[{index}]/"));
            }
            match (result, text(&data["on_item_error"])) {
                (Ok(result), _) => results.push(result),
                (Err(_), "continue") => results.push(json!({"any": true})),
                (Err(_), "drop") => {}
                (Err(more), _) => causes.extend(more),
            }
        }
        match causes.is_empty() {
            true => Ok(End::Finished(Some(results.into()), "output".into())),
            false => Err(causes),
        }
    }

    fn rounds(&mut self, around: &Around<'_>, node: &Value, way: &str) -> Result<End, Causes> {
        let data = &node["data"];
        let words = text(&data["condition"]).split_whitespace().nth(2);
        let least: u64 = words.and_then(|word| word.parse().ok()).unwrap_or(0);
        let most = data["max_iterations"].as_u64().unwrap_or(0);
        let mut previous = Value::Null;
        let mut index = 0;
        let done = |index: u64, previous: Value| {
            let output = json!({"result": previous, "iterations": index});
            Ok(End::Finished(Some(output), "output".into()))
        };
        loop {
            self.attempt(node, way)?;
            // The loop's own expressions see its own index.
            let value = around.term_at(node, Some((index, &previous)));
            if data.get("skip_if").is_some() && value % 3 == 0 {
                return Ok(around.handed_on(node));
            }
            let ends = previous.as_u64().is_some_and(|number| number % 4 == 0);
            if index >= least || ends {
                return done(index, previous);
            }
            if index >= most {
                return match text(&data["on_limit"]) {
                    "stop" => done(index, previous),
                    _ => Err([(way.to_owned(), "loop_limit".to_owned())].into()),
                };
            }
            previous = self.iteration(around, node, way, index, previous)?;
            index += 1;
        }
    }

    fn call(
        &mut self,
        around: &Around<'_>,
        node: &Value,
        way: &str,
        value: u64,
    ) -> Result<End, Causes> {
        if around.depth >= self.max_depth {
            return Err([(way.to_owned(), "too_deep".to_owned())].into());
        }
        let which = which(&node["data"]).expect("a version");
        let callee = &self.library[&which];
        self.expected.iterations += 1;
        let inputs = json!({"x": value});
        let outputs = self.workflow(callee, format!("{way}[0]/"), inputs, around.depth + 1)?;
        Ok(End::Finished(Some(outputs), "output".into()))
    }
}

impl Around<'_> {
    fn end_of(&self, id: &str) -> Option<&End> {
        let own = self.done.get(id);
        own.or_else(|| self.outer?.end_of(id))
    }

    /// What the node's term comes to.
    fn term(&self, node: &Value) -> u64 {
        self.term_at(node, None)
    }

    fn term_at(&self, node: &Value, own: Option<(u64, &Value)>) -> u64 {
        let model = &node["model"];
        let mut sum = model["salt"].as_u64().unwrap_or(0);
        for (i, one) in model["refs"].as_array().into_iter().flatten().enumerate() {
            sum += (i as u64 + 2) * self.number(text(&one[0]), text(&one[1]));
        }
        let number = |value: &Value| value.as_u64().unwrap_or(7);
        let index = own.map_or(self.index, |(index, _)| index);
        sum += match model["item"].as_str() {
            Some("item") => number(&self.item) + index,
            Some("batch") => {
                let items = self.item.as_array().into_iter().flatten();
                items.map(number).sum::<u64>() + index
            }
            Some(_) => number(own.map_or(&self.item, |(_, previous)| previous)) + index,
            None => self.inputs["x"].as_u64().unwrap_or(5),
        };
        sum % 10_007
    }

    fn number(&self, id: &str, kind: &str) -> u64 {
        let Some(End::Finished(Some(value), _)) = self.end_of(id) else {
            return 7;
        };
        let found = match kind {
            "for_each" => value
                .as_array()
                .map(|items| items.iter().filter_map(Value::as_u64).sum()),
            "while" => value["iterations"].as_u64(),
            "workflow" => value["out"].as_u64(),
            _ => value.as_u64(),
        };
        found.unwrap_or(7)
    }

    /// What a node that is skipped by its condition hands on.
    fn handed_on(&self, node: &Value) -> End {
        let taken: Vec<&Value> = edges_to(self.document, node)
            .filter(|edge| self.is_taken(edge) == Some(true))
            .collect();
        let value = match taken.as_slice() {
            [one] => match self.done.get(text(&one["source"])) {
                Some(End::Finished(value, _)) => value.clone(),
                _ => None,
            },
            _ => None,
        };
        End::Finished(value, "*".into())
    }

    /// None when it never comes to that.
    fn is_taken(&self, edge: &Value) -> Option<bool> {
        match self.done.get(text(&edge["source"]))? {
            End::Finished(_, handle) if handle == "*" => Some(edge["sourceHandle"] != "error"),
            End::Finished(_, handle) => Some(edge["sourceHandle"] == handle.as_str()),
            End::Skipped => Some(false),
            End::Failed => None,
        }
    }
}

/// Whether a node runs (true) or is skipped (false); none when it waits for one that failed.
fn turn_of(around: &Around<'_>, node: &Value) -> Option<bool> {
    let edges: Vec<Option<bool>> = edges_to(around.document, node)
        .map(|edge| around.is_taken(edge))
        .collect();
    if edges.is_empty() {
        return Some(true);
    }
    let count = |wanted: Option<bool>| edges.iter().filter(|edge| **edge == wanted).count() as u64;
    let (taken, open) = (count(Some(true)), count(None));
    let least = match &node["data"]["join"] {
        Value::String(word) if word == "any" => Some(1),
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    match least {
        Some(least) if taken >= least => Some(true),
        Some(least) if taken + open < least => Some(false),
        None if open == 0 => Some(taken > 0),
        _ => None,
    }
}

fn which(data: &Value) -> Option<WorkflowRef> {
    Some(WorkflowRef {
        workflow_id: data["workflow_id"].as_str()?.to_owned(),
        version: data["version"].as_i64()?,
    })
}

fn nodes(document: &Value) -> impl Iterator<Item = &Value> {
    document["nodes"].as_array().into_iter().flatten()
}

fn edges_to<'a>(document: &'a Value, node: &'a Value) -> impl Iterator<Item = &'a Value> {
    let edges = document["edges"].as_array().into_iter().flatten();
    edges.filter(move |edge| edge["target"] == node["id"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
