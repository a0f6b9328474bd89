//! `xml`: XML to JSON and back. An element's attributes are `@name`, its text is `#text`; an element with nothing but text is
//! that text; elements of one name next to each other are a list. No entities but XML's own, so no bombs.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{done, entry, given, made, to_text, type_of};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

/// Deepest nesting, and most elements and attributes, of a document.
const DEEPEST: usize = 100;
const MOST: usize = 500_000;

pub(super) fn spec() -> Spec {
    entry(
        "xml",
        "XML",
        "Reads XML into a value, or writes a value as XML. Attributes are \"@name\", text beside elements is \"#text\", elements of the same name are a list.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "enum": ["parse", "format"], "x-nodeai": "literal"},
                "value": {"description": "Of parse a text, of format an object; without it what comes in over the edge"},
                "lists": {"type": "array", "maxItems": 200, "items": {"type": "string"}, "description": "Of parse: elements of these names are always lists"},
                "attributes": {"type": "boolean", "default": true, "description": "Of parse: keep attributes"},
                "root": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Of format: an element around the value; needed unless the value has one field"},
                "pretty": {"type": "boolean", "default": false, "description": "Of format: indent"},
                "declaration": {"type": "boolean", "default": true, "description": "Of format: begin with <?xml …?>"},
            },
        }),
        port("output", "The value, or the text", json!({})),
        json!({"operation": "parse", "value": "{{ nodes.feed.output.body }}", "lists": ["item"]}),
    )
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    value: Option<Value>,
    #[serde(default)]
    lists: Vec<String>,
    attributes: Option<bool>,
    root: Option<String>,
    #[serde(default)]
    pretty: bool,
    declaration: Option<bool>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let value = call.value_or_incoming("value", config.value.take())?;
    Ok(done(match config.operation.as_str() {
        "parse" => config.parse(&to_text("value", value)?)?,
        _ => made(config.format(&value)?)?.into(),
    }))
}

/// An element that is being read.
#[derive(Default)]
struct Open {
    name: String,
    fields: Map<String, Value>,
    text: String,
}

impl Open {
    fn close(self) -> (String, Value) {
        let text = self.text.trim();
        let value = match (self.fields.is_empty(), text.is_empty()) {
            (true, true) => Value::Null,
            (true, false) => text.into(),
            (false, true) => Value::Object(self.fields),
            (false, false) => {
                let mut fields = self.fields;
                fields.insert("#text".to_owned(), text.into());
                Value::Object(fields)
            }
        };
        (self.name, value)
    }
}

impl Config {
    fn parse(&self, text: &str) -> Result<Value, NodeError> {
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
        let mut stack = vec![Open::default()];
        let mut count = 0;
        loop {
            let at = reader.buffer_position();
            let wrong = |words: &str| {
                let before = text.get(..usize::try_from(at).unwrap_or(0)).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                NodeError::new("xml", format!("/value: {words} (line {line})"), false)
            };
            let event = reader
                .read_event()
                .map_err(|error| wrong(&error.to_string()))?;
            let top = stack.len() == 1;
            let Some(open) = stack.last_mut() else {
                return Err(wrong("an element is closed that was not opened"));
            };
            match event {
                Event::Start(start) | Event::Empty(start) if top && !open.fields.is_empty() => {
                    return Err(wrong(&format!("a second root element {}", start.name().0)));
                }
                Event::Start(start) => {
                    let new = self
                        .open(&start, &mut count)
                        .map_err(|words| wrong(&words))?;
                    stack.push(new);
                    if stack.len() > DEEPEST {
                        return Err(wrong("nested too deep"));
                    }
                }
                Event::Empty(start) => {
                    let (name, value) = self
                        .open(&start, &mut count)
                        .map_err(|words| wrong(&words))?
                        .close();
                    self.put(open, name, value);
                }
                Event::End(_) => {
                    let closed = stack.pop().map(Open::close);
                    if let (Some((name, value)), Some(parent)) = (closed, stack.last_mut()) {
                        self.put(parent, name, value);
                    }
                }
                Event::Text(part) if top && !part.trim().is_empty() => {
                    return Err(wrong("text outside of the root element"));
                }
                Event::Text(part) => open.text.push_str(&part),
                Event::CData(part) => open.text.push_str(&part),
                Event::GeneralRef(entity) => {
                    let written = format!("&{};", &*entity);
                    let plain = quick_xml::escape::unescape(&written)
                        .map_err(|_| wrong(&format!("unknown entity {written}")))?;
                    open.text.push_str(&plain);
                }
                Event::Eof if !top => {
                    return Err(wrong(&format!("the element {} is not closed", open.name)));
                }
                Event::Eof if open.fields.is_empty() => return Err(wrong("there is no element")),
                Event::Eof => break,
                _ => {}
            }
            if count > MOST {
                return Err(wrong("too many elements"));
            }
        }
        let root = stack.pop().map(|open| open.fields).unwrap_or_default();
        Ok(Value::Object(root))
    }

