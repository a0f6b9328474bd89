//! `html`: picks values out of a page by CSS selectors, or turns it into text or Markdown for a model to read.

mod markdown;

use scraper::{ElementRef, Html, Selector};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{done, entry, given, made, to_text, too_large};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};
use crate::template::is_template;

/// Most bytes of a page, deepest nesting, and most nodes that the selectors of one config may look at.
const LARGEST: usize = 4 * 1024 * 1024;
const DEEPEST: usize = 400;
const MOST_WORK: usize = 40_000_000;

pub(super) fn spec() -> Spec {
    entry(
        "html",
        "HTML",
        "Picks values out of an HTML page by CSS selectors, or turns the page into text or Markdown.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "enum": ["extract", "to_text", "to_markdown"], "x-nodeai": "literal"},
                "html": {"description": "The page; without it what comes in over the edge"},
                "within": {"type": "string", "minLength": 1, "maxLength": 500, "description": "A selector: only the first such element counts"},
                "remove": {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 500}, "description": "Selectors of what to leave out of text and Markdown, such as nav"},
                "fields": {"type": "array", "minItems": 1, "maxItems": 100, "description": "Of extract", "items": {
                    "type": "object", "additionalProperties": false, "required": ["name", "selector"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 128},
                        "selector": {"type": "string", "minLength": 1, "maxLength": 500, "description": "Such as article h2 > a[href]"},
                        "get": {"type": "string", "enum": ["text", "html", "inner_html", "attribute"], "default": "text"},
                        "attribute": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Of get: attribute, such as href"},
                        "all": {"type": "boolean", "default": false, "description": "A list of all such elements instead of the first"},
                    },
                }},
            },
        }),
        port(
            "output",
            "Of extract an object by name, null where nothing was found; else a text",
            json!({"type": ["object", "string"]}),
        ),
        json!({"operation": "extract", "html": "{{ nodes.page.output.body }}", "fields": [{"name": "title", "selector": "h1"}, {"name": "links", "selector": "a[href]", "get": "attribute", "attribute": "href", "all": true}]}),
    )
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Get {
    #[default]
    Text,
    Html,
    InnerHtml,
    Attribute,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    selector: String,
    #[serde(default)]
    get: Get,
    attribute: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    html: Option<Value>,
    within: Option<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    fields: Vec<Field>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let html = to_text("html", call.value_or_incoming("html", config.html.take())?)?;
    if html.len() > LARGEST {
        return Err(NodeError::config(format!(
            "/html: longer than {} MiB",
            LARGEST >> 20
        )));
    }
    let page = Html::parse_document(&html);
    let nodes = size_of(&page)?;
    let looked = nodes.saturating_mul(config.fields.len() + config.remove.len() + 1);
    if looked > MOST_WORK {
        return Err(too_large(
            "the page is too large for so many selectors".to_owned(),
        ));
    }
    let within = config
        .within
        .as_deref()
        .map(|text| selector("within", text))
        .transpose()?;
    let root = match &within {
        None => Some(page.root_element()),
        Some(within) => page.select(within).next(),
    };
    let Some(root) = root else {
        return Err(NodeError::new(
            "html",
            "/within: no element of the page fits the selector",
            false,
        ));
    };
    if config.operation == "extract" {
        return Ok(done(config.extract(root)?));
    }
    let mut removed = std::collections::HashSet::new();
    for (at, text) in config.remove.iter().enumerate() {
        let selector = selector(&format!("remove/{at}"), text)?;
        removed.extend(root.select(&selector).map(|element| element.id()));
    }
    let text = match config.operation.as_str() {
        "to_text" => markdown::text_of(root, &removed),
        _ => markdown::markdown_of(root, &removed),
    };
    Ok(done(made(text)?.into()))
}

/// The number of nodes of a page, which must not be nested too deep: what follows recurses.
fn size_of(page: &Html) -> Result<usize, NodeError> {
    let (mut count, mut depth) = (0, 0usize);
    for edge in page.tree.root().traverse() {
        match edge {
            ego_tree::iter::Edge::Open(_) => {
                count += 1;
                depth += 1;
            }
            ego_tree::iter::Edge::Close(_) => depth -= 1,
        }
        if depth > DEEPEST {
            return Err(NodeError::new(
                "html",
                format!("/html: elements are nested more than {DEEPEST} levels deep"),
                false,
            ));
        }
    }
    Ok(count)
}

fn selector(field: &str, text: &str) -> Result<Selector, NodeError> {
    let bounded = text.len() <= 500 && text.matches(['(', '[']).count() <= 20;
    let parsed = bounded.then(|| Selector::parse(text).ok()).flatten();
    parsed.ok_or_else(|| {
        NodeError::config(format!(
            "/{field}: {text:?} is no CSS selector that is known here"
        ))
    })
}

