//! Parameters of a workflow, and the trials that their values make.

use nodeai_http::input::tokens;
use nodeai_http::{Checker, FieldError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most combinations of a study.
pub const MOST_TRIALS: usize = 200;
const MOST_PARAMETERS: usize = 10;
const MOST_VALUES: usize = 50;
/// Longest value, as JSON.
const LONGEST: usize = 20_000;

/// A place in a workflow and the values that are tried there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is called, once in a study: 1 to 60 characters; node and path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The node; the workflow's `vars` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// A JSON pointer into the node's `data` (or into `vars`), such as `/model`, `/k`, `/prompt`, `/index`, `/skip_if`.
    pub path: String,
    /// 1 to 50 values; null leaves the member out.
    pub values: Vec<Value>,
}

/// A trial: what it sets, by the parameters' names.
pub type Setting = Map<String, Value>;

impl Parameter {
    /// What it is called.
    pub fn name(&self) -> String {
        let usual = || format!("{}{}", self.node.as_deref().unwrap_or("vars"), self.path);
        self.name.clone().unwrap_or_else(usual)
    }

    /// The object that it is in. None when there is no such node.
    fn home<'a>(&self, definition: &'a mut Value) -> Option<&'a mut Value> {
        let Some(node) = &self.node else {
            let members = definition.as_object_mut()?;
            let vars = members.entry("vars");
            return Some(vars.or_insert_with(|| Value::Object(Map::new())));
        };
        let nodes = definition.get_mut("nodes")?.as_array_mut()?;
        let found = nodes.iter_mut().find(|one| one["id"] == **node)?;
        let members = found.as_object_mut()?;
        Some(
            members
                .entry("data")
                .or_insert_with(|| Value::Object(Map::new())),
        )
    }

    fn now(&self, definition: &Value) -> Value {
        let mut copy = definition.clone();
        let home = self.home(&mut copy);
        let found = home.and_then(|home| home.pointer(&self.path).cloned());
        found.unwrap_or_default()
    }

    /// Puts a value there. Objects on the way are made; anything else on the way is in the way.
    fn put(&self, definition: &mut Value, value: &Value) -> Result<(), Fault> {
        let mut place = self.home(definition).ok_or(Fault::NoNode)?;
        // What is not there need not be left out.
        if value.is_null() && place.pointer(&self.path).is_none() {
            return Ok(());
        }
        let way = tokens(&self.path);
        let (last, way) = way.split_last().ok_or(Fault::NoPlace)?;
        for step in way {
            place = inside(place, step).ok_or(Fault::NoPlace)?;
        }
        match place {
            Value::Object(members) if value.is_null() => drop(members.remove(last)),
            Value::Object(members) => drop(members.insert(last.clone(), value.clone())),
            Value::Array(items) => {
                let at: usize = last.parse().map_err(|_| Fault::NoPlace)?;
                *items.get_mut(at).ok_or(Fault::NoPlace)? = value.clone();
            }
            _ => return Err(Fault::NoPlace),
        }
        Ok(())
    }
}

fn inside<'a>(place: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(members) => Some(
            members
                .entry(step)
                .or_insert_with(|| Value::Object(Map::new())),
        ),
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

enum Fault {
    NoNode,
    NoPlace,
}

