//! A stage's lists and words, from its span.

use crate::chunk::{Document, documents_in};
use crate::json::{member, whole};
use crate::query::{Kind, Settings};
use crate::settings::settings;
use crate::span::Span;
use nodeai_otel::{content_of, documents_at};
use serde_json::Value;

/// A stage before its chunks have names.
#[derive(Debug, Clone)]
pub struct Raw {
    pub kind: Kind,
    pub query: Option<String>,
    pub settings: Settings,
    pub received: Option<Vec<Document>>,
    pub gave: Vec<Document>,
    pub incomplete: bool,
}

/// Reads a stage. None for one that is not sure to be a stage and has no list of scored chunks.
pub fn read(span: &Span, kind: Kind, sure: bool) -> Option<Raw> {
    let a = &span.attributes;
    let content = content_of(a);
    let input = content.input.as_ref().map(whole);
    let output = content.output.as_ref().map(whole);
    let listed = |list: &[Value]| -> Vec<Document> {
        list.iter().filter_map(crate::chunk::document).collect()
    };
    let mut incomplete = false;
    let mut gave = listed(&content.documents);
    if gave.is_empty() {
        let found = output
            .as_ref()
            .and_then(|(value, _)| documents_in(value, !sure));
        incomplete = found.is_some() && output.as_ref().is_some_and(|(_, cut)| *cut);
        match found {
            Some(found) => gave = found,
            None if !sure => return None,
            None => incomplete = output.as_ref().is_some_and(|(_, cut)| *cut),
        }
    }
    let received = received(span, kind, input.as_ref(), &output);
    Some(Raw {
        kind,
        query: query(span, input.as_ref().map(|(value, _)| value)),
        settings: settings(span, kind == Kind::Rerank),
        received,
        gave,
        incomplete,
    })
}

fn received(
    span: &Span,
    kind: Kind,
    input: Option<&(Value, bool)>,
    output: &Option<(Value, bool)>,
) -> Option<Vec<Document>> {
    if kind == Kind::Retrieval {
        return None;
    }
    let flat = documents_at(&span.attributes, "reranker.input_documents");
    if !flat.is_empty() {
        return Some(flat.iter().filter_map(crate::chunk::document).collect());
    }
    // Of a list that is cut, nothing can be said of what is missing.
    let (input, _) = input.filter(|(_, cut)| !*cut)?;
    let batch = input.pointer("/batches/0").unwrap_or(input);
    let mut list = documents_in(batch, false).filter(|list| !list.is_empty())?;
    with_ids(&mut list, output.as_ref().map(|(value, _)| value));
    Some(list)
}

/// Our reranker is given texts; its results say which documents they were.
fn with_ids(list: &mut [Document], output: Option<&Value>) {
    let results = output.and_then(|value| member(value, &["results"])?.as_array());
    for result in results.into_iter().flatten() {
        let place = member(result, &["index"]).and_then(Value::as_u64);
        let document = member(result, &["document"]).and_then(crate::chunk::document);
        let at = place.and_then(|place| list.get_mut(usize::try_from(place).ok()?));
        if let (Some(at), Some(document)) = (at, document) {
            at.id = at.id.take().or(document.id);
        }
    }
}

const QUERY: &[&str] = &[
    "gen_ai.retrieval.query.text",
    "reranker.query",
    "retrieval.query",
    "nodeai.rag.query",
];
/// Members of an input that hold what is looked for.
pub const ASKED: &[&str] = &[
    "query",
    "question",
    "input",
    "q",
    "query_str",
    "search_query",
    "message",
    "prompt",
    "text",
];

fn query(span: &Span, input: Option<&Value>) -> Option<String> {
    let own = span.text(QUERY).map(str::to_owned);
    own.or_else(|| input.and_then(asked))
}

/// What an input asks: a text, or the member that is called so.
pub fn asked(input: &Value) -> Option<String> {
    let text = |value: &Value| {
        let text = value.as_str().map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let batch = input.pointer("/batches/0");
    let body = || {
        ["body", "arguments", "inputs"]
            .iter()
            .find_map(|name| input.get(*name))
    };
    let members = |value: &Value| {
        ASKED
            .iter()
            .filter_map(|name| member(value, &[name]))
            .find_map(text)
    };
    text(input)
        .or_else(|| members(input))
        .or_else(|| members(batch?))
        .or_else(|| members(body()?))
}

/// The texts that a call for vectors was given, when it is for one question: a batch is for documents.
pub fn embedded(span: &Span) -> Option<String> {
    let flat = nodeai_otel::unflatten(&span.attributes, "embedding.embeddings");
    let texts: Vec<String> = match flat.is_empty() {
        false => flat
            .iter()
            .filter_map(|item| item.pointer("/embedding/text")?.as_str())
            .map(str::to_owned)
            .collect(),
        true => {
            let input = content_of(&span.attributes).input?;
            let (input, cut) = whole(&input);
            let batch = input.pointer("/batches/0/texts").and_then(Value::as_array);
            match batch {
                Some(batch) => batch
                    .iter()
                    .filter_map(|t| Some(t.as_str()?.to_owned()))
                    .collect(),
                None if cut => Vec::new(),
                None => asked(&input).into_iter().collect(),
            }
        }
    };
    match texts.as_slice() {
        [one] => Some(one.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}
