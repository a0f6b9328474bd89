//! Cutting a document where its meaning turns, as a model sees it.

use super::job::Job;
use super::models::embed;
use super::trouble::Trouble;
use crate::rules;
use nodeai_app::clock;
use nodeai_knowledge::settings::{Chunking, Embedding};
use nodeai_knowledge::split::Chunk;
use nodeai_knowledge::split::semantic::{MOST_SENTENCES, Sentences};
use nodeai_knowledge::vector;
use nodeai_llm::vectors::Purpose;
use nodeai_telemetry::TraceContext;
use serde_json::json;
use std::collections::HashMap;

/// Sentences of one request to a model.
const IN_REQUEST: usize = 64;
/// Sentences whose vectors are read in one statement.
const IN_READ: usize = 256;

/// Chunks by meaning.
pub(super) struct Cut {
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// Whether a vector is new: what was put aside before may be other chunks.
    pub fresh: bool,
}

impl Job<'_> {
    /// Embeds the sentences of a text that have no vector yet, and cuts by that; none when the time is over. What was embedded is kept, so
    /// that a job goes on where it was. The lease is held on to between requests.
    pub(super) async fn by_meaning(
        &self,
        model: &Embedding,
        text: &str,
        how: &Chunking,
    ) -> Result<Option<Cut>, Trouble> {
        let sentences = Sentences::of(text);
        if sentences.count() > MOST_SENTENCES {
            let message = format!(
                "it has {} sentences, more than {MOST_SENTENCES}; cut it by another strategy",
                sentences.count()
            );
            return Err(Trouble::never("too_many_chunks", message));
        }
        let contexts = sentences.contexts();
        let mut vectors = Vec::with_capacity(contexts.len());
        let mut fresh = false;
        for some in contexts.chunks(IN_READ) {
            let hashes: Vec<String> = some.iter().map(|text| rules::hash(text)).collect();
            let mut known = self.recall(model, &hashes).await?;
            let missing: HashMap<&String, &str> = hashes
                .iter()
                .zip(some.iter().copied())
                .filter(|(hash, _)| !known.contains_key(*hash))
                .collect();
            let missing: Vec<(&String, &str)> = missing.into_iter().collect();
            for few in missing.chunks(IN_REQUEST) {
                // One request at least, each time that a job is taken up.
                if fresh && self.is_over() {
                    return Ok(None);
                }
                known.extend(self.remember(model, few).await?);
                fresh = true;
            }
            let of = |hash| known.get(hash).cloned().unwrap_or_default();
            vectors.extend(hashes.iter().map(of));
        }
        let chunks = sentences.split(&vectors, how);
        Ok(Some(Cut { chunks, fresh }))
    }

    /// The vectors that there are, by their texts' hashes.
    async fn recall(
        &self,
        model: &Embedding,
        hashes: &[String],
    ) -> Result<HashMap<String, Vec<f32>>, Trouble> {
        let more = json!({"model": model.cache_key(), "hashes": hashes});
        let mut answer = self.step("recall", more).await?;
        let read: HashMap<String, String> = serde_json::from_value(answer["vectors"].take())
            .map_err(|error| Trouble::never("internal", error.to_string()))?;
        let read = read.into_iter();
        let values = read.filter_map(|(hash, text)| Some((hash, vector::decode(&text)?)));
        Ok(values.collect())
    }

    /// Has texts embedded, and keeps their vectors.
    async fn remember(
        &self,
        model: &Embedding,
        texts: &[(&String, &str)],
    ) -> Result<HashMap<String, Vec<f32>>, Trouble> {
        let asked: Vec<String> = texts.iter().map(|(_, text)| (*text).to_owned()).collect();
        let trace = TraceContext::root(clock::random());
        let made = embed(&self.caller, model, &asked, Purpose::Document, trace).await?;
        let hashes = texts.iter().map(|(hash, _)| *hash);
        let rows: Vec<_> = hashes.clone().zip(&made.vectors).map(vector_row).collect();
        self.step(
            "remember",
            json!({"model": model.cache_key(), "vectors": rows}),
        )
        .await?;
        Ok(hashes.cloned().zip(made.vectors).collect())
    }
}

/// A vector as the store takes it.
pub(super) fn vector_row((hash, values): (&String, &Vec<f32>)) -> serde_json::Value {
    let code = vector::code(values);
    json!({"hash": hash, "embedding": vector::encode(values), "plane3": code.plane3, "plane2": code.plane2,
        "plane1": code.plane1, "plane0": code.plane0})
}
