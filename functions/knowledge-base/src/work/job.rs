//! One job: a document becomes chunks of one index. Each step is one statement that names the lease.

use super::LEASE_US;
use super::meaning::vector_row;
use super::models::embed;
use super::trouble::{Trouble, Why};
use crate::{KnowledgeWrite, rules};
use nodeai_app::errors::log;
use nodeai_app::{Caller, clock};
use nodeai_guard::UrlGuard;
use nodeai_knowledge::analysis::Analyser;
use nodeai_knowledge::estimated_tokens;
use nodeai_knowledge::settings::{Embedding, Settings, Strategy};
use nodeai_knowledge::split::{Chunk, MOST_CHUNKS, split};
use nodeai_llm::vectors::Purpose;
use nodeai_telemetry::TraceContext;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most chunks of one step, and bytes of their texts: a step is one statement, and one request to a model.
const MOST_IN_STEP: usize = 64;
const MOST_BYTES: usize = 400_000;
/// Tries of a job that does not get anywhere; with their waits they take about half an hour.
const MOST_TRIES: i64 = 8;

/// How a job ended, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The document is as it should be.
    Ready,
    /// It goes on, or is tried again.
    Later,
    /// It failed.
    Failed,
    /// It is somebody else's.
    Lost,
}

/// A job that was taken up.
pub struct Job<'a> {
    pub(super) caller: Caller<KnowledgeWrite>,
    pub(super) guard: &'a UrlGuard,
    id: String,
    lease_token: i64,
    tries: i64,
    until_us: i64,
}

/// A document as a job reads it.
#[derive(Deserialize)]
pub struct Document {
    /// `text`, `upload`, `url`, `sitemap`.
    pub source_kind: String,
    /// Where it comes from.
    pub source_uri: Option<String>,
    /// Its text, once it is there.
    pub content: Option<String>,
}

#[derive(Deserialize)]
struct Loaded {
    staged: usize,
    refetch: bool,
    fetching: bool,
    settings: Value,
    document: Document,
}

impl<'a> Job<'a> {
    /// Reads what was claimed.
    pub fn of(
        claimed: &Value,
        caller: Caller<KnowledgeWrite>,
        guard: &'a UrlGuard,
        until_us: i64,
    ) -> Option<Self> {
        Some(Self {
            id: claimed["id"].as_str()?.to_owned(),
            lease_token: claimed["lease_token"].as_i64()?,
            tries: claimed["step"].as_i64().unwrap_or(0),
            caller,
            guard,
            until_us,
        })
    }

    /// Does it, as far as the time goes, and says in the store how it ended.
    pub async fn work(self) -> Outcome {
        let mut ended = self.ingest().await;
        if matches!(ended, Err(Trouble::Restart)) {
            ended = self.ingest().await;
        }
        match ended {
            Ok(true) => Outcome::Ready,
            Ok(false) => self.give_back(self.tries, 0, None).await,
            Err(Trouble::Lost) => Outcome::Lost,
            Err(Trouble::Restart) => self.give_back(self.tries, 1_000, None).await,
            Err(Trouble::Broken(problem)) => {
                log(
                    "knowledge",
                    problem.detail.as_deref().unwrap_or(&problem.title),
                );
                Outcome::Lost
            }
            Err(Trouble::Later(why, after_ms)) if self.tries + 1 < MOST_TRIES => {
                let wait = after_ms.unwrap_or(0).max(self.backoff_ms());
                self.give_back(self.tries + 1, wait, Some(why)).await
            }
            Err(Trouble::Later(why, _) | Trouble::Never(why)) => self.give_up(why).await,
            Err(Trouble::UsedUp(problem)) => {
                let message = problem.detail.unwrap_or(problem.title);
                self.give_up(Why::new("budget_exceeded", message)).await
            }
        }
    }

    async fn give_up(&self, why: Why) -> Outcome {
        let end = json!({"state": "failed", "error": why.stored()});
        match self.step("end", end).await {
            Ok(_) => Outcome::Failed,
            Err(_) => Outcome::Lost,
        }
    }

    /// From 5 seconds on, twice as long each time; between half of it and all of it.
    fn backoff_ms(&self) -> u64 {
        let whole = 5_000_u64 << self.tries.clamp(0, 8);
        let [a, b] = clock::random::<2>();
        whole / 2 + whole / 2 * u64::from(u16::from_le_bytes([a, b])) / u64::from(u16::MAX)
    }

    async fn give_back(&self, tries: i64, wait_ms: u64, why: Option<Why>) -> Outcome {
        let next_us = clock::now_us().saturating_add_unsigned(wait_ms.saturating_mul(1_000));
        let end = json!({"state": "pending", "tries": tries, "next_us": next_us,
            "error": why.map(|why| why.stored())});
        match self.step("end", end).await {
            Ok(_) => Outcome::Later,
            Err(_) => Outcome::Lost,
        }
    }

    /// One statement of the job.
    pub(super) async fn step(&self, name: &str, more: Value) -> Result<Value, Trouble> {
        let mut args = json!({"org_id": self.caller.org_id(), "job_id": self.id, "lease_token": self.lease_token,
            "lease_us": LEASE_US, "step": name});
        if let (Some(args), Value::Object(more)) = (args.as_object_mut(), more) {
            args.extend(more);
        }
        let answer: Value = self
            .caller
            .call("knowledge_step", &args)
            .await
            .map_err(Trouble::Broken)?;
        match answer["outcome"].as_str() {
            Some("ok") => Ok(answer),
            Some("restart") => Err(Trouble::Restart),
            _ => Err(Trouble::Lost),
        }
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        clock::now_us() >= self.until_us
    }

