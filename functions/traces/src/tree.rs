//! Spans as a tree, written as text: a trace of ten thousand spans is not taken apart to be put together again.

use nodeai_http::money;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value};
use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// The fields of a span as they came.
struct Fields<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a span")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(32);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'a> Fields<'a> {
    fn text(&self, name: &str) -> &'a str {
        let found = self.0.iter().find(|(field, _)| *field == name);
        let text = found.and_then(|(_, value)| serde_json::from_str(value.get()).ok());
        text.unwrap_or_default()
    }

    /// The span without its end, up to where its children come. Cost for people beside the exact integer, durations in ms; what went in
    /// and came out, the same for every convention, beside the attributes as they came.
    fn open(&self, out: &mut String) {
        out.push('{');
        for (name, value) in &self.0 {
            let value = value.get();
            match *name {
                "cost_pusd" => {
                    if let Some(pico) = number(value) {
                        let (micros, usd) = (money::usd_micros(pico), money::usd(pico));
                        let _ = write!(
                            out,
                            "\"cost_usd_micros\":{micros},\"cost_usd\":{},",
                            Value::from(usd)
                        );
                    }
                }
                "duration_us" => {
                    if let Some(us) = number(value) {
                        let _ = write!(out, "\"duration_ms\":{},", Value::from(us as f64 / 1000.0));
                    }
                }
                "attributes" => {
                    field(out, name, value);
                    if let Some(content) = content(value) {
                        field(out, "content", &content);
                    }
                }
                _ => field(out, name, value),
            }
        }
        out.push_str("\"children\":[");
    }
}

fn number(value: &str) -> Option<i64> {
    serde_json::from_str(value).ok()
}

fn field(out: &mut String, name: &str, value: &str) {
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    out.push_str(value);
    out.push(',');
}

fn content(attributes: &str) -> Option<String> {
    if !nodeai_otel::may_have_content(attributes) {
        return None;
    }
    let attributes: Map<String, Value> = serde_json::from_str(attributes).ok()?;
    let content = nodeai_otel::content_of(&attributes);
    match content.is_empty() {
        true => None,
        false => serde_json::to_string(&content).ok(),
    }
}

/// Root spans, each with its children, in the order in which they are given. A span whose parent is elsewhere is a root, and so are those
/// of a cycle, which ingested ones may hold.
///
/// # Errors
/// When a span is no object.
pub fn tree(spans: &[&str]) -> Result<String, Error> {
    let rows: Vec<Fields<'_>> = spans
        .iter()
        .map(|span| serde_json::from_str(span))
        .collect::<Result<_, _>>()?;
    let mut places = HashMap::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        places.entry(row.text("span_id")).or_insert(at);
    }
    let mut children = vec![Vec::new(); rows.len()];
    let mut roots = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match places.get(row.text("parent_span_id")) {
            Some(parent) if *parent != at => children[*parent].push(at),
            _ => roots.push(at),
        }
    }
    let mut reached = vec![false; rows.len()];
    let mut next = roots.clone();
    while let Some(at) = next.pop() {
        reached[at] = true;
        next.extend(&children[at]);
    }
    for at in (0..rows.len()).filter(|at| !reached[*at]) {
        children[at].clear();
        roots.push(at);
    }
    roots.sort_unstable();
    Ok(written(&rows, &roots, &children, spans))
}

fn written(
    rows: &[Fields<'_>],
    roots: &[usize],
    children: &[Vec<usize>],
    spans: &[&str],
) -> String {
    let size: usize = spans.iter().map(|span| span.len() + 64).sum();
    let mut out = String::with_capacity(size + 2);
    out.push('[');
    for (i, root) in roots.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        rows[*root].open(&mut out);
        // Traces may be deep: those that are open, and how many children of each are written.
        let mut open = vec![(*root, 0)];
        while let Some((at, done)) = open.last_mut() {
            let Some(child) = children[*at].get(*done).copied() else {
                out.push_str("]}");
                open.pop();
                continue;
            };
            if *done > 0 {
                out.push(',');
            }
            *done += 1;
            rows[child].open(&mut out);
            open.push((child, 0));
        }
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(id: &str, parent: &str) -> String {
        json!({"span_id": id, "parent_span_id": parent, "duration_us": 1500, "cost_pusd": null})
            .to_string()
    }

    fn made(spans: &[String]) -> Value {
        let spans: Vec<&str> = spans.iter().map(String::as_str).collect();
        serde_json::from_str(&tree(&spans).unwrap()).unwrap()
    }

    fn shape(nodes: &Value) -> String {
        let nodes = nodes.as_array().unwrap().iter();
        let parts = nodes.map(|node| {
            let id = node["span_id"].as_str().unwrap();
            match node["children"].as_array().unwrap().is_empty() {
                true => id.to_owned(),
                false => format!("{id}({})", shape(&node["children"])),
            }
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn spans_hang_under_their_parents_in_order() {
        let spans = [("a", ""), ("b", "a"), ("c", "a"), ("d", "c"), ("e", "a")];
        let spans = spans.map(|(id, parent)| span(id, parent));
        assert_eq!(shape(&made(&spans)), "a(b c(d) e)");
    }

    #[test]
    fn a_span_whose_parent_is_elsewhere_is_a_root() {
        assert_eq!(shape(&made(&[span("a", "x"), span("b", "a")])), "a(b)");
    }

    #[test]
    fn a_cycle_is_shown_and_does_not_hang() {
        let spans = [
            span("a", "b"),
            span("b", "a"),
            span("c", "c"),
            span("d", "a"),
        ];
        assert_eq!(shape(&made(&spans)), "a b c d");
    }

    #[test]
    fn a_deep_trace_is_written() {
        let spans: Vec<String> = (0..20_000)
            .map(|i| span(&i.to_string(), &(i - 1).to_string()))
            .collect();
        let spans: Vec<&str> = spans.iter().map(String::as_str).collect();
        let text = tree(&spans).unwrap();
        assert_eq!(text.matches("\"children\":[").count(), 20_000);
    }

    #[test]
    fn numbers_are_for_people_and_content_is_in_one_form() {
        let whole = json!({"span_id": "a", "name": "x \" y", "duration_us": 1500, "cost_pusd": 2_000_000,
            "attributes": {"input.value": "hello", "n": 1}, "events": [{"name": "e"}]});
        let made = made(&[whole.to_string()]);
        let wanted = json!([{"span_id": "a", "name": "x \" y", "duration_ms": 1.5, "cost_usd_micros": 2, "cost_usd": money::usd(2_000_000),
            "attributes": {"input.value": "hello", "n": 1}, "content": {"input": "hello"}, "events": [{"name": "e"}], "children": []}]);
        assert_eq!(made, wanted);
    }
}
