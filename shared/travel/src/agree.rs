//! Whether what was recorded is what is rendered anew. A recording has blanks where secrets were, and a replay has no secrets:
//! it renders twice, with two different stand-ins, and what differs between the two depends on a secret.

use nodeai_engine::BLANK;
use serde_json::Value;

/// What is rendered anew: with one stand-in for each secret and, where there are secrets, with another.
#[derive(Clone, Copy)]
pub(crate) struct Twice<'a> {
    pub(crate) one: &'a Value,
    pub(crate) other: Option<&'a Value>,
}

/// Whether the recorded value may be this one.
pub(crate) fn agrees(recorded: &Value, rendered: Twice<'_>) -> bool {
    let Some(other) = rendered.other else {
        return same(recorded, rendered.one);
    };
    match (rendered.one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            let Value::Object(recorded) = recorded else {
                return false;
            };
            recorded.len() == one.len()
                && one.iter().all(|(name, value)| {
                    let rendered = Twice {
                        one: value,
                        other: other.get(name),
                    };
                    let recorded = recorded.get(name);
                    recorded.is_some_and(|recorded| agrees(recorded, rendered))
                })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let Value::Array(recorded) = recorded else {
                return false;
            };
            let pairs = one.iter().zip(other);
            recorded.len() == one.len()
                && recorded.iter().zip(pairs).all(|(recorded, (one, other))| {
                    let other = Some(other);
                    agrees(recorded, Twice { one, other })
                })
        }
        (one, other) => one != other || same(recorded, one),
    }
}

/// Whether two values are the same up to blanks in the recorded one.
fn same(recorded: &Value, rendered: &Value) -> bool {
    match (recorded, rendered) {
        (Value::String(recorded), Value::String(rendered)) => same_text(recorded, rendered),
        (Value::Number(recorded), Value::Number(rendered)) => {
            // A store may give a number back in another form.
            recorded == rendered || recorded.as_f64() == rendered.as_f64()
        }
        (Value::Array(recorded), Value::Array(rendered)) => {
            recorded.len() == rendered.len()
                && recorded.iter().zip(rendered).all(|(a, b)| same(a, b))
        }
        (Value::Object(recorded), Value::Object(rendered)) => {
            let blanked = recorded.keys().any(|name| name.contains(BLANK));
            blanked
                || recorded.len() == rendered.len()
                    && recorded.iter().all(|(name, value)| {
                        let rendered = rendered.get(name);
                        rendered.is_some_and(|rendered| same(value, rendered))
                    })
        }
        (recorded, rendered) => recorded == rendered,
    }
}

/// Whether two texts are the same; a blank stands for any text.
pub(crate) fn same_text(recorded: &str, rendered: &str) -> bool {
    if recorded == rendered {
        return true;
    }
    let Some((start, behind)) = recorded.split_once(BLANK) else {
        return false;
    };
    let (middle, end) = match behind.rsplit_once(BLANK) {
        Some((middle, end)) => (Some(middle), end),
        None => (None, behind),
    };
    let Some(mut rest) = rendered
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end))
    else {
        return false;
    };
    for part in middle.into_iter().flat_map(|middle| middle.split(BLANK)) {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(recorded: Value, one: Value) -> bool {
        let other = None;
        agrees(&recorded, Twice { one: &one, other })
    }

    #[test]
    fn a_blank_stands_for_any_text_and_nothing_else_does() {
        assert!(plain(
            json!({"a": ["x [redacted] y"]}),
            json!({"a": ["x hush y"]})
        ));
        assert!(plain(json!("[redacted]/[redacted]"), json!("a/b")));
        assert!(!plain(json!("x [redacted] y"), json!("x hush z")));
        assert!(!plain(json!("[redacted]a[redacted]"), json!("bbb")));
        assert!(!plain(json!({"a": 1}), json!({"a": 2})));
        assert!(!plain(json!([1]), json!([1, 2])));
        assert!(plain(json!(1.0), json!(1)));
        assert!(!plain(json!("aba"), json!("ab")));
    }

    #[test]
    fn what_depends_on_a_secret_cannot_disagree() {
        let rendered = |recorded: Value| {
            let (one, other) = (json!({"a": "AAA", "b": "x"}), json!({"a": "BB", "b": "x"}));
            let other = Some(&other);
            agrees(&recorded, Twice { one: &one, other })
        };
        assert!(rendered(json!({"a": "[redacted]", "b": "x"})));
        assert!(rendered(json!({"a": "anything", "b": "x"})));
        assert!(!rendered(json!({"a": "[redacted]", "b": "y"})));
        assert!(!rendered(json!({"a": "[redacted]"})));
    }
}