    fn open(&self, start: &BytesStart<'_>, count: &mut usize) -> Result<Open, String> {
        *count += 1;
        let mut open = Open {
            name: start.name().0.to_owned(),
            ..Open::default()
        };
        for attribute in start.attributes() {
            *count += 1;
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value =
                quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
            if self.attributes.unwrap_or(true) {
                open.fields
                    .insert(format!("@{}", attribute.key.0), value.as_ref().into());
            }
        }
        Ok(open)
    }

    fn put(&self, parent: &mut Open, name: String, value: Value) {
        match parent.fields.get_mut(&name) {
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                let is_list = self.lists.contains(&name);
                let value = if is_list {
                    Value::Array(vec![value])
                } else {
                    value
                };
                parent.fields.insert(name, value);
            }
        }
    }

    fn format(&self, value: &Value) -> Result<String, NodeError> {
        let wrong = |words: String| NodeError::config(format!("/value: {words}"));
        let (root, value) = match (&self.root, value) {
            (Some(root), value) => (root.as_str(), value),
            (None, Value::Object(map)) if map.len() == 1 => map
                .iter()
                .next()
                .map(|(name, value)| (name.as_str(), value))
                .unwrap_or(("root", value)),
            (None, other) => {
                let found = type_of(other);
                return Err(wrong(format!(
                    "expected an object with one field, the root element, found {found}; or give root"
                )));
            }
        };
        if value.is_array() {
            return Err(wrong("the root element cannot be a list".to_owned()));
        }
        let mut out = String::new();
        if self.declaration.unwrap_or(true) {
            out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            out.push_str(if self.pretty { "\n" } else { "" });
        }
        self.write(root, value, 0, &mut out).map_err(wrong)?;
        Ok(out)
    }

    /// The document's depth is bounded; so is this recursion.
    fn write(
        &self,
        name: &str,
        value: &Value,
        depth: usize,
        out: &mut String,
    ) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("nested too deep".to_owned());
        }
        if out.len() > 2 * super::MOST_TEXT {
            return Err("the XML would be too long".to_owned());
        }
        if !is_name(name) {
            return Err(format!("{name:?} cannot be the name of an element"));
        }
        if let Value::Array(items) = value {
            return items
                .iter()
                .try_for_each(|item| self.write(name, item, depth, out));
        }
        let line = |out: &mut String, depth: usize| {
            if self.pretty && !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            if self.pretty {
                out.push_str(&"  ".repeat(depth));
            }
        };
        line(out, depth);
        out.push('<');
        out.push_str(name);
        let Value::Object(map) = value else {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            match value.is_null() || text.is_empty() {
                true => out.push_str("/>"),
                false => out.push_str(&format!(">{}</{name}>", escape(&text))),
            }
            return Ok(());
        };
        for (attribute, value) in map
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix('@')?, value)))
        {
            if !is_name(attribute) || value.is_array() || value.is_object() {
                return Err(format!("\"@{attribute}\" cannot be an attribute"));
            }
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            out.push_str(&format!(" {attribute}=\"{}\"", escape(&text)));
        }
        let text = map.get("#text").map(|text| {
            text.as_str()
                .map_or_else(|| text.to_string(), str::to_owned)
        });
        let children = || {
            map.iter()
                .filter(|(name, _)| !name.starts_with('@') && *name != "#text")
        };
        if text.is_none() && children().next().is_none() {
            out.push_str("/>");
            return Ok(());
        }
        out.push('>');
        out.push_str(&escape(text.unwrap_or_default()));
        for (name, value) in children() {
            self.write(name, value, depth + 1, out)?;
        }
        if children().next().is_some() {
            line(out, depth);
        }
        out.push_str(&format!("</{name}>"));
        Ok(())
    }
}

