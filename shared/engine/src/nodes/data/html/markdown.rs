//! An element as text or as Markdown. The depth of the page has been checked: these recurse.

use std::collections::HashSet;

use ego_tree::{NodeId, NodeRef};
use scraper::{ElementRef, Node};

/// Elements whose content is not for reading.
const HIDDEN: [&str; 8] = [
    "script", "style", "noscript", "template", "head", "svg", "iframe", "object",
];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 28] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "html",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
    "center",
];

type Removed = HashSet<NodeId>;

/// The text of an element on one line.
pub(super) fn inline_text(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    let hidden = |node: &NodeRef<'_, Node>| {
        let mut above = node.ancestors();
        above.any(|node| {
            node.value()
                .as_element()
                .is_some_and(|element| HIDDEN.contains(&element.name()) && element.name() != "head")
        })
    };
    for node in element.descendants() {
        if let Node::Text(part) = node.value()
            && !hidden(&node)
        {
            text.push_str(part);
        }
    }
    collapse(&text).trim().to_owned()
}

/// The text of an element, its blocks on lines of their own.
pub(super) fn text_of(root: ElementRef<'_>, removed: &Removed) -> String {
    Writer {
        marks: false,
        removed,
        out: String::new(),
        indent: String::new(),
    }
    .whole(root)
}

/// The element as Markdown: headings, emphasis, links, images, lists, quotes, code and tables.
pub(super) fn markdown_of(root: ElementRef<'_>, removed: &Removed) -> String {
    Writer {
        marks: true,
        removed,
        out: String::new(),
        indent: String::new(),
    }
    .whole(root)
}

struct Writer<'a> {
    marks: bool,
    removed: &'a Removed,
    out: String,
    /// What every line begins with.
    indent: String,
}

