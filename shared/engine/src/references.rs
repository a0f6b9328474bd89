//! What a template refers to: nodes, secrets, and names that nobody knows.

use std::collections::BTreeSet;

/// What a template refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Top-level names that are neither ours nor built in.
    pub(crate) unknown: BTreeSet<String>,
    /// Node ids.
    pub(crate) nodes: BTreeSet<String>,
    /// Node ids that code may use: it is not parsed, so they need not exist.
    pub(crate) mentioned: BTreeSet<String>,
    /// Secret names.
    pub(crate) secrets: BTreeSet<String>,
    /// Ids of `wait` nodes whose addresses are used.
    pub(crate) waits: BTreeSet<String>,
    /// `nodes`, `secrets` or `waits` used as a whole or by a computed name.
    pub(crate) computed: BTreeSet<String>,
}

impl References {
    /// Adds those of another template.
    pub(crate) fn extend(&mut self, other: References) {
        self.unknown.extend(other.unknown);
        self.nodes.extend(other.nodes);
        self.mentioned.extend(other.mentioned);
        self.secrets.extend(other.secrets);
        self.waits.extend(other.waits);
        self.computed.extend(other.computed);
    }
}

/// Names that templates may use beside our own.
const BUILT_IN: [&str; 6] = ["range", "dict", "namespace", "debug", "loop", "lipsum"];

pub(crate) fn references(undeclared: impl IntoIterator<Item = String>, text: &str) -> References {
    let mut found = References::default();
    for path in undeclared {
        let mut parts = path.split('.');
        let (root, name) = (parts.next().unwrap_or_default(), parts.next());
        match (root, name) {
            ("nodes", Some(id)) => drop(found.nodes.insert(id.to_owned())),
            ("secrets", Some(name)) => drop(found.secrets.insert(name.to_owned())),
            ("waits", Some(id)) => drop(found.waits.insert(id.to_owned())),
            ("waits", None) => by_subscript(text, "waits", &mut found.waits, &mut found.computed),
            ("nodes", None) => by_subscript(text, "nodes", &mut found.nodes, &mut found.computed),
            ("secrets", None) => {
                by_subscript(text, "secrets", &mut found.secrets, &mut found.computed);
            }
            ("inputs" | "vars" | "run", _) => {}
            (name, _) if BUILT_IN.contains(&name) => {}
            (name, _) => drop(found.unknown.insert(name.to_owned())),
        }
    }
    found
}

/// Finds `root["name"]` and `root['name']`; the syntax tree does not give them to us.
fn by_subscript(
    text: &str,
    root: &str,
    names: &mut BTreeSet<String>,
    computed: &mut BTreeSet<String>,
) {
    let mut rest = text;
    while let Some(at) = rest.find(root) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + root.len()..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if before.is_some_and(is_word) || rest.starts_with(is_word) {
            continue;
        }
        match quoted_subscript(rest.trim_start()) {
            Some(name) => drop(names.insert(name.to_owned())),
            None => drop(computed.insert(root.to_owned())),
        }
    }
}

fn quoted_subscript(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?.trim_start();
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inner[1..].split_once(quote)?;
    after.trim_start().starts_with(']').then_some(name)
}