/// All trials, each once; the first is the workflow as it is, under its own values.
///
/// # Errors
/// Each parameter that leads nowhere, by its pointer.
pub fn trials(
    definition: &Value,
    parameters: &[Parameter],
) -> Result<Vec<Setting>, Vec<FieldError>> {
    let mut faults = Vec::new();
    for (i, parameter) in parameters.iter().enumerate() {
        let tried = parameter.values.iter().find_map(|value| {
            let mut copy = definition.clone();
            parameter.put(&mut copy, value).err()
        });
        let (part, detail) = match tried {
            Some(Fault::NoNode) => ("node", "the workflow has no such node"),
            Some(Fault::NoPlace) => ("path", "leads nowhere in the node's data"),
            None => continue,
        };
        let at = format!("/parameters/{i}/{part}");
        faults.push(FieldError::body(at, "unknown", detail));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let now = parameters
        .iter()
        .map(|one| (one.name(), one.now(definition)));
    let mut all: Vec<Setting> = vec![now.collect()];
    let mut made: Vec<Setting> = vec![Map::new()];
    for parameter in parameters {
        let name = parameter.name();
        let grown = made.iter().flat_map(|setting| {
            parameter.values.iter().map(|value| {
                let mut setting = setting.clone();
                setting.insert(name.clone(), value.clone());
                setting
            })
        });
        made = grown.collect();
    }
    for setting in made {
        if !all.contains(&setting) {
            all.push(setting);
        }
    }
    Ok(all)
}

/// The workflow with a trial's values in it.
pub fn apply(definition: &Value, parameters: &[Parameter], setting: &Setting) -> Value {
    let mut made = definition.clone();
    for parameter in parameters {
        if let Some(value) = setting.get(&parameter.name()) {
            // What leads nowhere was refused when the study was made.
            let _ = parameter.put(&mut made, value);
        }
    }
    made
}

/// Reports what is wrong with parameters, whatever the workflow is.
pub fn check(c: &mut Checker, parameters: &[Parameter]) {
    let some = (1..=MOST_PARAMETERS).contains(&parameters.len());
    c.require(some, "/parameters", "length", "1 to 10 parameters");
    let size = parameters
        .iter()
        .fold(1_usize, |n, one| n.saturating_mul(one.values.len()));
    let detail = "at most 200 combinations";
    c.require(size <= MOST_TRIALS, "/parameters", "length", detail);
    let mut names = std::collections::BTreeSet::new();
    for (i, one) in parameters.iter().enumerate() {
        let at = |part: &str| format!("/parameters/{i}{part}");
        c.length(one.name.as_deref().unwrap_or("n"), 1, 60, &at("/name"));
        c.length(one.node.as_deref().unwrap_or("n"), 1, 128, &at("/node"));
        let pointer = one.path.starts_with('/') && (2..=256).contains(&one.path.len());
        let detail = "must be a JSON pointer such as /model";
        c.require(pointer, &at("/path"), "format", detail);
        let some = (1..=MOST_VALUES).contains(&one.values.len());
        c.require(some, &at("/values"), "length", "1 to 50 values");
        for (j, value) in one.values.iter().enumerate() {
            let short = value.to_string().len() <= LONGEST;
            let at = at(&format!("/values/{j}"));
            c.require(short, &at, "length", "at most 20000 bytes as JSON");
        }
        let new = names.insert(one.name());
        c.require(new, &at(""), "duplicate", "give it a name of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parameters(given: Value) -> Vec<Parameter> {
        serde_json::from_value(given).expect("parameters")
    }

    fn workflow() -> Value {
        json!({"nodes": [{"id": "find", "type": "retrieve", "data": {"k": 5, "filters": [{"a": 1}]}}, {"id": "ask", "type": "llm"}],
            "edges": []})
    }

    #[test]
    fn every_combination_is_tried_once_and_the_workflow_as_it_is_first() {
        let parameters = parameters(json!([{"node": "find", "path": "/k", "values": [5, 10]},
            {"name": "model", "node": "ask", "path": "/model", "values": ["a", "b"]}]));
        let all = trials(&workflow(), &parameters).expect("trials");
        assert_eq!(json!(all[0]), json!({"find/k": 5, "model": null}));
        assert_eq!(all.len(), 5);
        let made = apply(&workflow(), &parameters, &all[4]);
        assert_eq!(made["nodes"][0]["data"]["k"], 10);
        assert_eq!(made["nodes"][1]["data"], json!({"model": "b"}));
        assert_eq!(
            apply(&workflow(), &parameters, &all[0])["nodes"][0],
            workflow()["nodes"][0]
        );
    }

    #[test]
    fn a_value_that_the_workflow_has_is_no_trial_of_its_own() {
        let parameters = parameters(json!([{"node": "find", "path": "/k", "values": [5, 7]}]));
        assert_eq!(trials(&workflow(), &parameters).expect("trials").len(), 2);
    }

    #[test]
    fn values_go_deep_into_lists_into_vars_and_away() {
        let parameters = parameters(
            json!([{"node": "find", "path": "/filters/0/a", "values": [2]},
            {"path": "/tone", "values": ["dry"]}, {"node": "find", "path": "/k", "values": [null]},
            {"node": "ask", "path": "/deep/er", "values": [1]}]),
        );
        let all = trials(&workflow(), &parameters).expect("trials");
        let made = apply(&workflow(), &parameters, &all[1]);
        assert_eq!(made["nodes"][0]["data"], json!({"filters": [{"a": 2}]}));
        assert_eq!(made["nodes"][1]["data"], json!({"deep": {"er": 1}}));
        assert_eq!(made["vars"], json!({"tone": "dry"}));
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let parameters = parameters(json!([{"node": "gone", "path": "/k", "values": [1]},
            {"node": "find", "path": "/k/deeper", "values": [1]}, {"node": "find", "path": "/filters/7/a", "values": [1]}]));
        let faults = trials(&workflow(), &parameters).expect_err("faults");
        let at: Vec<_> = faults.into_iter().filter_map(|one| one.pointer).collect();
        assert_eq!(
            at,
            [
                "/parameters/0/node",
                "/parameters/1/path",
                "/parameters/2/path"
            ]
        );
    }

    #[test]
    fn too_many_and_twice_are_wrong() {
        let one = |name: &str, n: usize| json!({"name": name, "path": "/a", "values": (0..n).collect::<Vec<_>>()});
        let mut c = Checker::default();
        check(
            &mut c,
            &parameters(json!([one("a", 20), one("a", 20), {"path": "k", "values": []}])),
        );
        let errors = c.finish().err().map(|p| p.errors).unwrap_or_default();
        let at: Vec<_> = errors.into_iter().filter_map(|e| e.pointer).collect();
        assert_eq!(
            at,
            [
                "/parameters/1",
                "/parameters/2/path",
                "/parameters/2/values"
            ]
        );
    }
}
