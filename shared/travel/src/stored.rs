//! A document as PostgreSQL's jsonb gives it back. One that comes with a request runs in this form, so that its runs can be
//! played again from what is stored: members in another order could be another text in a prompt.

use serde_json::{Map, Number, Value};

/// The value after it has been stored and read: members by the length of their names, then by their bytes; numbers by their
/// value; U+0000, which cannot be stored, as U+FFFD.
pub fn as_stored(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(String, Value)> = map.into_iter().collect();
            for (name, _) in &mut members {
                *name = without_nul(std::mem::take(name));
            }
            members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            let members = members
                .into_iter()
                .map(|(name, value)| (name, as_stored(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(as_stored).collect(),
        Value::String(text) => Value::String(without_nul(text)),
        Value::Number(number) => Value::Number(stored_number(number)),
        other => other,
    }
}

fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// Decimal notation: what was written with an exponent may come back as a whole number, and zero has no sign.
fn stored_number(number: Number) -> Number {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number;
    };
    if value == 0.0 {
        return Number::from_f64(0.0).unwrap_or(number);
    }
    // Written as 1e16 and above.
    let whole = value.fract() == 0.0 && number.to_string().contains('e');
    if whole && value > 0.0 && value < 2f64.powi(64) {
        return Number::from(value as u64);
    }
    if whole && value < 0.0 && value >= -(2f64.powi(63)) {
        return Number::from(value as i64);
    }
    number
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_come_back_by_length_and_numbers_by_value() {
        let given =
            json!({"zz": 1e16, "b": {"long": -1e17, "é": 1e300, "a": 1.0}, "a": [-0.0, "x\u{0}"]});
        let stored = as_stored(given);
        assert_eq!(
            stored.to_string(),
            r#"{"a":[0.0,"x�"],"b":{"a":1.0,"é":1e+300,"long":-100000000000000000},"zz":10000000000000000}"#
        );
        assert_eq!(as_stored(stored.clone()).to_string(), stored.to_string());
    }
}
