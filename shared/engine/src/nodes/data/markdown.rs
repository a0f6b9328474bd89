//! `markdown`: Markdown to HTML, by CommonMark with GitHub's tables, task lists, strikethrough and footnotes.

use pulldown_cmark::{Event, Options, Parser, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{done, entry, given, made, to_text};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    entry(
        "markdown",
        "Markdown to HTML",
        "Turns Markdown (CommonMark with tables, task lists, strikethrough and footnotes) into HTML. HTML within it is shown as text unless allowed, and links lead to web pages and mail only.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "markdown": {"description": "The text; without it what comes in over the edge"},
                "allow_html": {"type": "boolean", "default": false, "description": "Let HTML and every link through. Do not, if the text is anybody's"},
            },
        }),
        port("output", "The HTML", json!({"type": "string"})),
        json!({"markdown": "{{ nodes.answer.output.text }}"}),
    )
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    markdown: Option<Value>,
    #[serde(default)]
    allow_html: bool,
}

/// Most bytes of a Markdown text, and most levels of quotes and lists on a line.
const MOST: usize = 2 * 1024 * 1024;

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let value = call.value_or_incoming("markdown", config.markdown)?;
    let text = to_text("markdown", value)?;
    if text.len() > MOST {
        return Err(NodeError::config(format!(
            "/markdown: longer than {} MiB",
            MOST >> 20
        )));
    }
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES;
    let events = Parser::new_ext(&text, options).map(|event| match event {
        event if config.allow_html => event,
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(tag) => Event::Start(harmless(tag)),
        event => event,
    });
    let mut out = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut out, events);
    Ok(done(made(out)?.into()))
}

/// Links and images of other schemes than these lead nowhere.
fn harmless(tag: pulldown_cmark::Tag<'_>) -> pulldown_cmark::Tag<'_> {
    use pulldown_cmark::Tag;
    let fits = |url: &str| {
        let compact: String = url
            .chars()
            .filter(|c| !c.is_whitespace() && !c.is_control())
            .collect();
        let scheme = compact
            .split_once(':')
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        let relative = compact.starts_with(['/', '#', '?', '.']);
        relative
            || scheme.is_none_or(|scheme| {
                scheme.contains('/')
                    || matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel")
            })
    };
    match tag {
        Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        } if !fits(&dest_url) => Tag::Link {
            link_type,
            dest_url: "".into(),
            title,
            id,
        },
        Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        } if !fits(&dest_url) => Tag::Image {
            link_type,
            dest_url: "".into(),
            title,
            id,
        },
        tag => tag,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    /// Examples of the CommonMark specification 0.31 and of GitHub's.
    #[test]
    fn markdown_becomes_html() {
        let gives =
            |markdown: &str, html: &str| check("markdown", json!({}), json!(markdown), json!(html));
        gives(
            "# foo\n\nbar *baz*",
            "<h1>foo</h1>\n<p>bar <em>baz</em></p>\n",
        );
        gives("1.  a\n2.  b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n");
        gives(
            "```ruby\ndef x\n```",
            "<pre><code class=\"language-ruby\">def x\n</code></pre>\n",
        );
        gives(
            "| a |\n| - |\n| b |",
            "<table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>b</td></tr>\n</tbody></table>\n",
        );
        gives("~~x~~", "<p><del>x</del></p>\n");
        gives(
            "[l](/uri \"t\")",
            "<p><a href=\"/uri\" title=\"t\">l</a></p>\n",
        );
    }

    #[test]
    fn what_could_run_is_shown_as_text() {
        let gives =
            |markdown: &str, html: &str| check("markdown", json!({}), json!(markdown), json!(html));
        gives("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;");
        gives("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n");
        gives("[x](javascript:alert(1))", "<p><a href=\"\">x</a></p>\n");
        gives(
            "[x](JaVa&#10;Script:alert(1))",
            "<p><a href=\"\">x</a></p>\n",
        );
        gives(
            "[x](mailto:a@b.c) [y](a/b:c)",
            "<p><a href=\"mailto:a@b.c\">x</a> <a href=\"a/b:c\">y</a></p>\n",
        );
        check(
            "markdown",
            json!({"allow_html": true}),
            json!("a <b>c</b>"),
            json!("<p>a <b>c</b></p>\n"),
        );
    }

    #[test]
    fn deep_quotes_do_not_hang() {
        let deep = format!("{}x", "> ".repeat(20_000));
        assert!(super::super::testing::run("markdown", json!({}), json!(deep)).is_ok());
        let stars = "*a **".repeat(20_000);
        assert!(super::super::testing::run("markdown", json!({}), json!(stars)).is_ok());
    }
}
