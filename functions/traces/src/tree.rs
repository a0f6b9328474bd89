//! Spans as a tree, written as text: a trace of ten thousand spans is not taken apart to be put together again.

use nodeai_http::money;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value};
use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// The fields of a span as they came: names and JSON.
type Fields<'a> = Vec<(&'a str, &'a str)>;

/// Spans that are objects.
///
/// # Errors
/// When one is none.
pub fn read<'a>(spans: &[&'a str]) -> Result<Vec<Fields<'a>>, Error> {
    struct Read<'a>(Fields<'a>);
    impl<'de> Deserialize<'de> for Read<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Reader;
            impl<'de> Visitor<'de> for Reader {
                type Value = Read<'de>;

                fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                    out.write_str("a span")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<'de>, A::Error> {
                    let mut fields = Vec::with_capacity(32);
                    while let Some((name, value)) = map.next_entry::<&str, &RawValue>()? {
                        fields.push((name, value.get()));
                    }
                    Ok(Read(fields))
                }
            }
            deserializer.deserialize_map(Reader)
        }
    }
    let spans = spans
        .iter()
        .map(|span| serde_json::from_str(span).map(|Read(fields)| fields));
    spans.collect()
}

/// A text among the fields; ids are hexadecimal, and have no character that is escaped.
fn text<'a>(span: &Fields<'a>, name: &str) -> &'a str {
    let found = span.iter().find(|(field, _)| *field == name);
    let inside = found.and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'));
    inside.unwrap_or_default()
}

/// Writes a span without its end, up to where its children come. Cost for people beside the exact integer, durations in ms; what went in and
/// came out, the same for every convention, beside the attributes as they came. With the id of a trace, the span has neither it nor its end.
fn open(out: &mut String, span: &Fields<'_>, trace_id: Option<&str>) {
    out.push('{');
    if let Some(trace_id) = trace_id {
        let _ = write!(out, "\"trace_id\":\"{trace_id}\",");
    }
    let mut start = None;
    for &(name, value) in span {
        match name {
            "cost_pusd" => {
                if let Some(pico) = number(value) {
                    let (micros, usd) = (money::usd_micros(pico), money::usd(pico));
                    let usd = Value::from(usd);
                    let _ = write!(out, "\"cost_usd_micros\":{micros},\"cost_usd\":{usd},");
                }
            }
            "duration_us" => {
                if let Some(us) = number(value) {
                    if let Some(start) = start.filter(|_| trace_id.is_some()) {
                        let _ = write!(out, "\"end_us\":{},", us.saturating_add(start));
                    }
                    let ms = Value::from(us as f64 / 1000.0);
                    let _ = write!(out, "\"duration_ms\":{ms},");
                }
            }
            "attributes" => {
                field(out, name, value);
                if let Some(content) = content(value) {
                    field(out, "content", &content);
                }
            }
            _ => {
                if name == "start_us" {
                    start = number(value);
                }
                field(out, name, value);
            }
        }
    }
    out.push_str("\"children\":[");
}

fn number(value: &str) -> Option<i64> {
    value.parse().ok()
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
/// of a cycle, which ingested ones may hold. With the id of their trace, the spans have neither it nor their ends yet.
pub fn tree(rows: Vec<Fields<'_>>, trace_id: Option<&str>) -> String {
    let mut places = HashMap::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        places.entry(text(row, "span_id")).or_insert(at);
    }
    let mut children = vec![Vec::new(); rows.len()];
    let mut roots = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match places.get(text(row, "parent_span_id")) {
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
    written(&rows, &roots, &children, trace_id)
}

fn written(
    rows: &[Fields<'_>],
    roots: &[usize],
    children: &[Vec<usize>],
    trace_id: Option<&str>,
) -> String {
    let fields = rows.iter().flatten();
    let size: usize = fields
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
    let size = size + 128 * rows.len();
    let mut out = String::with_capacity(size + 2);
    out.push('[');
    for (i, root) in roots.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        open(&mut out, &rows[*root], trace_id);
        // Traces may be deep: those that are open, and how many children of each are written.
        let mut begun = vec![(*root, 0)];
        while let Some((at, done)) = begun.last_mut() {
            let Some(child) = children[*at].get(*done).copied() else {
                out.push_str("]}");
                begun.pop();
                continue;
            };
            if *done > 0 {
                out.push(',');
            }
            *done += 1;
            open(&mut out, &rows[child], trace_id);
            begun.push((child, 0));
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
        serde_json::from_str(&tree(read(&spans).unwrap(), None)).unwrap()
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
        let text = tree(read(&spans).unwrap(), None);
        assert_eq!(text.matches("\"children\":[").count(), 20_000);
    }

    #[test]
    fn rows_get_the_id_of_their_trace_and_their_ends() {
        let row = vec![
            ("span_id", "\"a\""),
            ("start_us", "7"),
            ("duration_us", "1500"),
        ];
        let made: Value = serde_json::from_str(&tree(vec![row], Some("t1"))).unwrap();
        let wanted = json!([{"trace_id": "t1", "span_id": "a", "start_us": 7, "end_us": 1507, "duration_ms": 1.5, "children": []}]);
        assert_eq!(made, wanted);
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
