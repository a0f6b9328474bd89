//! What came back: a value of JSON, whatever its media type.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// The body of an answer as a value: JSON as it is, text as a text, anything else as `{"media_type", "base64"}`; null for
/// nothing.
pub fn value_of(content_type: Option<&str>, body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let media = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    let is_json = media == "application/json" || media.ends_with("+json");
    if (is_json || media.is_empty())
        && let Ok(value) = serde_json::from_slice(body)
    {
        return value;
    }
    let textual = is_json
        || media.is_empty()
        || media.starts_with("text/")
        || media.ends_with("+xml")
        || matches!(
            media.as_str(),
            "application/xml"
                | "application/x-ndjson"
                | "application/yaml"
                | "application/x-www-form-urlencoded"
        );
    match std::str::from_utf8(body) {
        Ok(text) if textual => json!(text),
        _ => json!({"media_type": media, "base64": BASE64_STANDARD.encode(body)}),
    }
}

/// Blanks secrets in a value, in texts and names alike. Values of fewer than four characters would blank everything.
pub fn blank(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) => *text = blanked(text, secrets),
        Value::Array(list) => list.iter_mut().for_each(|inner| blank(inner, secrets)),
        Value::Object(map) => {
            let dirty = |name: &String| {
                secrets
                    .iter()
                    .any(|s| s.len() >= 4 && name.contains(s.as_str()))
            };
            if map.keys().any(dirty) {
                let old = std::mem::take(map);
                map.extend(
                    old.into_iter()
                        .map(|(name, inner)| (blanked(&name, secrets), inner)),
                );
            }
            map.values_mut().for_each(|inner| blank(inner, secrets));
        }
        _ => {}
    }
}

/// Blanks secrets in a text.
pub fn blanked(text: &str, secrets: &[String]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= 4);
    long.fold(text.to_owned(), |text, secret| {
        text.replace(secret, "[secret]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_values() {
        let of = |media: &str, body: &str| value_of(Some(media), body.as_bytes());
        assert_eq!(
            of("application/json; charset=utf-8", "{\"a\":1}"),
            json!({"a": 1})
        );
        assert_eq!(of("application/problem+json", "[1]"), json!([1]));
        assert_eq!(of("application/json", "{"), json!("{"));
        assert_eq!(of("text/plain", "1"), json!("1"));
        assert_eq!(
            of("image/png", "x"),
            json!({"media_type": "image/png", "base64": "eA=="})
        );
        assert_eq!(value_of(None, b"true"), json!(true));
        assert_eq!(value_of(Some("application/json"), b""), Value::Null);
        assert_eq!(value_of(Some("text/plain"), b"\xff")["base64"], "/w==");
    }

    #[test]
    fn secrets_are_blanked_wherever_they_stand() {
        let mut value = json!({"a": ["key hush!", {"hush!": 1}], "b": "ab"});
        blank(&mut value, &["hush!".to_owned(), "ab".to_owned()]);
        assert_eq!(
            value,
            json!({"a": ["key [secret]", {"[secret]": 1}], "b": "ab"})
        );
    }
}
