//! Which of our names a piece of JavaScript uses. It is not parsed here: comments, strings and regular expressions are blanked
//! by what they begin with, and the rest is searched for words. What may be used is found wherever it stands, also where it
//! only looks so: too much costs a value that is not looked at, too little would be a value that is missing.

use std::collections::BTreeSet;

/// What a source uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Nodes that it names for certain; those must exist.
    pub(crate) nodes: BTreeSet<String>,
    /// Nodes that it may name.
    pub(crate) mentioned: BTreeSet<String>,
    /// Whether it may use `nodes` as a whole.
    pub(crate) every: bool,
    /// Whether it asks for secrets.
    pub(crate) secrets: bool,
    /// Most brackets within brackets.
    pub(crate) depth: usize,
}

/// Looks through a source.
pub(crate) fn uses(source: &str) -> Uses {
    let code = blanked(source);
    let mut uses = Uses {
        depth: depth(&code),
        ..Uses::default()
    };
    for at in words(source, "nodes") {
        match accessed(&source[at + "nodes".len()..]) {
            Some(id) => drop(uses.mentioned.insert(id.to_owned())),
            None => uses.every = true,
        }
    }
    uses.nodes = names(source, &code, "nodes").unwrap_or_default();
    uses.secrets = names(source, &code, "secrets").is_some_and(|names| !names.is_empty());
    uses
}

/// Whether a source may use a name.
pub(crate) fn mentions(source: &str, name: &str) -> bool {
    words(source, name).next().is_some()
}

/// What is asked of `root` in the code itself; none where it also stands alone, since it may be a name of the code's own.
fn names(source: &str, code: &str, root: &str) -> Option<BTreeSet<String>> {
    words(code, root)
        .map(|at| accessed(&source[at + root.len()..]).map(str::to_owned))
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Where a word stands that is no part of another, and no property of something.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let found = text.match_indices(word);
    found.map(|(at, _)| at).filter(move |&at| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let property = before.ends_with('.') && !before.ends_with("...");
        !property && !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// The name in `.name`, `?.name`, `["name"]` or `?.["name"]`.
fn accessed(after: &str) -> Option<&str> {
    let after = after.trim_start();
    let optional = after.strip_prefix("?.");
    let rest = optional
        .or_else(|| after.strip_prefix('.'))
        .unwrap_or(after)
        .trim_start();
    if let Some(inner) = rest.strip_prefix('[') {
        let inner = inner.trim_start();
        let quote = inner
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\'' | '`'))?;
        let (name, tail) = inner[1..].split_once(quote)?;
        return tail.trim_start().starts_with(']').then_some(name);
    }
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let dotted = rest.len() < after.len() && after.starts_with(['.', '?']);
    (dotted && end > 0).then(|| &rest[..end])
}