    /// Whether it is done; false when its time is over.
    async fn ingest(&self) -> Result<bool, Trouble> {
        let loaded = self.step("load", json!({})).await?;
        let Loaded {
            mut staged,
            refetch,
            fetching,
            settings,
            mut document,
        } = serde_json::from_value(loaded)
            .map_err(|error| Trouble::never("internal", error.to_string()))?;
        let settings = Settings::read(&settings).ok_or_else(|| {
            Trouble::never("settings", "the index has settings that cannot be read")
        })?;
        if document.source_kind == "sitemap" {
            self.sitemap(&document).await?;
            return Ok(true);
        }
        if refetch {
            match self.source(&document).await? {
                None => return Ok(true),
                Some(text) => {
                    document.content = Some(text);
                    staged = 0;
                }
            }
        }
        let Some(content) = document.content else {
            // The active index's job brings it, and gives this one back then.
            return Err(match fetching {
                true => Trouble::later("waiting", "its source has not been fetched yet"),
                false => {
                    Trouble::never("no_content", "its source could not be fetched; refresh it")
                }
            });
        };
        let chunks = match (settings.chunking.strategy, &settings.embedding) {
            (Strategy::Semantic, Some(model)) => {
                let cut = self.by_meaning(model, &content, &settings.chunking).await?;
                let Some(cut) = cut else { return Ok(false) };
                if cut.fresh {
                    staged = 0;
                }
                cut.chunks
            }
            _ => split(&content, &settings.chunking),
        };
        drop(content);
        if chunks.len() > MOST_CHUNKS {
            let message = format!(
                "it would be {} chunks, more than {MOST_CHUNKS}",
                chunks.len()
            );
            return Err(Trouble::never("too_many_chunks", message));
        }
        self.index(&settings, &chunks, staged.min(chunks.len()))
            .await
    }

    async fn index(
        &self,
        settings: &Settings,
        chunks: &[Chunk],
        staged: usize,
    ) -> Result<bool, Trouble> {
        let hashes: Vec<String> = chunks
            .iter()
            .map(|chunk| rules::hash(&chunk.text))
            .collect();
        let mut missing = match &settings.embedding {
            Some(model) if staged < chunks.len() => self.missing(model, &hashes[staged..]).await?,
            _ => BTreeSet::new(),
        };
        let analyser = settings.lexical.analyser();
        let model = settings.embedding.as_ref().map(Embedding::cache_key);
        let mut at = staged;
        while at < chunks.len() {
            if self.is_over() {
                return Ok(false);
            }
            let end = at + step_of(&chunks[at..]);
            let (batch, hashes) = (&chunks[at..end], &hashes[at..end]);
            let vectors = match &settings.embedding {
                Some(model) => self.vectors(model, batch, hashes, &mut missing).await?,
                None => Vec::new(),
            };
            let rows: Vec<Value> = (at..end)
                .zip(batch.iter().zip(hashes))
                .map(|(number, (chunk, hash))| row(number, chunk, hash, analyser))
                .collect();
            let more = json!({"first": at, "total": chunks.len(), "model": model, "chunks": rows, "vectors": vectors});
            self.step("stage", more).await?;
            at = end;
        }
        self.step("publish", json!({"total": chunks.len()})).await?;
        Ok(true)
    }

    async fn missing(
        &self,
        model: &Embedding,
        hashes: &[String],
    ) -> Result<BTreeSet<String>, Trouble> {
        let hashes: BTreeSet<&String> = hashes.iter().collect();
        let more = json!({"model": model.cache_key(), "hashes": hashes});
        let mut answer = self.step("known", more).await?;
        let missing = serde_json::from_value(answer["missing"].take());
        missing.map_err(|error| Trouble::never("internal", error.to_string()))
    }

    /// Vectors of those chunks that have none yet; each text is asked for once.
    async fn vectors(
        &self,
        model: &Embedding,
        chunks: &[Chunk],
        hashes: &[String],
        missing: &mut BTreeSet<String>,
    ) -> Result<Vec<Value>, Trouble> {
        let wanted: BTreeMap<&String, &Chunk> = hashes
            .iter()
            .zip(chunks)
            .filter(|(hash, _)| missing.contains(*hash))
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<String> = wanted.values().map(|chunk| chunk.text.clone()).collect();
        let trace = TraceContext::root(clock::random());
        let made = embed(&self.caller, model, &texts, Purpose::Document, trace).await?;
        let hashes = wanted.keys().copied();
        let rows: Vec<Value> = hashes.zip(&made.vectors).map(vector_row).collect();
        for hash in wanted.keys() {
            missing.remove(*hash);
        }
        Ok(rows)
    }
}

/// How many chunks the next step takes: at least one.
fn step_of(chunks: &[Chunk]) -> usize {
    let mut bytes = 0;
    let few = chunks.iter().take(MOST_IN_STEP).take_while(|chunk| {
        bytes += chunk.text.len();
        bytes <= MOST_BYTES
    });
    few.count().max(1)
}

fn row(number: usize, chunk: &Chunk, hash: &str, analyser: Analyser) -> Value {
    let terms = analyser.terms(&chunk.text);
    let parent = chunk.parent.as_ref();
    json!({"number": number, "start": chunk.place.start, "end": chunk.place.end, "content": chunk.text,
        "content_hash": hash, "tokens": estimated_tokens(&chunk.text), "length": terms.length, "terms": terms.frequencies,
        "metadata": chunk.metadata, "parent_number": parent.map(|(number, _)| *number),
        "parent_start": parent.map(|(_, place)| place.start), "parent_end": parent.map(|(_, place)| place.end)})
}
