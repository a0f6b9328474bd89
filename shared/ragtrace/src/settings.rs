//! Settings of a stage, wherever its attributes have them.

use crate::chunk::number;
use crate::json::{member, whole};
use crate::query::Settings;
use crate::span::Span;
use serde_json::Value;

const K: &[&str] = &[
    "nodeai.rag.k",
    "gen_ai.retrieval.top_k",
    "gen_ai.request.top_k",
    "retrieval.top_k",
    "retriever.top_k",
    "db.vector.query.top_k",
    "top_k",
    "k",
];
const TOP_N: &[&str] = &[
    "nodeai.rag.top_n",
    "reranker.top_k",
    "reranker.top_n",
    "top_n",
    "top_k",
];
const THRESHOLD: &[&str] = &[
    "nodeai.rag.threshold",
    "retrieval.score_threshold",
    "score_threshold",
    "similarity_threshold",
    "similarity_cutoff",
    "min_score",
    "threshold",
];
const FILTER: &[&str] = &[
    "nodeai.rag.filter",
    "retrieval.filter",
    "filter",
    "filters",
    "where",
];
const SOURCE: &[&str] = &[
    "gen_ai.data_source.id",
    "db.collection.name",
    "collection",
    "index_name",
    "index",
];
const MODEL: &[&str] = &[
    "reranker.model_name",
    "gen_ai.request.model",
    "embedding.model_name",
];
/// Attributes that hold settings as JSON.
const HOLDERS: &[&str] = &[
    "metadata",
    "retrieval.parameters",
    "retriever.parameters",
    "llm.invocation_parameters",
    "input.value",
    "nodeai.input",
];

/// Reads them. A reranker calls its limit `top_n`, everything else `k`.
pub fn settings(span: &Span, is_rerank: bool) -> Settings {
    let holders: Vec<Value> = HOLDERS
        .iter()
        .filter_map(|name| span.attributes.get(*name))
        .map(|value| whole(value).0)
        .collect();
    let said = |names: &[&str]| -> Option<Value> {
        let own = names.iter().find_map(|name| span.attributes.get(*name));
        let in_holder = || holders.iter().find_map(|holder| inside(holder, names));
        own.or_else(in_holder).cloned()
    };
    let count = |names: &[&str]| said(names).as_ref().and_then(number);
    let count = |names: &[&str]| count(names).filter(|n| *n >= 0.0).map(|n| n as u64);
    let text = |names: &[&str]| said(names).and_then(|v| v.as_str().map(str::to_owned));
    Settings {
        k: count(K).filter(|_| !is_rerank),
        top_n: count(TOP_N).filter(|_| is_rerank),
        threshold: said(THRESHOLD).as_ref().and_then(number),
        model: span.base.model.clone().or_else(|| text(MODEL)),
        source: text(SOURCE),
        filter: said(FILTER).map(|value| whole(&value).0),
    }
}

/// In an object, its `search_kwargs`, its body or the first of its batches: what frameworks and our nodes wrap it in.
fn inside<'a>(holder: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let wrapped = ["search_kwargs", "body", "params", "arguments"];
    let first_batch = holder.pointer("/batches/0");
    member(holder, names)
        .or_else(|| {
            let mut inner = wrapped.iter().filter_map(|name| holder.get(*name));
            inner.find_map(|inner| member(inner, names))
        })
        .or_else(|| member(first_batch?, names))
}