impl Writer<'_> {
    fn whole(mut self, root: ElementRef<'_>) -> String {
        self.node(*root);
        let lines =
            self.out.lines().map(
                |line| match line.ends_with("  ") && !line.trim().is_empty() {
                    true => format!("{}  ", line.trim_end()),
                    false => line.trim_end().to_owned(),
                },
            );
        let lines: Vec<String> = lines.collect();
        lines.join("\n").trim().to_owned()
    }

    fn children(&mut self, node: NodeRef<'_, Node>) {
        node.children().for_each(|child| self.node(child));
    }

    fn node(&mut self, node: NodeRef<'_, Node>) {
        if self.removed.contains(&node.id()) {
            return;
        }
        match node.value() {
            Node::Text(text) => self.text(text),
            Node::Element(element) => self.element(element.name(), node),
            Node::Document | Node::Fragment => self.children(node),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let text = collapse(text);
        let text = if self.at_start() {
            text.trim_start()
        } else {
            &text
        };
        self.out.push_str(text);
    }

    /// Whether white space here would mean nothing.
    fn at_start(&self) -> bool {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        line.ends_with([' ', '\t'])
            || line.trim().is_empty()
                && line.len() >= self.indent.trim_end().len()
                && !line.ends_with(|c: char| c.is_alphanumeric())
    }

    fn element(&mut self, name: &str, node: NodeRef<'_, Node>) {
        if HIDDEN.contains(&name) {
            return;
        }
        let attribute = |name: &str| {
            node.value()
                .as_element()
                .and_then(|element| element.attr(name))
        };
        match name {
            "br" => {
                self.trim_line();
                self.out.push_str(if self.marks { "  \n" } else { "\n" });
                self.out.push_str(&self.indent);
            }
            "hr" if self.marks => {
                self.block(2);
                self.out.push_str("---");
                self.block(2);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.block(2);
                if self.marks {
                    let level = usize::from(name.as_bytes()[1] - b'0');
                    self.out.push_str(&format!("{} ", "#".repeat(level)));
                }
                self.children(node);
                self.block(2);
            }
            "ul" | "ol" => self.list(name == "ol", node),
            "li" | "tr" => {
                self.block(1);
                self.children(node);
                self.block(1);
            }
            "blockquote" if self.marks => {
                self.block(2);
                self.nested("> ", |writer| writer.children(node));
                self.block(2);
            }
            "pre" => self.preformatted(node),
            "table" if self.marks => self.table(node),
            "td" | "th" => {
                self.children(node);
                self.out.push('\t');
            }
            "strong" | "b" => self.wrapped("**", node),
            "em" | "i" => self.wrapped("*", node),
            "del" | "s" => self.wrapped("~~", node),
            "code" | "kbd" | "samp" => self.wrapped("`", node),
            "a" if self.marks => match attribute("href").filter(|href| is_link(href)) {
                Some(href) => {
                    let before = self.out.len();
                    self.out.push('[');
                    self.children(node);
                    match self.out[before + 1..].trim().is_empty() {
                        true => self.out.truncate(before),
                        false => self.out.push_str(&format!(
                            "]({})",
                            href.trim().replace(' ', "%20").replace(')', "%29")
                        )),
                    }
                }
                None => self.children(node),
            },
            "img" => {
                let alt = collapse(attribute("alt").unwrap_or_default());
                match attribute("src").filter(|src| self.marks && is_link(src)) {
                    Some(src) => self.out.push_str(&format!(
                        "![{}]({})",
                        alt.trim(),
                        src.trim().replace(' ', "%20")
                    )),
                    None => self.out.push_str(&alt),
                }
            }
            name if BLOCKS.contains(&name) => {
                self.block(2);
                self.children(node);
                self.block(2);
            }
            _ => self.children(node),
        }
    }

    /// Ends the line, and leaves an empty one for 2.
    fn block(&mut self, lines: usize) {
        self.trim_line();
        let bare = self
            .out
            .trim_end_matches(|c: char| c == '\n' || c == ' ' || c == '>');
        if bare.is_empty() && self.indent.is_empty() {
            self.out.clear();
            return;
        }
        let line = self.out.rsplit('\n').next().unwrap_or_default().to_owned();
        let marker_only = !line.is_empty()
            && (line == self.indent || line.trim_end().ends_with("- ") || is_marker(&line));
        if marker_only {
            return;
        }
        let ended = self.out.len() - bare.len();
        let have = self.out[self.out.len() - ended..].matches('\n').count();
        for _ in have..lines {
            self.out.push('\n');
            self.out.push_str(self.indent.trim_end());
        }
        if !self.out.ends_with(&self.indent) || self.indent.is_empty() {
            let last = self.out.rfind('\n').map_or(0, |at| at + 1);
            self.out.truncate(last);
            self.out.push_str(&self.indent);
        }
    }

    /// Takes blanks off the end of the line, but not what belongs to its beginning.
    fn trim_line(&mut self) {
        let start = self.out.rfind('\n').map_or(0, |at| at + 1);
        let line = &self.out[start..];
        if is_marker(line) || line == self.indent {
            return;
        }
        let kept = self.out.trim_end_matches([' ', '\t']).len();
        self.out.truncate(kept.max(start));
    }

    fn nested(&mut self, prefix: &str, inside: impl FnOnce(&mut Self)) {
        let outer = self.indent.clone();
        self.indent.push_str(prefix);
        let start = self.out.rfind('\n').map_or(0, |at| at + 1);
        if prefix.trim().is_empty() {
            // The marker stands where the indent of the first line would.
        } else {
            self.out.truncate(start);
            self.out.push_str(&self.indent);
        }
        inside(self);
        self.trim_line();
        self.indent = outer;
    }

    fn list(&mut self, ordered: bool, node: NodeRef<'_, Node>) {
        let inner = !self.indent.is_empty();
        self.block(if inner || !self.marks { 1 } else { 2 });
        let mut number = 0;
        for child in node.children() {
            let is_item = child
                .value()
                .as_element()
                .is_some_and(|element| element.name() == "li");
            if !is_item || self.removed.contains(&child.id()) {
                continue;
            }
            number += 1;
            if self.marks {
                self.block(1);
                let marker = if ordered {
                    format!("{number}. ")
                } else {
                    "- ".to_owned()
                };
                self.out.push_str(&marker);
                let indent = " ".repeat(marker.len());
                self.nested(&indent, |writer| writer.children(child));
            } else {
                self.element("li", child);
            }
        }
        self.block(if inner || !self.marks { 1 } else { 2 });
    }

    fn preformatted(&mut self, node: NodeRef<'_, Node>) {
        let text: String = node
            .descendants()
            .filter_map(|node| node.value().as_text().map(|text| text.to_string()))
            .collect();
        self.block(2);
        let fence = if text.contains("```") { "````" } else { "```" };
        let body = text
            .trim_matches('\n')
            .lines()
            .map(|line| format!("{line}\n{}", self.indent));
        let body: String = body.collect();
        let whole = if self.marks {
            format!("{fence}\n{}{body}{fence}", self.indent)
        } else {
            body
        };
        self.out.push_str(&whole);
        self.block(2);
    }

    fn wrapped(&mut self, mark: &str, node: NodeRef<'_, Node>) {
        if !self.marks {
            return self.children(node);
        }
        let outer = std::mem::take(&mut self.out);
        self.children(node);
        let inner = std::mem::replace(&mut self.out, outer);
        let text = inner.trim();
        if text.is_empty() || text.contains('\n') {
            self.out.push_str(&inner);
            return;
        }
        let space = |there: bool| if there { " " } else { "" };
        let before = inner.starts_with(char::is_whitespace) && !self.at_start();
        let after = inner.ends_with(char::is_whitespace);
        self.out.push_str(&format!(
            "{}{mark}{text}{mark}{}",
            space(before),
            space(after)
        ));
    }

    /// Rows of cells; cells are on one line.
    fn table(&mut self, node: NodeRef<'_, Node>) {
        let name = |node: &NodeRef<'_, Node>| {
            node.value()
                .as_element()
                .map(|element| element.name().to_owned())
                .unwrap_or_default()
        };
        let rows = node.descendants().filter(|node| name(node) == "tr");
        let rows = rows.map(|row| {
            let cells = row
                .children()
                .filter_map(ElementRef::wrap)
                .filter(|cell| matches!(cell.value().name(), "td" | "th"));
            cells
                .map(|cell| inline_text(cell).replace('|', "\\|"))
                .collect::<Vec<String>>()
        });
        let rows: Vec<Vec<String>> = rows.filter(|row| !row.is_empty()).collect();
        let width = rows.iter().map(Vec::len).max().unwrap_or(0).min(100);
        self.block(2);
        for (at, row) in rows.iter().enumerate() {
            let cell = |column: usize| row.get(column).map_or("", String::as_str);
            let cells: Vec<&str> = (0..width).map(cell).collect();
            self.out.push_str(&format!("| {} |", cells.join(" | ")));
            self.block(1);
            if at == 0 {
                self.out.push_str(&format!("|{}", " --- |".repeat(width)));
                self.block(1);
            }
        }
        self.block(2);
    }
}

/// The beginning of a list's item and nothing more.
fn is_marker(line: &str) -> bool {
    let text = line.trim_start();
    text == "- "
        || text
            .strip_suffix(". ")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_link(url: &str) -> bool {
    let scheme = url
        .trim()
        .split([':', '/', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    !matches!(scheme.as_str(), "javascript" | "data" | "vbscript") && !url.trim().is_empty()
}

/// Runs of white space as one blank.
fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}
