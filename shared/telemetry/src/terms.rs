//! What a trace can be found by among its spans' attributes: a number for each name with its value. A search looks into the spans of those
//! traces alone that have the number; others with the same number are ruled out there.

use crate::Attributes;
use crc32fast::Hasher;
use serde_json::Value;

/// Most terms of a trace; the spans of one with more are always looked at.
pub const MOST: usize = 256;
/// Longest value that is a term, bytes. Longer ones do not stand beside the span, where a search looks.
const LONGEST: usize = 200;
/// Holds the attributes of the resource.
const RESOURCE: &str = "otel.resource";

/// The number for an attribute with this text (CRC-32 of ISO 3309 over name, zero byte and text). None for texts that may be written in
/// another way where they are stored: numbers that are not whole, JSON, control characters.
pub fn term(name: &str, text: &str) -> Option<i32> {
    let whole = text.parse::<i64>().is_ok_and(|n| n.to_string() == text);
    let other = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let written_otherwise = text.len() > LONGEST
        || text.starts_with(['[', '{'])
        || text.contains(other)
        || (!whole && text.parse::<f64>().is_ok());
    (!written_otherwise).then(|| {
        let mut hasher = Hasher::new();
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(text.as_bytes());
        hasher.finalize().cast_signed()
    })
}

/// The terms of spans with these attributes, those of their resources among them, each once; none when there are too many.
pub fn terms<'a>(spans: impl Iterator<Item = &'a Attributes>) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for attributes in spans {
        let resource = attributes.get(RESOURCE).and_then(Value::as_object);
        for (name, value) in attributes.iter().chain(resource.into_iter().flatten()) {
            found.extend(of_value(name, value));
        }
        if found.len() > 4 * MOST {
            found.sort_unstable();
            found.dedup();
            if found.len() > MOST {
                return None;
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    (found.len() <= MOST).then_some(found)
}

fn of_value(name: &str, value: &Value) -> Option<i32> {
    match value {
        Value::String(text) => term(name, text),
        Value::Bool(yes) => term(name, if *yes { "true" } else { "false" }),
        Value::Number(number) if number.is_i64() => term(name, &number.to_string()),
        // A store of decimals writes out what JSON has with an exponent: 1e16 is searched as a whole number.
        Value::Number(number) => term(name, &number.as_f64()?.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(spans: &[Value]) -> Option<Vec<i32>> {
        terms(spans.iter().filter_map(Value::as_object))
    }

    #[test]
    fn the_number_is_the_published_checksum() {
        // zlib.crc32(b"customer\0c7") of Python 3.
        assert_eq!(
            term("customer", "c7").map(i32::cast_unsigned),
            Some(4_244_128_442)
        );
    }

    #[test]
    fn values_have_the_number_of_their_text() {
        let found =
            of(&[json!({"a": "x", "n": 5, "yes": true, "otel.resource": {"service.name": "s"}})]);
        let mut wanted: Vec<i32> = [
            ("a", "x"),
            ("n", "5"),
            ("yes", "true"),
            ("service.name", "s"),
        ]
        .iter()
        .filter_map(|(name, text)| term(name, text))
        .collect();
        wanted.sort_unstable();
        assert_eq!((wanted.len(), found), (4, Some(wanted)));
    }

    #[test]
    fn what_may_be_written_otherwise_has_none() {
        let long = "x".repeat(LONGEST + 1);
        for text in [
            "1.0", "1e3", "007", "inf", "[1]", "{}", "a\u{0}b", "\u{fffd}", &long,
        ] {
            assert_eq!(term("a", text), None, "{text}");
        }
        let found = of(&[json!({"a": 0.5, "b": [1], "c": null, "d": {"e": 1}, "f": u64::MAX})]);
        assert_eq!(found, Some(Vec::new()));
    }

    #[test]
    fn whole_numbers_with_an_exponent_have_that_of_their_digits() {
        // As SELECT ('{"n": 1.2345678901234568e16}'::jsonb) ->> 'n' of PostgreSQL writes them.
        for (number, text) in [
            (1e16, "10000000000000000"),
            (1.234_567_890_123_456_8e16, "12345678901234568"),
            (-1e18, "-1000000000000000000"),
        ] {
            let found = of(&[json!({"n": number})]);
            assert_eq!(found, Some(vec![term("n", text).expect(text)]), "{text}");
        }
        assert_eq!(of(&[json!({"n": 1e30})]), Some(Vec::new()));
    }

    #[test]
    fn too_many_are_none() {
        let spans = |n: usize| -> Vec<Value> {
            (0..n)
                .map(|i| json!({"id": format!("i{i}"), "same": 1}))
                .collect()
        };
        assert_eq!(of(&spans(MOST - 1)).map(|found| found.len()), Some(MOST));
        assert_eq!(of(&spans(MOST)), None);
        assert_eq!(of(&spans(20 * MOST)), None);
    }
}
