//! What a span is to a query.

use crate::query::Kind;
use crate::span::Span;

/// What a span is to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A stage; `sure` when a convention says so, else it is one only if it has a list of chunks.
    Stage { kind: Kind, sure: bool },
    /// A call that makes vectors.
    Embedding,
    /// A call that writes.
    Model,
    /// Anything else.
    Other,
}

/// What our own attribute names a stage with, for clients whose convention has no word for it.
const STAGE: &str = "nodeai.rag.stage";

/// By our own attribute, GenAI's operation, OpenInference's kind, the node's type, the name.
pub fn role(span: &Span) -> Role {
    let lower = |names: &[&str]| span.text(names).unwrap_or_default().to_lowercase();
    if let Some(kind) = named(&lower(&[STAGE])) {
        return Role::Stage { kind, sure: true };
    }
    let operation = lower(&["gen_ai.operation.name", "llm.request.type"]);
    let kind = lower(&["openinference.span.kind"]);
    let node = span.base.node_type.as_deref().unwrap_or_default();
    match (operation.as_str(), kind.as_str(), node) {
        ("retrieval", ..) | (_, "retriever", _) => sure(Kind::Retrieval),
        ("rerank", ..) | (_, "reranker", _) | (_, _, "rerank" | "reranker") => sure(Kind::Rerank),
        ("embeddings" | "embedding", ..) | (_, "embedding", _) | (_, _, "embed") => Role::Embedding,
        ("chat" | "text_completion" | "generate_content" | "completion", ..)
        | (_, "llm", _)
        | (_, _, "llm" | "agent") => Role::Model,
        _ if span.base.measure.as_deref() == Some("retrieval") => sure(Kind::Retrieval),
        (_, _, "filter" | "dedupe") => maybe(Kind::Filter),
        (_, _, "limit") => maybe(Kind::Select),
        (_, _, "merge" | "join") => maybe(Kind::Fusion),
        (_, _, "http" | "postgres") => maybe(Kind::Retrieval),
        ("", "" | "chain" | "tool", _) => by_name(&span.base.name),
        _ => Role::Other,
    }
}

fn sure(kind: Kind) -> Role {
    Role::Stage { kind, sure: true }
}

fn maybe(kind: Kind) -> Role {
    Role::Stage { kind, sure: false }
}

fn named(text: &str) -> Option<Kind> {
    Some(match text {
        "retrieval" => Kind::Retrieval,
        "fusion" => Kind::Fusion,
        "filter" => Kind::Filter,
        "rerank" => Kind::Rerank,
        "select" => Kind::Select,
        _ => return None,
    })
}

/// No convention has a kind for fusions and filters, so that frameworks write chains with such names.
fn by_name(name: &str) -> Role {
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["fusion", "fuse", "rrf", "ensemble"]) {
        maybe(Kind::Fusion)
    } else if has(&["rerank"]) {
        maybe(Kind::Rerank)
    } else if has(&["filter", "dedup", "postprocess", "cutoff"]) {
        maybe(Kind::Filter)
    } else {
        Role::Other
    }
}
