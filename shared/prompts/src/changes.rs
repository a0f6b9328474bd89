//! What changed between two versions of a template.

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::Template;

/// One place that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// JSON pointer within the template.
    pub pointer: String,
    /// What was there; null where nothing was.
    pub before: Value,
    /// What is there; null where nothing is.
    pub after: Value,
    /// Of texts of several lines: each line with `-` (gone), `+` (new) or a space (the same) before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// The places that differ, in the order of the template.
pub fn changes(before: &Template, after: &Template) -> Vec<Change> {
    let value = |template: &Template| serde_json::to_value(template).unwrap_or_default();
    let mut found = Vec::new();
    compare(&value(before), &value(after), String::new(), &mut found);
    found
}

fn compare(before: &Value, after: &Value, pointer: String, found: &mut Vec<Change>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let part = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let escaped = key.replace('~', "~0").replace('/', "~1");
                compare(
                    &part(old).unwrap_or_default(),
                    &part(new).unwrap_or_default(),
                    format!("{pointer}/{escaped}"),
                    found,
                );
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for i in 0..old.len().max(new.len()) {
                let part = |list: &[Value]| list.get(i).cloned().unwrap_or_default();
                compare(&part(old), &part(new), format!("{pointer}/{i}"), found);
            }
        }
        (old, new) if old == new => {}
        (old, new) => found.push(Change {
            pointer,
            before: old.clone(),
            after: new.clone(),
            lines: old
                .as_str()
                .zip(new.as_str())
                .and_then(|(a, b)| lines(a, b)),
        }),
    }
}

/// Line by line, by Myers' algorithm (E. Myers, "An O(ND) difference algorithm and its variations", 1986).
fn lines(before: &str, after: &str) -> Option<Vec<String>> {
    if !before.contains('\n') && !after.contains('\n') {
        return None;
    }
    let diff = TextDiff::from_lines(before, after);
    let shown = diff.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("{sign}{}", change.value().trim_end_matches(['\n', '\r']))
    });
    Some(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(value: Value) -> Template {
        serde_json::from_value(value).expect("a template")
    }

    #[test]
    fn each_place_that_differs_is_named_with_its_lines() {
        let before = template(
            json!({"messages": [{"role": "system", "content": "Be kind.\nBe short."},
            {"role": "user", "content": "Hi"}]}),
        );
        let after = template(
            json!({"messages": [{"role": "system", "content": "Be kind.\nBe exact."},
            {"role": "user", "content": "Hi"}], "settings": {"temperature": 0.5}}),
        );
        let found = changes(&before, &after);
        let pointers: Vec<&str> = found.iter().map(|c| c.pointer.as_str()).collect();
        assert_eq!(pointers, ["/messages/0/content", "/settings/temperature"]);
        let lines = found[0].lines.clone().expect("lines");
        assert_eq!(lines, [" Be kind.", "-Be short.", "+Be exact."]);
        assert_eq!(
            (&found[1].before, &found[1].after),
            (&Value::Null, &json!(0.5))
        );
        assert!(changes(&after, &after).is_empty());
    }

    #[test]
    fn a_message_that_is_new_is_one_change() {
        let one = template(json!({"messages": [{"role": "user", "content": "a"}]}));
        let two = template(
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}),
        );
        let found = changes(&one, &two);
        assert_eq!((found.len(), found[0].pointer.as_str()), (1, "/messages/1"));
    }
}
