//! What differs between two values, in RFC 6902's words and within bounds: two runs may have outputs of megabytes.

use nodeai_versions::{Change, ChangeOp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// Most changes that are told of one value.
const MOST_CHANGES: usize = 100;
/// Longest value in a change, bytes of JSON.
const LONGEST_VALUE: usize = 2 * 1024;
/// Deepest place that is looked at: below it, a value is replaced whole.
const DEEPEST: usize = 64;

/// The changes between two values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Changes {
    /// RFC 6902 operations in their order, each with the old value beside the new one.
    pub changes: Vec<Change>,
    /// Whether there are more, or long values were cut: then the operations do not make one value of the other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What makes `b` out of `a`.
pub fn changes(a: &Value, b: &Value) -> Changes {
    let mut found = Changes::default();
    found.compare(a, b, &mut String::new(), 0);
    found
}

impl Changes {
    fn full(&mut self) -> bool {
        let full = self.changes.len() >= MOST_CHANGES;
        self.truncated |= full;
        full
    }

    fn push(&mut self, op: ChangeOp, path: &str, value: Option<&Value>, old: Option<&Value>) {
        if self.full() {
            return;
        }
        let mut bounded = |value: &Value| {
            let short = short_to(value, LONGEST_VALUE);
            self.truncated |= short.is_some();
            short.unwrap_or_else(|| value.clone())
        };
        let (value, old) = (value.map(&mut bounded), old.map(&mut bounded));
        self.changes.push(Change {
            op,
            path: path.to_owned(),
            value,
            old,
        });
    }

    fn compare(&mut self, a: &Value, b: &Value, path: &mut String, depth: usize) {
        match (a, b) {
            _ if a == b => {}
            (Value::Object(a), Value::Object(b)) if depth < DEEPEST => {
                self.compare_objects(a, b, path, depth);
            }
            (Value::Array(a), Value::Array(b)) if depth < DEEPEST => {
                self.compare_lists(a, b, path, depth);
            }
            (a, b) => self.push(ChangeOp::Replace, path, Some(b), Some(a)),
        }
    }

    fn compare_objects(
        &mut self,
        a: &Map<String, Value>,
        b: &Map<String, Value>,
        path: &mut String,
        depth: usize,
    ) {
        for (name, old) in a {
            if self.full_if_more() {
                return;
            }
            let length = step(path, &token(name));
            match b.get(name) {
                Some(new) => self.compare(old, new, path, depth + 1),
                None => self.push(ChangeOp::Remove, path, None, Some(old)),
            }
            path.truncate(length);
        }
        for (name, new) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
            let length = step(path, &token(name));
            self.push(ChangeOp::Add, path, Some(new), None);
            path.truncate(length);
        }
    }

    /// What both begin and end with stays; of the rest, as many as both have are compared one by one.
    fn compare_lists(&mut self, a: &[Value], b: &[Value], path: &mut String, depth: usize) {
        let same = |pairs: &mut dyn Iterator<Item = (&Value, &Value)>| {
            pairs.take_while(|(a, b)| a == b).count()
        };
        let start = same(&mut a.iter().zip(b));
        let (a, b) = (&a[start..], &b[start..]);
        let end = same(&mut a.iter().rev().zip(b.iter().rev()));
        let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
        for (at, (old, new)) in a.iter().zip(b).enumerate() {
            if self.full_if_more() {
                return;
            }
            let length = step(path, &(start + at).to_string());
            self.compare(old, new, path, depth + 1);
            path.truncate(length);
        }
        let both = a.len().min(b.len());
        for old in &a[both..] {
            // What follows has moved up.
            let length = step(path, &(start + both).to_string());
            self.push(ChangeOp::Remove, path, None, Some(old));
            path.truncate(length);
        }
        for (at, new) in b[both..].iter().enumerate() {
            let length = step(path, &(start + both + at).to_string());
            self.push(ChangeOp::Add, path, Some(new), None);
            path.truncate(length);
        }
    }

    /// Whether to stop looking: enough was found already.
    fn full_if_more(&self) -> bool {
        self.truncated && self.changes.len() >= MOST_CHANGES
    }
}

fn step(path: &mut String, token: &str) -> usize {
    let length = path.len();
    path.push('/');
    path.push_str(token);
    length
}

/// A name as a part of a JSON pointer (RFC 6901).
pub(crate) fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A value for people: the beginning of its text where it is long.
pub(crate) fn short(value: Value) -> Value {
    short_to(&value, 4 * LONGEST_VALUE).unwrap_or(value)
}

/// The beginning of a value's text, if it is longer than `most` bytes.
fn short_to(value: &Value, most: usize) -> Option<Value> {
    let text = match value {
        Value::String(text) if text.len() > most => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return None,
    };
    if text.len() <= most {
        return None;
    }
    let end = text.floor_char_boundary(most);
    Some(Value::String(format!(
        "{}… ({} bytes)",
        &text[..end],
        text.len()
    )))
}
