//! From what the store found to results.

use super::model::{Expanded, Explained, Found, VectorPath};
use nodeai_knowledge::rank::{Place, Ranking};
use nodeai_knowledge::vector::{cosine, decode};
use nodeai_rag::fusion::diverse;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the SQL function answers.
#[derive(Deserialize)]
pub struct Stored {
    index: i64,
    path: Option<VectorPath>,
    lexical: Vec<LexicalHit>,
    vector: Vec<VectorHit>,
    chunks: Vec<StoredChunk>,
}

impl Stored {
    /// With what another statement found in the same index by vectors.
    pub fn and(mut self, near: Self) -> Self {
        self.path = near.path;
        self.vector = near.vector;
        self.chunks.extend(near.chunks);
        self
    }
}

#[derive(Deserialize)]
struct LexicalHit {
    id: String,
    score: f64,
    #[serde(default)]
    terms: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct VectorHit {
    id: String,
    embedding: String,
}

/// A chunk with its document.
#[derive(Deserialize)]
pub struct StoredChunk {
    id: String,
    document_id: String,
    number: i64,
    start: i64,
    end: i64,
    /// What it says.
    pub content: String,
    metadata: Map<String, Value>,
    title: String,
    source_uri: Option<String>,
    #[serde(default)]
    embedding: Option<String>,
    #[serde(default)]
    expanded: Option<Expanded>,
}

/// The same, with lists in order.
pub struct Store {
    /// The index that was searched.
    pub index: i64,
    /// How the near vectors were found.
    pub path: Option<VectorPath>,
    /// By words, best first.
    pub lexical: Vec<(String, f64)>,
    /// By meaning, best first, scored exactly.
    pub vector: Vec<(String, f64)>,
    /// All chunks of both lists.
    pub chunks: BTreeMap<String, StoredChunk>,
    terms: BTreeMap<String, Map<String, Value>>,
}

impl Store {
    /// Scores the near ones exactly, and keeps `most` of them.
    pub fn of(found: Stored, question: Option<&[f32]>, most: usize) -> Self {
        let mut vector: Vec<(String, f64)> = found
            .vector
            .into_iter()
            .filter_map(|hit| {
                let score = cosine(question?, &decode(&hit.embedding)?);
                Some((hit.id, score))
            })
            .collect();
        vector.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        vector.truncate(most);
        let mut terms = BTreeMap::new();
        let lexical = found.lexical.into_iter().map(|hit| {
            terms.extend(hit.terms.map(|words| (hit.id.clone(), words)));
            (hit.id, hit.score)
        });
        Self {
            index: found.index,
            path: found.path,
            lexical: lexical.collect(),
            vector,
            chunks: found
                .chunks
                .into_iter()
                .map(|c| (c.id.clone(), c))
                .collect(),
            terms,
        }
    }
}

/// A candidate on its way.
pub struct Candidate {
    /// The chunk.
    pub id: String,
    /// By the last stage.
    pub score: f64,
    fused: Place,
    reranked: Option<Place>,
    diversified: Option<usize>,
}

/// All candidates, as they were fused.
pub fn candidates(store: &Store, ranking: &Ranking) -> Vec<Candidate> {
    let known = ranking.hits.iter().enumerate();
    let known = known.filter(|(_, (id, _))| store.chunks.contains_key(id));
    known
        .map(|(at, (id, score))| Candidate {
            id: id.clone(),
            score: *score,
            fused: Place {
                rank: at + 1,
                score: *score,
            },
            reranked: None,
            diversified: None,
        })
        .collect()
}

/// Puts candidates in the order of `ranks`: places among them, best first, with scores. Those that have no rank are left out.
pub fn reorder(candidates: &mut Vec<Candidate>, ranks: &[(usize, f64)]) {
    let mut old: Vec<Option<Candidate>> =
        std::mem::take(candidates).into_iter().map(Some).collect();
    for (index, score) in ranks {
        if let Some(mut candidate) = old.get_mut(*index).and_then(Option::take) {
            candidate.score = *score;
            candidate.reranked = Some(Place {
                rank: candidates.len() + 1,
                score: *score,
            });
            candidates.push(candidate);
        }
    }
}

/// Picks `count` candidates that are relevant and unlike each other.
pub fn diversify(store: &Store, candidates: &mut Vec<Candidate>, lambda: f64, count: usize) {
    let scores = candidates.iter().map(|candidate| candidate.score);
    let low = scores.clone().fold(f64::INFINITY, f64::min);
    let high = scores.fold(f64::NEG_INFINITY, f64::max);
    let scaled = |score: f64| {
        if high > low {
            (score - low) / (high - low)
        } else {
            1.0
        }
    };
    let relevance: Vec<f64> = candidates.iter().map(|c| scaled(c.score)).collect();
    let vectors: Vec<Option<Vec<f32>>> = candidates
        .iter()
        .map(|c| decode(store.chunks.get(&c.id)?.embedding.as_deref()?))
        .collect();
    let similar = |a: usize, b: usize| match (&vectors[a], &vectors[b]) {
        (Some(a), Some(b)) => cosine(a, b),
        _ => 0.0,
    };
    let picked = diverse(&relevance, similar, lambda, count);
    let mut old: Vec<Option<Candidate>> =
        std::mem::take(candidates).into_iter().map(Some).collect();
    for (rank, at) in picked.into_iter().enumerate() {
        if let Some(mut candidate) = old[at].take() {
            candidate.diversified = Some(rank + 1);
            candidates.push(candidate);
        }
    }
}

/// Candidates as results, with the explanation and the content where these are wanted.
pub fn results(
    store: &Store,
    ranking: &Ranking,
    candidates: &[Candidate],
    (explain, content): (bool, bool),
) -> Vec<Found> {
    let found = candidates.iter().filter_map(|candidate| {
        let chunk = store.chunks.get(&candidate.id)?;
        let explained = || Explained {
            lexical: ranking.lexical.get(&candidate.id).copied(),
            terms: store.terms.get(&candidate.id).cloned(),
            vector: ranking.vector.get(&candidate.id).copied(),
            fused: Some(candidate.fused),
            reranked: candidate.reranked,
            diversified: candidate.diversified,
        };
        Some(Found {
            chunk_id: chunk.id.clone(),
            document_id: chunk.document_id.clone(),
            title: content.then(|| chunk.title.clone()),
            source_uri: chunk.source_uri.clone().filter(|_| content),
            number: chunk.number,
            start: chunk.start,
            end: chunk.end,
            content: content.then(|| chunk.content.clone()),
            metadata: content.then(|| chunk.metadata.clone()),
            score: candidate.score,
            expanded: chunk.expanded.clone().filter(|_| content),
            explain: explain.then(explained),
        })
    });
    found.collect()
}
