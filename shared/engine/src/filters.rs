//! Filters beside minijinja's own: `fromjson`, `striptags`, `truncate`.

use minijinja::{Environment, Error, ErrorKind, Value as Jinja};
use serde_json::Value;

use crate::template::jinja;

pub(crate) fn add_to(env: &mut Environment<'static>) {
    env.add_filter("fromjson", from_json);
    env.add_filter("striptags", strip_tags);
    env.add_filter("truncate", truncate);
}

/// The filters that templates may use: ours and those built into minijinja.
const KNOWN: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "fromjson",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Finds filters that do not exist; the engine itself would notice only during the run.
/// Looks at what follows a `|` inside of braces and outside of quotes.
pub(crate) fn unknown(text: &str, is_expression: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = is_expression;
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let next = &rest[c.len_utf8()..];
        match (code, quote, c) {
            (true, Some(_), '\\') => {
                rest = next
                    .chars()
                    .next()
                    .map_or("", |escaped| &next[escaped.len_utf8()..]);
                continue;
            }
            (true, Some(open), _) if open == c => quote = None,
            (true, None, '"' | '\'') => quote = Some(c),
            (true, None, '|') => {
                let word = next
                    .trim_start()
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                let word = word.unwrap_or_default();
                if !word.is_empty() && !KNOWN.contains(&word) {
                    found.push(word.to_owned());
                }
            }
            (true, None, '}' | '%') if next.starts_with('}') => code = is_expression,
            (false, _, '{') if next.starts_with(['{', '%']) => code = true,
            _ => {}
        }
        rest = next;
    }
    found
}

/// Parses a JSON text.
fn from_json(text: &str) -> Result<Jinja, Error> {
    let parsed: Value = serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("fromjson: {error}")))?;
    Ok(jinja(&parsed))
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
    fn every_known_filter_exists() {
        let templates = crate::template::Templates::new();
        for name in KNOWN {
            let all = serde_json::json!({"inputs": {"x": "a"}});
            let scope = crate::scope::Scope::of(&all);
            let result = templates.render_text(&format!("{{{{ inputs.x | {name} }}}}"), &scope);
            let missing = result.is_err_and(|error| error.message.contains("unknown filter"));
            assert!(!missing, "{name}");
        }
    }

    #[test]
    fn unknown_filters_are_found_where_filters_can_be() {
        assert_eq!(
            unknown("a | b {{ x|upper | nope('|q') }} {% if y | nada %}", false),
            ["nope", "nada"]
        );
        assert_eq!(unknown("x | gone ~ \"it's | fine\"", true), ["gone"]);
        assert_eq!(
            unknown("{{ {'a': {'b': x | upper}} | tojson }} | y", false),
            Vec::<String>::new()
        );
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(truncate("éàü", Some(2)), "éà…");
        assert_eq!(truncate("éàü", Some(3)), "éàü");
    }
}
