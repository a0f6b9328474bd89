//! JSON in attributes: texts that are JSON, also those of which a run has kept the beginning.

use serde_json::Value;

/// A text that is JSON as that, and whether it is only the beginning of it. Runs keep 8 KiB of a value and then say
/// `… (12345 bytes)`; what is whole of such a beginning is read.
pub fn whole(value: &Value) -> (Value, bool) {
    let Some(text) = value.as_str() else {
        return (value.clone(), false);
    };
    if !text.starts_with(['{', '[', '"']) {
        return (value.clone(), is_cut(text).is_some());
    }
    if let Ok(parsed) = serde_json::from_str(text) {
        return (parsed, false);
    }
    match is_cut(text) {
        Some(beginning) => (mended(beginning).unwrap_or_else(|| value.clone()), true),
        None => (value.clone(), false),
    }
}

/// The beginning, when the text ends with `… (n bytes)`.
fn is_cut(text: &str) -> Option<&str> {
    let (beginning, rest) = text.rsplit_once("… (")?;
    let number = rest.strip_suffix(" bytes)")?;
    number
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then_some(beginning)
}

/// The beginning up to its last whole member, closed.
fn mended(text: &str) -> Option<Value> {
    let mut open: Vec<char> = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    let mut last: Option<(usize, Vec<char>)> = None;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => open.push(if c == '{' { '}' } else { ']' }),
            '}' | ']' => {
                open.pop();
                last = Some((at + 1, open.clone()));
            }
            ',' => last = Some((at, open.clone())),
            _ => {}
        }
    }
    let (end, open) = last?;
    let closed: String = text[..end].chars().chain(open.into_iter().rev()).collect();
    serde_json::from_str(&closed).ok()
}

/// The member of an object that has one of these names, the first name first.
pub fn member<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let object = value.as_object()?;
    let found = names.iter().find_map(|name| object.get(*name));
    found.filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_whole_of_a_beginning_is_read() {
        let text = json!([{"id": "a", "text": "x, \"y]"}, {"id": "b", "text": "long"}]).to_string();
        let cut = Value::String(format!(
            "{}… ({} bytes)",
            &text[..text.len() - 5],
            text.len()
        ));
        assert_eq!(
            whole(&cut),
            (json!([{"id": "a", "text": "x, \"y]"}, {"id": "b"}]), true)
        );
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in ["plain", "{no json", "[1", "… (x bytes)"] {
            assert_eq!(whole(&json!(text)), (json!(text), false), "{text}");
        }
        assert_eq!(whole(&json!("[1, 2]")), (json!([1, 2]), false));
        assert!(whole(&json!("a long text… (9000 bytes)")).1);
    }
}
