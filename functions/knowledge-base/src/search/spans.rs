//! A search as spans: one for each stage, with the chunks that it gave, so that a query can be followed through them
//! (`nodeai-ragtrace`). The last one has what the chunks say.

use super::model::{Found, SearchInput};
use super::stages::{Candidate, Store};
use nodeai_app::{Cx, clock};
use nodeai_knowledge::rank::{Mode, Ranking};
use nodeai_telemetry::{Span, SpanId, Status};
use serde_json::{Value, json};

/// Chunks that a span names at most.
const MOST_NAMED: usize = 100;

/// The stages so far.
pub struct Stages {
    spans: Vec<Span>,
    since_us: i64,
    frame: Frame,
}

/// What all spans have.
struct Frame {
    cx_trace: nodeai_telemetry::TraceContext,
    query: String,
    source: String,
    k: usize,
    filter: Option<Value>,
}

impl Stages {
    /// Begins: lists of `wanted` candidates, at a time.
    pub fn begin(cx: &Cx, base: &str, input: &SearchInput, wanted: usize, since_us: i64) -> Self {
        Self {
            spans: Vec::new(),
            since_us,
            frame: Frame {
                cx_trace: cx.trace,
                query: input.query.clone(),
                source: base.to_owned(),
                k: wanted,
                filter: input.filter.clone(),
            },
        }
    }

    fn add(&mut self, stage: &str, name: &str, documents: Value) -> &mut Span {
        let now_us = clock::now_us();
        let trace = self.frame.cx_trace;
        let id = SpanId::from_random(clock::random());
        let mut span = Span::new(trace.trace_id, id, name, self.since_us);
        span.parent_span_id = Some(trace.span_id);
        span.end_us = now_us.max(self.since_us);
        span.status = Status::Ok;
        span.set("nodeai.rag.stage", stage);
        if stage == "retrieval" {
            span.set("gen_ai.operation.name", "retrieval");
            span.set("gen_ai.data_source.id", self.frame.source.as_str());
            span.set("gen_ai.retrieval.query.text", self.frame.query.as_str());
            span.set("nodeai.rag.k", self.frame.k);
            if let Some(filter) = &self.frame.filter {
                span.set("nodeai.rag.filter", filter.to_string());
            }
        }
        span.set("gen_ai.retrieval.documents", documents);
        self.since_us = span.end_us;
        self.spans.push(span);
        let last = self.spans.len() - 1;
        &mut self.spans[last]
    }

    /// What words and vectors found.
    pub fn lists(&mut self, store: &Store, mode: Mode) {
        if mode != Mode::Vector {
            self.add("retrieval", "retrieval lexical", named(&store.lexical));
        }
        if mode != Mode::Lexical {
            // Both were looked for at the same time.
            self.since_us = self
                .spans
                .last()
                .map_or(self.since_us, |span| span.start_us);
            let span = self.add("retrieval", "retrieval vector", named(&store.vector));
            if let Some(path) = store.path {
                span.set("nodeai.rag.vector_path", path.name());
            }
        }
    }

    /// Both made one.
    pub fn fused(&mut self, ranking: &Ranking, mode: Mode) {
        if mode == Mode::Hybrid {
            self.add("fusion", "fusion", named(&ranking.hits));
        }
    }

    /// In a model's order.
    pub fn reranked(&mut self, candidates: &[Candidate], model: &str) {
        let span = self.add("rerank", "rerank", listed(candidates));
        span.set("gen_ai.request.model", model);
    }

    /// Thinned out.
    pub fn selected(&mut self, candidates: &[Candidate], k: usize) {
        self.add("select", "select", listed(candidates))
            .set("nodeai.rag.k", k);
    }

    /// Gives the spans to the request; the last one says what the results say.
    pub fn end(mut self, cx: &Cx, results: &[Found]) {
        let whole: Vec<Value> = results
            .iter()
            .take(MOST_NAMED)
            .map(|one| {
                json!({"id": one.chunk_id, "score": one.score, "content": one.content,
                    "metadata": {"document_id": one.document_id, "title": one.title}})
            })
            .collect();
        // What is cut off to `k` is a choice, too.
        let source = self.frame.source.clone();
        let span = self.add("select", "search", json!(whole));
        span.set("nodeai.rag.k", results.len());
        // Which answers rested on a document is found by this.
        span.set("gen_ai.data_source.id", source);
        cx.spans.extend(self.spans);
    }
}

fn named(list: &[(String, f64)]) -> Value {
    let named = list.iter().take(MOST_NAMED);
    named
        .map(|(id, score)| json!({"id": id, "score": score}))
        .collect()
}

fn listed(candidates: &[Candidate]) -> Value {
    let named = candidates.iter().take(MOST_NAMED);
    named
        .map(|c| json!({"id": c.id, "score": c.score}))
        .collect()
}
