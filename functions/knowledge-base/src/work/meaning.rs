//! Cutting a document where its meaning turns, as a model sees it.

use super::job::Job;
use super::models::embed;
use super::trouble::Trouble;
use nodeai_app::clock;
use nodeai_knowledge::settings::{Chunking, Embedding};
use nodeai_knowledge::split::Chunk;
use nodeai_knowledge::split::semantic::{MOST_SENTENCES, Sentences};
use nodeai_llm::vectors::Purpose;
use nodeai_telemetry::TraceContext;
use serde_json::json;

/// Sentences of one request to a model.
const IN_REQUEST: usize = 64;

impl Job<'_> {
    /// Embeds the sentences of a text, and cuts by that. The lease is held on to between requests.
    pub(super) async fn by_meaning(
        &self,
        model: &Embedding,
        text: &str,
        how: &Chunking,
    ) -> Result<Vec<Chunk>, Trouble> {
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
        for some in contexts.chunks(IN_REQUEST) {
            let texts: Vec<String> = some.iter().map(|text| (*text).to_owned()).collect();
            let trace = TraceContext::root(clock::random());
            let made = embed(&self.caller, model, &texts, Purpose::Document, trace).await?;
            vectors.extend(made.vectors);
            self.step("known", json!({"model": model.cache_key(), "hashes": []}))
                .await?;
        }
        Ok(sentences.split(&vectors, how))
    }
}
