//! HTML: what a reader sees, with its headings as sections.

use crate::out::Out;
use crate::text::decoded;
use crate::{Extracted, Limits, Refused};
use scraper::Html;
use scraper::node::Node;

/// Elements whose text nobody sees.
const HIDDEN: [&str; 6] = ["script", "style", "noscript", "template", "head", "svg"];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 29] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "section",
    "tr",
    "ul",
];

fn level(name: &str) -> Option<u8> {
    let digit = name.strip_prefix('h')?.parse().ok()?;
    (name.len() == 2 && (1..=6).contains(&digit)).then_some(digit)
}

pub(crate) fn html(content: &[u8], limits: Limits) -> Result<Extracted, Refused> {
    let document = Html::parse_document(&decoded(content));
    let mut out = Out::new(limits);
    let mut hidden = 0_usize;
    let mut headings: Vec<(usize, String)> = Vec::new();
    // A walk without recursion: a page may be nested as deeply as it likes.
    for edge in document.tree.root().traverse() {
        use ego_tree::iter::Edge;
        if out.is_full() {
            break;
        }
        match edge {
            Edge::Open(node) => match node.value() {
                Node::Element(element) if HIDDEN.contains(&element.name()) => hidden += 1,
                Node::Element(element) if hidden == 0 => {
                    if BLOCKS.contains(&element.name()) {
                        out.end_line();
                    }
                    if level(element.name()).is_some() {
                        headings.push((out.at(), String::new()));
                    }
                }
                Node::Text(text) if hidden == 0 => {
                    let words = spaced(text);
                    if let Some((_, title)) = headings.last_mut() {
                        title.push_str(&words);
                    }
                    out.push(&words);
                }
                _ => {}
            },
            Edge::Close(node) => match node.value() {
                Node::Element(element) if HIDDEN.contains(&element.name()) => hidden -= 1,
                Node::Element(element) if hidden == 0 => {
                    if let Some(level) = level(element.name())
                        && let Some((start, title)) = headings.pop()
                    {
                        out.section("heading", &title, Some(level), start);
                    }
                    match element.name() {
                        "td" | "th" => out.push("\t"),
                        name if BLOCKS.contains(&name) => out.end_line(),
                        _ => {}
                    }
                }
                _ => {}
            },
        }
    }
    Ok(out.finish("html"))
}

/// White space as a browser shows it: one space for any; nothing of a text that is white space with line breaks.
fn spaced(text: &str) -> String {
    if text.trim().is_empty() {
        return if text.contains('\n') {
            String::new()
        } else {
            " ".to_owned()
        };
    }
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with(char::is_whitespace) {
        words.insert(0, ' ');
    }
    if text.ends_with(char::is_whitespace) {
        words.push(' ');
    }
    words
}