fn depth(code: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for byte in code.bytes() {
        match byte {
            b'(' | b'[' | b'{' => now += 1,
            b')' | b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// The source with spaces for comments, strings and regular expressions, byte for byte.
fn blanked(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = Blanks {
        bytes,
        out: vec![b' '; bytes.len()],
        at: 0,
        last: None,
        templates: Vec::new(),
    };
    code.run();
    String::from_utf8_lossy(&code.out).into_owned()
}

struct Blanks<'a> {
    bytes: &'a [u8],
    out: Vec<u8>,
    at: usize,
    /// Where the last thing is that was kept and is no space.
    last: Option<usize>,
    /// Open braces of each `${` that is open.
    templates: Vec<usize>,
}

impl Blanks<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match (byte, self.bytes.get(self.at + 1)) {
                (b'/', Some(b'/')) => self.skip_to(b"\n"),
                (b'/', Some(b'*')) => self.skip_to(b"*/"),
                (b'/', _) if self.begins_regex() => self.regex(),
                (b'"' | b'\'', _) => self.quoted(byte),
                (b'`', _) => {
                    self.at += 1;
                    self.template();
                }
                (b'{', _) => {
                    if let Some(open) = self.templates.last_mut() {
                        *open += 1;
                    }
                    self.keep();
                }
                (b'}', _) => match self.templates.last_mut() {
                    Some(0) => {
                        self.templates.pop();
                        self.at += 1;
                        self.template();
                    }
                    Some(open) => {
                        *open -= 1;
                        self.keep();
                    }
                    None => self.keep(),
                },
                _ => self.keep(),
            }
        }
    }

    fn keep(&mut self) {
        let byte = self.bytes[self.at];
        // Whole characters are kept or blanked: a name may have others than those of ASCII, but ours have not.
        self.out[self.at] = if byte.is_ascii() { byte } else { b'_' };
        if !byte.is_ascii_whitespace() {
            self.last = Some(self.at);
        }
        self.at += 1;
    }

    /// Stands for what was blanked before here: a value that has ended, or the beginning of one.
    fn mark(&mut self, byte: u8) {
        let at = self.at.min(self.bytes.len()).saturating_sub(1);
        self.out[at] = byte;
        self.last = Some(at);
    }

    /// Goes on behind the next `end`.
    fn skip_to(&mut self, end: &[u8]) {
        let rest = &self.bytes[(self.at + 2).min(self.bytes.len())..];
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at = found.map_or(self.bytes.len(), |found| self.at + 2 + found + end.len());
    }

    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == quote || byte == b'\n' {
                break;
            }
        }
        self.mark(b'"');
    }

    /// The text of a template, up to its end or the next `${`.
    fn template(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'`' => {
                    self.at += 1;
                    return self.mark(b'"');
                }
                b'$' if self.bytes.get(self.at + 1) == Some(&b'{') => {
                    self.at += 2;
                    self.templates.push(0);
                    return self.mark(b',');
                }
                _ => self.at += 1,
            }
        }
    }

    /// Whether a slash begins a regular expression: where a value cannot have ended.
    fn begins_regex(&self) -> bool {
        let Some(last) = self.last else {
            return true;
        };
        let kept = &self.out[..=last];
        let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = kept.iter().rev().take(12).take_while(part).count();
        let words: [&[u8]; 13] = [
            b"return",
            b"typeof",
            b"case",
            b"in",
            b"of",
            b"delete",
            b"void",
            b"instanceof",
            b"do",
            b"else",
            b"yield",
            b"await",
            b"throw",
        ];
        words.contains(&&kept[kept.len() - length..])
            || b"(,=:[!&|?{};+-*%~^<>".contains(&kept[last])
    }

    /// Goes on behind a regular expression; a slash that has no end in its line was none.
    fn regex(&mut self) {
        let mut at = self.at + 1;
        let mut class = false;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\n' => break,
                b'\\' => at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = at + 1;
                    return self.mark(b'"');
                }
                _ => {}
            }
            at += 1;
        }
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nodes_are_found_in_every_spelling() {
        let source = r#"const a = nodes.one.output + nodes?.two?.output;
            return [nodes["three-x"].output, nodes ?. ['four'], ...nodes.five.output, `${nodes.six.output}`];"#;
        let found = uses(source);
        let all = set(&["one", "two", "three-x", "four", "five", "six"]);
        assert_eq!((&found.nodes, &found.mentioned), (&all, &all));
        assert!(!found.every);
    }

    #[test]
    fn what_is_no_code_counts_as_mentioned_alone() {
        for source in [
            "// nodes.x\nreturn 1",
            "/* nodes.x */ return 1",
            "return 'nodes.x'",
            r#"return "a \" nodes.x""#,
            "return `nodes.x ${1}`",
            "return s.match(/nodes.x'[/]/g)",
        ] {
            let found = uses(source);
            assert_eq!(found.nodes, set(&[]), "{source}");
            assert_eq!(found.mentioned, set(&["x"]), "{source}");
        }
    }

    #[test]
    fn code_goes_on_behind_strings_and_regular_expressions() {
        for source in [
            "const quote = /[\"'`/]/; return nodes.x.output",
            "return 6 / 2 / nodes.x.output // '",
            "return (a) / 2 + 'b' / nodes.x.output",
            "return `a${{b: `c${1}`}.b}'` + nodes.x.output",
            "const s = 'it\\'s'; return nodes.x.output",
        ] {
            assert_eq!(uses(source).nodes, set(&["x"]), "{source}");
        }
    }

    #[test]
    fn a_name_of_the_codes_own_is_not_ours() {
        let found = uses("const nodes = input.list; return nodes.length");
        assert_eq!(found.nodes, set(&[]));
        assert!(found.every);
        assert_eq!(uses("return tree.nodes.length").mentioned, set(&[]));
        assert_eq!(uses("return subnodes.a + nodes_.b").mentioned, set(&[]));
    }

    #[test]
    fn secrets_and_depth_are_seen() {
        assert!(uses("return secrets.KEY").secrets);
        assert!(!uses("// secrets.KEY\nreturn input.secrets.x").secrets);
        assert!(!uses("const secrets = {}; return secrets.x").secrets);
        assert_eq!(uses("return f([{a: '((('}])").depth, 3);
        assert!(mentions("return item.n", "item") && !mentions("return items", "item"));
    }
}
