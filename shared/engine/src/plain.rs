//! The short way for expressions that are nothing but a path, such as `inputs.a.b`, `nodes.x.output.y[0]` or
//! `vars['a b']`: they are read straight from the JSON values. Whatever is not sure to give what the full engine gives
//! (something undefined, an index from the end, a filter) is left to the full engine; a property test compares both.

use serde_json::Value;

use crate::scope::{Root, Scope};

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'t> {
    Name(&'t str),
    Index(usize),
}

/// Words that are no names in an expression.
const WORDS: [&str; 12] = [
    "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if",
];

/// What a plain path stands for.
pub(crate) enum Found<'s> {
    /// A value of the run.
    Value(&'s Value),
    /// A text that is no JSON value of the run.
    Text(&'s str),
}

impl Found<'_> {
    /// As a value of its own.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Value(value) => (*value).clone(),
            Self::Text(text) => Value::from(*text),
        }
    }

    /// As text within a text, if that is plain: what has a notation of its own there is left to the full engine.
    fn write(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Value(Value::String(text)) => out.push_str(text),
            Self::Value(Value::Number(number)) if !number.is_f64() => {
                out.push_str(&number.to_string());
            }
            Self::Value(value @ (Value::Array(_) | Value::Object(_))) => {
                out.push_str(&value.to_string());
            }
            _ => return None,
        }
        Some(())
    }
}

/// What the expression stands for, if it is a plain path to something that is there.
pub(crate) fn find<'s>(expression: &str, scope: &'s Scope<'_>) -> Option<Found<'s>> {
    let mut rest = expression;
    let mut root = scope.root(name(&mut rest)?)?;
    let mut steps = Steps(rest);
    while let Root::Names(names) = root {
        let Step::Name(name) = steps.next()?? else {
            return None;
        };
        root = names.get(name)?.root();
    }
    let mut value = match root {
        Root::Value(value) => value,
        // Only what the names stand for is a value.
        Root::Names(_) => return None,
        Root::Nodes => {
            let Step::Name(id) = steps.next()?? else {
                return None;
            };
            let node = scope.nodes.get(id)?;
            match steps.next()?? {
                Step::Name("output") => node.output.as_ref()?.value,
                Step::Name("state") => {
                    return matches!(steps.next(), Some(None)).then_some(Found::Text(node.state));
                }
                _ => return None,
            }
        }
        Root::Secrets => {
            let Step::Name(name) = steps.next()?? else {
                return None;
            };
            let secret = scope.secrets.get(name)?;
            return matches!(steps.next(), Some(None)).then_some(Found::Text(secret));
        }
    };
    while let Some(step) = steps.next()? {
        value = match (value, step) {
            (Value::Object(map), Step::Name(name)) => map.get(name)?,
            (Value::Array(items), Step::Index(at)) => items.get(at)?,
            _ => return None,
        };
    }
    Some(Found::Value(value))
}

/// Renders a text whose expressions are all plain paths.
pub(crate) fn render_text(text: &str, scope: &Scope<'_>, most: usize) -> Option<String> {
    if text.contains("{%") || text.contains("{#") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        out.push_str(&rest[..at]);
        let (inner, after) = rest[at + 2..].split_once("}}")?;
        find(inner.trim(), scope)?.write(&mut out)?;
        if out.len() > most {
            return None;
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// Takes a name off the front.
fn name<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (found, after) = rest.split_at(end);
    let starts = found.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if !starts || WORDS.contains(&found) {
        return None;
    }
    *rest = after;
    Some(found)
}

/// The steps of a path after its root.
struct Steps<'t>(&'t str);