/// Names without exotic characters; colons are those of namespaces.
fn is_name(name: &str) -> bool {
    let starts = |c: char| c.is_alphabetic() || c == '_';
    let goes_on = |c: char| starts(c) || c.is_numeric() || matches!(c, '-' | '.' | ':');
    name.starts_with(starts) && name.chars().all(goes_on)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    #[test]
    fn xml_becomes_values() {
        let feed = r#"<?xml version="1.0"?><!DOCTYPE rss><rss version="2.0"><channel>
            <title>A &amp; B &#233;</title><item id='1'><t><![CDATA[<x>]]></t></item><item id='2'/><x:e xmlns:x="u">m<b>i</b>x</x:e>
            <!-- no --></channel></rss>"#;
        check(
            "xml",
            json!({"operation": "parse"}),
            json!(feed),
            json!({"rss": {"@version": "2.0", "channel": {
                "title": "A & B é", "item": [{"@id": "1", "t": "<x>"}, {"@id": "2"}], "x:e": {"@xmlns:x": "u", "b": "i", "#text": "mx"},
            }}}),
        );
        check(
            "xml",
            json!({"operation": "parse", "lists": ["b"], "attributes": false}),
            json!("<a c='1'><b/></a>"),
            json!({"a": {"b": [null]}}),
        );
    }

    #[test]
    fn values_become_xml_and_come_back() {
        let value = json!({"a": {"@n": "\"<1>\"", "b": ["x & y", null, {"@k": true, "#text": 3}], "c": {"d": "e"}}});
        let text = super::super::testing::run(
            "xml",
            json!({"operation": "format", "declaration": false}),
            value.clone(),
        )
        .expect("valid");
        assert_eq!(
            text,
            "<a n=\"&quot;&lt;1&gt;&quot;\"><b>x &amp; y</b><b/><b k=\"true\">3</b><c><d>e</d></c></a>"
        );
        check(
            "xml",
            json!({"operation": "parse"}),
            text,
            json!({"a": {"@n": "\"<1>\"", "b": ["x & y", null, {"@k": "true", "#text": "3"}], "c": {"d": "e"}}}),
        );
        check(
            "xml",
            json!({"operation": "format", "pretty": true, "root": "r"}),
            json!({"a": 1, "b": {"c": [1, 2]}}),
            json!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<r>\n  <a>1</a>\n  <b>\n    <c>1</c>\n    <c>2</c>\n  </b>\n</r>"
            ),
        );
    }

    #[test]
    fn faults_are_named() {
        let parse = || json!({"operation": "parse"});
        refuse("xml", parse(), json!("<a>\n<b></a>"), "(line 2)");
        refuse("xml", parse(), json!("<a>"), "the element a is not closed");
        refuse("xml", parse(), json!("<a/><b/>"), "a second root element b");
        refuse("xml", parse(), json!("x"), "text outside");
        refuse("xml", parse(), json!(""), "there is no element");
        refuse(
            "xml",
            parse(),
            json!("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>"),
            "unknown entity &e;",
        );
        refuse("xml", parse(), json!("<a>".repeat(200)), "nested too deep");
        refuse(
            "xml",
            json!({"operation": "format"}),
            json!({"a b": 1}),
            "cannot be the name of an element",
        );
        refuse(
            "xml",
            json!({"operation": "format"}),
            json!({"a": 1, "b": 1}),
            "one field",
        );
    }
}
