//! Documents in lists, and which chunk each of them is.

use crate::json::member;
use crate::words::one_blank;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

const IDS: &[&str] = &[
    "chunk_id",
    "id",
    "document_id",
    "doc_id",
    "node_id",
    "_id",
    "uuid",
];
const TEXTS: &[&str] = &[
    "content",
    "text",
    "page_content",
    "chunk",
    "passage",
    "body",
    "snippet",
];
const SCORES: &[&str] = &[
    "score",
    "relevance_score",
    "similarity",
    "rerank_score",
    "rrf_score",
    "_score",
];
/// Where lists of documents are in an answer.
const LISTS: &[&str] = &[
    "results",
    "documents",
    "matches",
    "chunks",
    "hits",
    "rows",
    "points",
    "nodes",
    "items",
    "source_nodes",
    "data",
    "result",
    "output",
    "body",
];
/// What a document may be wrapped in.
const WRAPS: &[&str] = &["document", "node", "payload", "_source", "entity", "fields"];

/// A document as a span has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    pub id: Option<String>,
    pub text: Option<String>,
    pub score: Option<f64>,
}

/// Reads one; none for what has neither id nor text.
pub fn document(value: &Value) -> Option<Document> {
    if let Some(text) = value.as_str() {
        let text = Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        return text.map(|text| Document {
            text: Some(text),
            ..Document::default()
        });
    }
    let inner = member(value, WRAPS).filter(|inner| inner.is_object() || inner.is_string());
    let mut read = inner.and_then(document).unwrap_or_default();
    let own_id = member(value, IDS).and_then(id_text);
    let metadata = member(value, &["metadata", "meta"]);
    let id_of_metadata = || {
        metadata
            .and_then(|meta| member(meta, IDS))
            .and_then(id_text)
    };
    read.id = own_id.or(read.id).or_else(id_of_metadata);
    let own_text = member(value, TEXTS).and_then(Value::as_str);
    let own_text = own_text.filter(|text| !text.trim().is_empty());
    read.text = own_text.map(str::to_owned).or(read.text);
    read.score = member(value, SCORES).and_then(number).or(read.score);
    (read.id.is_some() || read.text.is_some()).then_some(read)
}

fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A finite number, or a text that is one: exporters write both.
pub fn number(value: &Value) -> Option<f64> {
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number: &f64| number.is_finite())
}

/// The list of documents in what a call has answered; `scored` asks that one of them has a score, so that not every
/// list of things with ids is taken for one of chunks.
pub fn documents_in(value: &Value, scored: bool) -> Option<Vec<Document>> {
    found(value, scored, 0)
}

fn found(value: &Value, scored: bool, depth: u8) -> Option<Vec<Document>> {
    if let Some(list) = value.as_array() {
        let read: Vec<Document> = list.iter().filter_map(document).collect();
        let all = read.len() == list.len();
        let fits = !scored || read.iter().any(|document| document.score.is_some());
        return (all && fits && (!read.is_empty() || !scored)).then_some(read);
    }
    if depth > 2 {
        return None;
    }
    LISTS
        .iter()
        .filter_map(|name| member(value, &[name]))
        .find_map(|inner| found(inner, scored, depth + 1))
}

/// The names of chunks over a whole query.
#[derive(Debug, Default)]
pub struct Names {
    by_text: HashMap<String, String>,
    shared: HashSet<String>,
}

impl Names {
    /// Learns from all lists of a query.
    pub fn of<'a>(lists: impl Iterator<Item = &'a [Document]> + Clone) -> Self {
        let mut names = Self::default();
        for list in lists.clone() {
            let mut texts: HashMap<&str, String> = HashMap::new();
            for document in list {
                let (Some(id), Some(text)) = (&document.id, &document.text) else {
                    continue;
                };
                let hash = hash(text);
                if texts.entry(id).or_insert_with(|| hash.clone()) != &hash {
                    names.shared.insert(id.clone());
                }
            }
        }
        for document in lists.flatten() {
            if let (Some(id), Some(text)) = (&document.id, &document.text) {
                let name = names.with_id(id, Some(text));
                names.by_text.entry(hash(text)).or_insert(name);
            }
        }
        names
    }

    fn with_id(&self, id: &str, text: Option<&str>) -> String {
        match text {
            Some(text) if self.shared.contains(id) => format!("{id}#{}", &hash(text)[..8]),
            _ => id.to_owned(),
        }
    }

    /// The chunk that a document is.
    pub fn name(&self, document: &Document) -> String {
        let text = document.text.as_deref();
        if let Some(id) = &document.id {
            return self.with_id(id, text);
        }
        let hash = hash(text.unwrap_or_default());
        match self.by_text.get(&hash) {
            Some(name) => name.clone(),
            None => format!("sha256:{}", &hash[..32]),
        }
    }
}

/// SHA-256 of a text with blanks made one, hex.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(one_blank(text).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
