//! Takes out what should not be learned: what looks like a secret, an e-mail address or a telephone number.

use regex_lite::Regex;
use serde_json::Value;
use std::sync::LazyLock;

/// What is looked for, and what stands in its place.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        // Keys as providers mark them, JWTs, private keys, and `password: …` in prose.
        (
            r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xoxb|xoxp|nai_live|nai_test)[-_][A-Za-z0-9_-]{16,}",
            "[secret]",
        ),
        (r"\bAKIA[0-9A-Z]{16}\b", "[secret]"),
        (
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
            "[secret]",
        ),
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
            "[secret]",
        ),
        (
            r#"(?i)\b(password|passwd|secret|api[_-]?key|token)(\s*[:=]\s*)["']?[^\s"',;]{6,}["']?"#,
            "$1$2[secret]",
        ),
        (
            r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b",
            "[email]",
        ),
        // With a country code, or in groups: bare digits may be anything.
        (r"\+\d{1,3}[ .()/-]*\d(?:[ .()/-]*\d){6,12}\b", "[phone]"),
        (
            r"\(\d{2,5}\)[ -]?\d{3,4}[ -]?\d{3,4}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b",
            "[phone]",
        ),
    ];
    let compiled = patterns
        .into_iter()
        .filter_map(|(pattern, stands)| Some((Regex::new(pattern).ok()?, stands)));
    compiled.collect()
});

/// Redacts a text; returns how many places were.
pub fn text(text: &str) -> (String, usize) {
    let mut redacted = text.to_owned();
    let mut places = 0;
    for (pattern, stands) in PATTERNS.iter() {
        let n = pattern.find_iter(&redacted).count();
        if n > 0 {
            places += n;
            redacted = pattern.replace_all(&redacted, *stands).into_owned();
        }
    }
    (redacted, places)
}

/// Redacts all texts of a value, not the names of its members; returns how many places were.
pub fn value(value: &mut Value) -> usize {
    match value {
        Value::String(written) => {
            let (redacted, places) = text(written);
            *written = redacted;
            places
        }
        Value::Array(items) => items.iter_mut().map(self::value).sum(),
        Value::Object(fields) => fields.values_mut().map(self::value).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(PATTERNS.len(), 8);
    }

    #[test]
    fn what_should_not_be_learned_is_taken_out() {
        for (written, want) in [
            ("mail ada@example.org, please", "mail [email], please"),
            ("call +49 30 1234-5678 now", "call [phone] now"),
            ("or (030) 1234 5678", "or [phone]"),
            ("or 555-123-4567.", "or [phone]."),
            ("key sk-abcdefghijklmnopqrstuv", "key [secret]"),
            ("api_key = \"abc123def\"", "api_key = [secret]"),
            ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ] {
            assert_eq!(text(written), (want.to_owned(), 1), "{written}");
        }
        for kept in [
            "In 2024 there were 12345678 of them",
            "3.14159265",
            "a@b",
            "v1.2.3",
        ] {
            assert_eq!(text(kept), (kept.to_owned(), 0));
        }
    }

    #[test]
    fn texts_of_an_example_are_redacted_wherever_they_are() {
        let mut example = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "ada@example.org"}]},
            {"role": "assistant", "content": "bob@example.org"}]});
        assert_eq!(value(&mut example), 2);
        assert!(!example.to_string().contains("example.org"));
    }
}