impl<'t> Steps<'t> {
    /// The next step; `Some(None)` at the end, `None` if this is no plain path.
    #[allow(clippy::option_option)]
    fn next(&mut self) -> Option<Option<Step<'t>>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if let Some(after) = self.0.strip_prefix('.') {
            self.0 = after;
            return Some(Some(Step::Name(name(&mut self.0)?)));
        }
        let inner = self.0.strip_prefix('[')?;
        if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let (name, after) = inner[1..].split_once(quote)?;
            self.0 = after.strip_prefix(']')?;
            return (!name.contains('\\')).then_some(Some(Step::Name(name)));
        }
        let (digits, after) = inner.split_once(']')?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.0 = after;
        plain
            .then(|| digits.parse().ok())
            .flatten()
            .map(|at| Some(Step::Index(at)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::collections::BTreeMap;

    use super::*;
    use crate::scope::{Local, View};
    use crate::template::Templates;

    /// SplitMix64: a failing case is found again.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = self.0;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((x ^ (x >> 31)) % sides as u64).unwrap_or(0)
        }

        fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
            all[self.roll(all.len())]
        }

        fn value(&mut self, depth: usize) -> Value {
            match self.roll(if depth == 0 { 9 } else { 13 }) {
                0 => json!(null),
                1 => json!(true),
                2 => json!(-7),
                3 => json!(u64::MAX),
                4 => json!(1.0),
                5 => json!(-0.25e-9),
                6 => json!(""),
                7 => json!("é {{ inputs.a }}\n\"q\" <b>"),
                8 => json!(1e300),
                9 | 10 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
                _ => {
                    let names = [
                        "a", "b", "x y", "items", "in", "0", "true", "output", "__c", "é",
                    ];
                    let pairs = (0..self.roll(5))
                        .map(|_| (self.of(&names).to_owned(), self.value(depth - 1)));
                    Value::Object(pairs.collect())
                }
            }
        }

        fn path(&mut self) -> String {
            let roots = [
                "inputs",
                "inputs",
                "vars",
                "nodes.n1",
                "nodes.n1.output",
                "nodes['n-2'].output",
                "nodes.n3",
                "nodes.n1.state",
                "run.id",
                "secrets.KEY",
                "nope",
                "item",
                "index",
                "previous",
                "loops.each.item",
                "loops['each'].index",
                "loops.each",
                "loops",
            ];
            let mut path = self.of(&roots).to_owned();
            for _ in 0..self.roll(4) {
                let steps = [
                    ".a",
                    ".b",
                    "[0]",
                    "[1]",
                    "[-1]",
                    "['x y']",
                    "[\"a\"]",
                    ".items",
                    ".in",
                    ".true",
                    ".0",
                    "['0']",
                    ".output",
                    ".__c",
                    "['é']",
                    ".é",
                    "[ 0 ]",
                    " .a",
                    "[00]",
                    "[99999999999999999999]",
                ];
                path.push_str(self.of(&steps));
            }
            path
        }

        fn text(&mut self) -> String {
            let path = self.path();
            let other = self.path();
            match self.roll(8) {
                0..3 => format!("{{{{ {path} }}}}"),
                3 => format!(" {{{{{path}}}}}\n"),
                4 => format!("{{{{- {path} -}}}}"),
                5 => format!("a {{{{ {path} }}}} b {{{{{other}}}}}\n"),
                6 => format!("}}}} {{ {{{{ {path} }}}}"),
                _ => format!("{{{{ {path} | default('d') }}}}{{{{ {other} }}}}"),
            }
        }
    }

    /// What the short way gives is what the full engine gives, to the byte; and errors are the full engine's own.
    #[test]
    fn the_short_way_gives_what_the_full_engine_gives() {
        let templates = Templates::new();
        let mut dice = Dice(7);
        let mut short = 0;
        for round in 0..20_000 {
            let all = json!({
                "inputs": dice.value(3), "vars": {"a": dice.value(2), "b": dice.value(1)},
                "nodes": {"n1": {"output": dice.value(3)}, "n-2": {"output": dice.value(2)}, "n3": {}},
            });
            let run = json!({"id": "r1"});
            let around =
                json!({"item": dice.value(3), "index": dice.roll(4), "previous": dice.value(2)});
            let around = around.as_object().cloned().unwrap_or_default();
            let mut scope = Scope::of(&all);
            scope.run = Some(View::of(&run));
            for (name, value) in &around {
                let local = match dice.roll(2) {
                    0 => Local::Own(value.clone()),
                    _ => Local::Of(View::of(value)),
                };
                scope.locals.insert(name, local);
            }
            let each = BTreeMap::from([
                ("item", Local::Of(View::of(&around["item"]))),
                ("index", Local::Own(around["index"].clone())),
            ]);
            let loops = BTreeMap::from([("each", Local::Names(each))]);
            scope.locals.insert("loops", Local::Names(loops));
            scope.secrets.insert("KEY".to_owned(), "s3cret".to_owned());
            let text = dice.text();
            let expected = templates.render_in_full(&text, &scope);
            let found = templates.render(&text, &scope);
            let same = match (&found, &expected) {
                (Ok(a), Ok(b)) => a.to_string() == b.to_string(),
                (a, b) => a == b,
            };
            assert!(
                same,
                "round {round}, {text:?} in {all}: {found:?}, not {expected:?}"
            );
            if let Ok(expected) = templates.render_text(&text, &scope) {
                let way = render_text(&text, &scope, usize::MAX);
                short += usize::from(way.is_some());
                assert!(
                    way.is_none_or(|way| way == expected),
                    "round {round}, {text:?}"
                );
            }
        }
        assert!(short > 1_000, "the short way was taken only {short} times");
    }
}
