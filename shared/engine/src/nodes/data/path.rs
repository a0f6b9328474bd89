//! Paths into an item: `name`, `address.city`, `tags[0].id`. A name with dots or brackets in it is written `["a.b"]`.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// A path into an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    text: String,
    steps: Vec<Step>,
}

/// Most items that setting an index may add to a list.
const LONGEST_GAP: usize = 1_000;

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no path: write a, a.b, a[0] or [\"a.b\"]");
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, after) = bracket(inner).ok_or_else(bad)?;
                steps.push(step);
                rest = after;
            } else {
                let name = match (rest.strip_prefix('.'), steps.is_empty()) {
                    (Some(after), false) => after,
                    (None, true) => rest,
                    _ => return Err(bad()),
                };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                if end == 0 {
                    return Err(bad());
                }
                steps.push(Step::Name(name[..end].to_owned()));
                rest = &name[end..];
            }
        }
        if steps.is_empty() {
            return Err(bad());
        }
        let text = text.trim().to_owned();
        Ok(Self { text, steps })
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What is there.
    pub(super) fn get<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(item, |value, step| match step {
            Step::Name(name) => value.get(name),
            Step::Index(at) => value.get(at),
        })
    }

    /// Puts a value there; objects on the way are made. Fails where something else is in the way.
    pub(super) fn set(&self, item: &mut Value, value: Value) -> Result<(), String> {
        let mut at = item;
        for step in &self.steps {
            at = match (step, at) {
                (Step::Name(name), Value::Object(map)) => {
                    map.entry(name.clone()).or_insert(Value::Null)
                }
                (Step::Name(name), at @ Value::Null) => {
                    *at = Value::Object(Map::new());
                    &mut at[name.as_str()]
                }
                (Step::Index(index), at @ (Value::Array(_) | Value::Null)) => {
                    if at.is_null() {
                        *at = Value::Array(Vec::new());
                    }
                    let Value::Array(items) = at else {
                        return Err(self.in_the_way());
                    };
                    if *index > items.len() + LONGEST_GAP {
                        return Err(format!("{} is far beyond the end of the list", self.text));
                    }
                    if *index >= items.len() {
                        items.resize(index + 1, Value::Null);
                    }
                    &mut items[*index]
                }
                _ => return Err(self.in_the_way()),
            };
        }
        *at = value;
        Ok(())
    }

    fn in_the_way(&self) -> String {
        format!("{} cannot be set: something else is in the way", self.text)
    }

    /// Takes out what is there.
    pub(super) fn remove(&self, item: &mut Value) -> Option<Value> {
        let (last, way) = self.steps.split_last()?;
        let at = way.iter().try_fold(item, |value, step| match step {
            Step::Name(name) => value.get_mut(name),
            Step::Index(at) => value.get_mut(at),
        })?;
        match (last, at) {
            (Step::Name(name), Value::Object(map)) => map.shift_remove(name),
            (Step::Index(at), Value::Array(items)) if *at < items.len() => Some(items.remove(*at)),
            _ => None,
        }
    }
}

fn bracket(inner: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = inner.strip_prefix('"') {
        let (name, after) = quoted.split_once("\"]")?;
        return Some((Step::Name(name.to_owned()), after));
    }
    let (digits, after) = inner.split_once(']')?;
    Some((Step::Index(digits.parse().ok()?), after))
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).expect(text)
    }

    #[test]
    fn paths_lead_into_objects_and_lists() {
        let item = json!({"a": {"b": [1, {"c": 2}]}, "x.y": 3});
        assert_eq!(path("a.b[1].c").get(&item), Some(&json!(2)));
        assert_eq!(path("[\"x.y\"]").get(&item), Some(&json!(3)));
        assert_eq!(path("a.b[9]").get(&item), None);
        assert_eq!(path("a.b.c").get(&item), None);
    }

    #[test]
    fn setting_makes_what_is_missing() {
        let mut item = json!({"n": 1});
        path("a.b[1]").set(&mut item, json!("x")).expect("free");
        assert_eq!(item, json!({"n": 1, "a": {"b": [null, "x"]}}));
        assert!(path("n.x").set(&mut item, json!(1)).is_err());
        assert!(path("a.b[99999]").set(&mut item, json!(1)).is_err());
        assert_eq!(path("a.b[0]").remove(&mut item), Some(json!(null)));
        assert_eq!(item, json!({"n": 1, "a": {"b": ["x"]}}));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", "a..b", "a[x]", "a[1", "[\"a]", ".a"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
