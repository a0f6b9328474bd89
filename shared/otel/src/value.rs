//! Values of attributes as plain JSON.

use crate::proto::{Any, AnyValue, KeyValue};
use serde_json::{Map, Value};

/// Deepest nesting of a value; what is deeper is null.
const DEEPEST: usize = 32;

/// A list of attributes as an object; the last of a doubled name wins. U+0000, which the store cannot hold, becomes U+FFFD.
pub fn attributes(list: Vec<KeyValue>) -> Map<String, Value> {
    members(list, 0)
}

fn members(list: Vec<KeyValue>, depth: usize) -> Map<String, Value> {
    let plain = |pair: KeyValue| {
        let value = pair.value.map_or(Value::Null, |v| plain(v, depth));
        (clean(pair.key), value)
    };
    list.into_iter().map(plain).collect()
}

fn plain(any: AnyValue, depth: usize) -> Value {
    if depth >= DEEPEST {
        return Value::Null;
    }
    match any.value {
        None => Value::Null,
        Some(Any::Text(text)) => clean(text).into(),
        Some(Any::Bool(truth)) => truth.into(),
        Some(Any::Int(number)) => number.into(),
        // Protobuf's JSON names what JSON has no number for.
        Some(Any::Double(number)) => serde_json::Number::from_f64(number)
            .map_or_else(|| special(number).into(), Value::Number),
        Some(Any::Array(list)) => list
            .values
            .into_iter()
            .map(|v| plain(v, depth + 1))
            .collect(),
        Some(Any::Map(map)) => Value::Object(members(map.values, depth + 1)),
        Some(Any::Bytes(bytes)) => base64(&bytes).into(),
    }
}

fn special(number: f64) -> &'static str {
    match number {
        n if n.is_nan() => "NaN",
        n if n > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// A text without U+0000.
pub fn clean(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// Standard base64 with padding (RFC 4648, section 4): how protobuf's JSON writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |all, b| all << 8 | u32::from(*b));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() {
                digit as char
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64() {
        // The test vectors of RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_json_cannot_say_has_a_name() {
        let pair = |key: &str, value| KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(value) }),
        };
        let map = attributes(vec![
            pair("nan", Any::Double(f64::NAN)),
            pair("one", Any::Double(1.0)),
            pair("nul\0", Any::Text("a\0b".into())),
        ]);
        assert_eq!(map["nan"], "NaN");
        assert_eq!(map["one"].to_string(), "1.0", "a float stays one");
        assert_eq!(map["nul\u{fffd}"], "a\u{fffd}b");
    }
}
