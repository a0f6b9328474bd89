//! Text out of documents: a component of its own, for which there is no way out. It has no hosts that it may call, no variables
//! and no database; other components reach it by service chaining, the world does not. Each file has an instance of its own,
//! since it serves `wasi:http@0.2`: what a hostile one ends is that instance.

#[cfg(target_family = "wasm")]
mod entry;

/// Most bytes of a file.
pub const MOST_REQUEST: usize = 16 << 20;
/// Most bytes that may be in use.
pub const MOST_MEMORY: usize = 192 << 20;
/// How long reading a file may take, ms: callers wait ten seconds.
pub const MOST_MS: u64 = 8_000;

/// The answer to a file: a status and a JSON body.
pub fn answer(content: &[u8], query: &str) -> (u16, String) {
    let said = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let limits = nodeai_extract::Limits::default();
    match nodeai_extract::extract(content, &said("type"), &said("name"), limits) {
        Ok(extracted) => (200, serde_json::json!(extracted).to_string()),
        Err(refused) => (422, problem(422, &refused.to_string())),
    }
}

/// A problem (RFC 9457).
pub fn problem(status: u16, detail: &str) -> String {
    serde_json::json!({"title": "The file cannot be read", "status": status, "detail": detail})
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_text_or_says_why_not() {
        let (status, body) = answer(b"# Hi", "type=text%2Fmarkdown&name=a.md");
        assert_eq!(status, 200);
        assert!(body.contains("\"format\":\"markdown\""), "{body}");
        let (status, body) = answer(b"\0", "type=image%2Fpng&name=a.png");
        assert_eq!(status, 422);
        assert!(body.contains("image/png"), "{body}");
    }
}
