//! Filters beside minijinja's own: `fromjson`, `striptags`, `truncate`.

use minijinja::{Environment, Error, ErrorKind, Value as Jinja};
use serde_json::Value;

use crate::template::jinja;

pub(crate) fn add_to(env: &mut Environment<'static>) {
    env.add_filter("fromjson", from_json);
    env.add_filter("striptags", strip_tags);
    env.add_filter("truncate", truncate);
}

/// Parses a JSON text.
fn from_json(text: &str) -> Result<Jinja, Error> {
    let parsed: Value = serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("fromjson: {error}")))?;
    Ok(jinja(parsed))
}

/// The first `length` characters (255 if not given), with an ellipsis where some are missing.
fn truncate(text: &str, length: Option<usize>) -> String {
    match text.char_indices().nth(length.unwrap_or(255)) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text of an HTML page for a model to read: no tags, comments, scripts or styles, the
/// common entities decoded, white space joined. It is no sanitiser.
fn strip_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = after_tag(&rest[at..]);
        text.push(' ');
    }
    text.push_str(rest);
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    for (entity, plain) in entities {
        text = text.replace(entity, plain);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows the tag, comment, script or style at the start.
fn after_tag(html: &str) -> &str {
    let starts = |word: &str| {
        html.as_bytes()
            .get(1..=word.len())
            .is_some_and(|got| got.eq_ignore_ascii_case(word.as_bytes()))
    };
    let end = if starts("!--") {
        "-->"
    } else if starts("script") {
        "</script>"
    } else if starts("style") {
        "</style>"
    } else {
        ">"
    };
    let found = html
        .as_bytes()
        .windows(end.len())
        .position(|w| w.eq_ignore_ascii_case(end.as_bytes()));
    found.map_or("", |at| &html[at + end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_readable_text() {
        let html = "<html><STYLE>p{}</style><script>if (a<b) {}</SCRIPT><!-- > --><p>A &amp; B</p><p>C&lt;D é</p><br";
        assert_eq!(strip_tags(html), "A & B C<D é");
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(truncate("éàü", Some(2)), "éà…");
        assert_eq!(truncate("éàü", Some(3)), "éàü");
    }
}