/// Selectors that are written out must be some.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let extracts = data.get("operation").and_then(Value::as_str) == Some("extract");
    if extracts && !data.contains_key("fields") {
        faults.add(
            format!("{at}/fields"),
            "required",
            "\"fields\" is required for this operation",
        );
    }
    let mut written = Vec::new();
    written.extend(data.get("within").map(|text| ("within".to_owned(), text)));
    let list = |name: &str| {
        data.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
    };
    written.extend(list("remove").map(|(i, text)| (format!("remove/{i}"), text)));
    for (i, field) in list("fields") {
        written.extend(
            field
                .get("selector")
                .map(|text| (format!("fields/{i}/selector"), text)),
        );
        if field["get"] == "attribute" && field.get("attribute").is_none() {
            faults.add(
                format!("{at}/fields/{i}/attribute"),
                "required",
                "\"attribute\" is required to get one",
            );
        }
    }
    for (field, text) in written {
        if let Some(text) = text.as_str().filter(|text| !is_template(text))
            && let Err(error) = selector(&field, text)
        {
            let words = error
                .message
                .trim_start_matches(&format!("/{field}: "))
                .to_owned();
            faults.add(format!("{at}/{field}"), "bad_selector", words);
        }
    }
}

impl Config {
    fn extract(&self, root: ElementRef<'_>) -> Result<Value, NodeError> {
        let mut out = Map::new();
        let mut size = 0;
        for (at, field) in self.fields.iter().enumerate() {
            let selector = selector(&format!("fields/{at}/selector"), &field.selector)?;
            let mut found = root
                .select(&selector)
                .filter_map(|element| field.read(element));
            let value = match field.all {
                false => found.next().map_or(Value::Null, Value::from),
                true => {
                    let mut all = Vec::new();
                    for text in found {
                        size += text.len() + 16;
                        if size > super::MOST_TEXT || all.len() >= super::MOST_ITEMS {
                            return Err(too_large(format!("/fields/{at}: finds too much")));
                        }
                        all.push(Value::from(text));
                    }
                    Value::Array(all)
                }
            };
            out.insert(field.name.clone(), value);
        }
        Ok(Value::Object(out))
    }
}

impl Field {
    fn read(&self, element: ElementRef<'_>) -> Option<String> {
        match self.get {
            Get::Text => Some(markdown::inline_text(element)),
            Get::Html => Some(element.html()),
            Get::InnerHtml => Some(element.inner_html()),
            Get::Attribute => element.attr(self.attribute.as_deref()?).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check as gives, refuse};
    use super::*;

    const PAGE: &str = r#"<html><head><title>T</title><style>p{}</style></head><body><nav><a href="/n">nav</a></nav>
        <article class="main big"><h1>Hello   <em>world</em></h1><p>One &amp; <a href="/two">two</a>.<br>Next</p>
        <ul><li>a<ul><li>b</li></ul></li><li><code>c</code></li></ul><script>x()</script></article></body></html>"#;

    #[test]
    fn selectors_pick_values() {
        let field = |name: &str, selector: &str| json!({"name": name, "selector": selector});
        let all = |name: &str, selector: &str| json!({"name": name, "selector": selector, "get": "attribute", "attribute": "href", "all": true});
        let fields = json!([field("h", "article.main > h1"), all("links", "a[href]"), field("none", "h7"),
            {"name": "code", "selector": "li:nth-child(2)", "get": "inner_html"}, {"name": "none_all", "selector": ".x", "all": true}]);
        gives(
            "html",
            json!({"operation": "extract", "fields": fields}),
            json!(PAGE),
            json!({
                "h": "Hello world", "links": ["/n", "/two"], "none": null, "code": "<code>c</code>", "none_all": [],
            }),
        );
        let within =
            json!({"operation": "extract", "within": "article", "fields": [all("links", "a")]});
        gives("html", within, json!(PAGE), json!({"links": ["/two"]}));
    }

    #[test]
    fn pages_become_text_and_markdown() {
        gives(
            "html",
            json!({"operation": "to_text", "remove": ["nav"]}),
            json!(PAGE),
            json!("Hello world\n\nOne & two.\nNext\n\na\nb\nc"),
        );
        gives(
            "html",
            json!({"operation": "to_markdown", "within": "article"}),
            json!(PAGE),
            json!("# Hello *world*\n\nOne & [two](/two).  \nNext\n\n- a\n  - b\n- `c`"),
        );
    }

    #[test]
    fn faults_are_named() {
        let one = |selector: &str| json!({"operation": "extract", "fields": [{"name": "a", "selector": selector}]});
        refuse(
            "html",
            one("a["),
            json!("<p>"),
            "/fields/0/selector: \"a[\" is no CSS selector",
        );
        refuse(
            "html",
            json!({"operation": "to_text", "within": "b"}),
            json!("<p>"),
            "/within",
        );
        refuse(
            "html",
            one("a"),
            json!("<div>".repeat(2_000)),
            "nested more than",
        );
        refuse(
            "html",
            one("a"),
            json!("x".repeat(LARGEST + 1)),
            "/html: longer than 4 MiB",
        );
    }
}
