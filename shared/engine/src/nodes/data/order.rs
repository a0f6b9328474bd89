//! How values compare: one total order over all JSON values, equality by number rather than by notation, and keys that two
//! equal values share.

use std::cmp::Ordering;

use serde_json::Value;

/// How texts compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Collation {
    /// Upper and lower case are the same.
    pub(super) ignore_case: bool,
    /// Runs of digits compare as numbers: a2 before a10.
    pub(super) natural: bool,
}

/// null < false < true < numbers < texts < lists < objects.
pub(super) fn compare(a: &Value, b: &Value, by: Collation) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => texts(a, b, by),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| compare(a, b, by));
            first_difference(pairs).then(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pairs = a
                .iter()
                .zip(b)
                .map(|((n, v), (m, w))| n.cmp(m).then_with(|| compare(v, w, by)));
            first_difference(pairs).then(a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

fn numbers(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => {
            let float = |n: &serde_json::Number| n.as_f64().unwrap_or(f64::NAN);
            float(a).total_cmp(&float(b))
        }
    }
}

fn integer(number: &serde_json::Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

fn texts(a: &str, b: &str, by: Collation) -> Ordering {
    match (by.ignore_case, by.natural) {
        (false, false) => a.cmp(b),
        (true, false) => a.to_lowercase().cmp(&b.to_lowercase()),
        (false, true) => natural(a, b),
        (true, true) => natural(&a.to_lowercase(), &b.to_lowercase()),
    }
}

/// Runs of digits by their value, then by their length; the rest by code point.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (digits(a), digits(b));
        let order = if !x.is_empty() && !y.is_empty() {
            let (p, q) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            let order = p
                .len()
                .cmp(&q.len())
                .then_with(|| p.cmp(q))
                .then(x.len().cmp(&y.len()));
            (a, b) = (&a[x.len()..], &b[y.len()..]);
            order
        } else {
            let (mut left, mut right) = (a.chars(), b.chars());
            let order = match (left.next(), right.next()) {
                (None, None) => return Ordering::Equal,
                (p, q) => p.cmp(&q),
            };
            (a, b) = (left.as_str(), right.as_str());
            order
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn digits(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    &text[..end]
}

/// Whether two values are the same. Loosely, `"1"` is 1 and `"true"` is true.
pub(super) fn same(a: &Value, b: &Value, loose: bool, ignore_case: bool) -> bool {
    key(a, loose, ignore_case) == key(b, loose, ignore_case)
}

/// A text that is the same for values that are the same: 1 and 1.0, and objects whatever the order of their fields.
pub(super) fn key(value: &Value, loose: bool, ignore_case: bool) -> String {
    let mut out = String::new();
    write_key(value, loose, ignore_case, &mut out);
    out
}

fn write_key(value: &Value, loose: bool, ignore_case: bool, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&plain_number(number)),
        Value::String(text) => {
            let parsed = loose
                .then(|| serde_json::from_str::<Value>(text.trim()).ok())
                .flatten();
            match parsed.filter(|value| value.is_number() || value.is_boolean()) {
                Some(scalar) => write_key(&scalar, false, false, out),
                None if ignore_case => out.push_str(&Value::from(text.to_lowercase()).to_string()),
                None => out.push_str(&value.to_string()),
            }
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_key(item, loose, ignore_case, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_key(&map[name], loose, ignore_case, out);
                out.push(',');
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// 2.0 as 2.
fn plain_number(number: &serde_json::Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_different_types_have_an_order() {
        let sorted = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1.5),
            json!(2),
            json!(u64::MAX),
            json!("a"),
            json!([1]),
            json!([1, 2]),
            json!({}),
        ];
        for pair in sorted.windows(2) {
            assert_eq!(
                compare(&pair[0], &pair[1], Collation::default()),
                Ordering::Less,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn natural_order_reads_numbers() {
        let by = Collation {
            natural: true,
            ..Collation::default()
        };
        let mut files = vec![
            json!("f10"),
            json!("f9"),
            json!("f09"),
            json!("f1b"),
            json!("f1"),
        ];
        files.sort_by(|a, b| compare(a, b, by));
        assert_eq!(
            files,
            vec![
                json!("f1"),
                json!("f1b"),
                json!("f9"),
                json!("f09"),
                json!("f10")
            ]
        );
    }

    #[test]
    fn notation_does_not_make_a_difference() {
        assert!(same(
            &json!({"a": 1, "b": 2.0}),
            &json!({"b": 2, "a": 1.0}),
            false,
            false
        ));
        assert!(!same(&json!("1"), &json!(1), false, false));
        assert!(same(&json!("1"), &json!(1), true, false));
        assert!(same(&json!("É"), &json!("é"), false, true));
        assert!(!same(&json!(["a", "b"]), &json!(["a,b"]), false, false));
    }
}
