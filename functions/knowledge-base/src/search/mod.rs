//! `POST /api/v1/knowledge-base/{id}/search`

mod model;
mod spans;
mod stages;

use crate::bases::knowledge_bases;
use crate::work::models::{Reranker, embed, rerank};
use crate::work::trouble::Trouble;
use crate::{KnowledgeRun, rules};
use futures::future::join;
use model::{Candidates, Plan, Rerank, SearchInput, SearchOutput};
use nodeai_app::{Caller, PathId, Valid, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_knowledge::analysis::analyses;
use nodeai_knowledge::filter::jsonpath;
use nodeai_knowledge::rank::{Mode, fuse};
use nodeai_knowledge::settings::{Embedding, Search, Settings};
use nodeai_knowledge::vector;
use nodeai_llm::vectors::Purpose;
use nodeai_runs::model::Usage;
use nodeai_store::{Filter, Select};
use serde::Deserialize;
use serde_json::{Value, json};
use spans::Stages;
use stages::{Candidate, Store, Stored};

nodeai_store::columns! {
    /// Indexes of knowledge bases.
    knowledge_indexes {
        knowledge_base_id: Uuid, number: Int, settings: Json,
    }
}

#[derive(Deserialize)]
struct WithSettings {
    settings: Value,
    #[serde(default)]
    active_index: Option<i32>,
}

/// Searches. By words alone and with a `k` it is one statement; with vectors the question is embedded first, while words are looked for.
pub async fn handle(
    caller: Caller<KnowledgeRun>,
    PathId(id): PathId,
    Valid(input): Valid<SearchInput>,
) -> Result<Json<SearchOutput>, Problem> {
    let begun_us = clock::now_us();
    let mut usage = Usage::default();
    let filter = input.filter.as_ref();
    let filter = filter.map(|filter| jsonpath(filter, "/filter"));
    let filter = filter.transpose().map_err(rules::problem)?;
    let (model, plan, index) = plan(&caller, &id, &input).await?;
    let mode = plan.how.mode;
    let mut stages = Stages::begin(&caller.cx, &id, &input, plan.wanted, begun_us);
    let asked = Asked {
        caller: &caller,
        id: &id,
        input: &input,
        filter,
        index,
        wanted: plan.wanted,
    };
    let (found, question) = match &model {
        None => (asked.words().await?, None),
        Some(model) if mode == Mode::Vector => asked.vectors(model, &mut usage).await?,
        Some(model) => asked.both(model, &mut usage).await?,
    };
    let store = Store::of(found, question.as_deref(), plan.wanted);
    stages.lists(&store, mode);
    let ranking = fuse(&store.lexical, &store.vector, plan.how);
    stages.fused(&ranking, mode);
    let mut candidates = stages::candidates(&store, &ranking);
    if let Some(wanted) = &input.rerank {
        let spent = reorder(
            &caller,
            (&input.query, plan.k),
            wanted,
            &store,
            &mut candidates,
        )
        .await?;
        add(&mut usage, spent);
        stages.reranked(&candidates, &wanted.model);
    }
    if let Some(mmr) = input.mmr {
        stages::diversify(&store, &mut candidates, mmr.lambda, plan.k);
        stages.selected(&candidates, plan.k);
    }
    candidates.truncate(plan.k);
    let shown = (input.explain, input.content);
    let results = stages::results(&store, &ranking, &candidates, shown);
    stages.end(&caller.cx, &results);
    Ok(Json::ok(SearchOutput {
        results,
        index: store.index,
        mode,
        vector_path: store.path,
        candidates: Candidates {
            lexical: store.lexical.len(),
            vector: store.vector.len(),
        },
        usage,
        took_ms: clock::now_us().saturating_sub(begun_us).max(0) as f64 / 1_000.0,
    }))
}

fn add(sum: &mut Usage, more: Usage) {
    sum.prompt_tokens += more.prompt_tokens;
    sum.completion_tokens += more.completion_tokens;
    sum.cost_usd_micros += more.cost_usd_micros;
}

/// The model that embeds the question, where vectors are asked for, all that the question leaves out, and which index is searched. By
/// words alone and with a `k` nothing has to be read for that. Errors: 404; 422 for vectors where there are none.
async fn plan(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    input: &SearchInput,
) -> Result<(Option<Embedding>, Plan, Option<i32>), Problem> {
    if let (Some(Mode::Lexical), Some(_)) = (input.mode, input.k) {
        let plan = input.plan(&Search::default(), Mode::Lexical);
        return Ok((None, plan, input.index));
    }
    let (base, active) = settings(caller, id, None).await?;
    let embedding = match (input.mode, input.index) {
        (Some(Mode::Lexical), _) => None,
        (_, None) => base.embedding,
        (_, index) => settings(caller, id, index).await?.0.embedding,
    };
    let mode = match (&embedding, input.mode) {
        (None, Some(Mode::Vector | Mode::Hybrid)) => {
            return Err(Problem::does_not_fit(
                "this index has no vectors; search it with the mode lexical, or rebuild it with an embedding model",
            ));
        }
        (None, _) => Mode::Lexical,
        (Some(_), given) => given.or(base.search.mode).unwrap_or_default(),
    };
    let embedding = embedding.filter(|_| mode != Mode::Lexical);
    // Another may become active between two statements of one search.
    let index = input.index.or(active);
    Ok((embedding, input.plan(&base.search, mode), index))
}

/// Settings of the base with its active index, or of one of its indexes.
async fn settings(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    index: Option<i32>,
) -> Result<(Settings, Option<i32>), Problem> {
    let found: WithSettings = match index {
        None => {
            let columns = &[knowledge_bases::settings, knowledge_bases::active_index];
            let select = Select::from(knowledge_bases::TABLE, columns)
                .filter(Filter::Eq(knowledge_bases::id, id.to_owned()));
            caller.find(select, "knowledge base").await?
        }
        Some(number) => {
            let select = Select::from(knowledge_indexes::TABLE, &[knowledge_indexes::settings])
                .filter(Filter::Eq(
                    knowledge_indexes::knowledge_base_id,
                    id.to_owned(),
                ))
                .filter(Filter::Eq(knowledge_indexes::number, number.to_string()));
            caller.find(select, "index").await?
        }
    };
    let settings = Settings::read(&found.settings)
        .ok_or_else(|| Problem::internal("the index has settings that cannot be read"))?;
    Ok((settings, found.active_index))
}

/// A search on its way to the store.
struct Asked<'a> {
    caller: &'a Caller<KnowledgeRun>,
    id: &'a str,
    input: &'a SearchInput,
    /// The conditions, as the store has them.
    filter: Option<String>,
    index: Option<i32>,
    wanted: usize,
}

/// What the store found, and the question's vector.
type WithQuestion = (Stored, Option<Vec<f32>>);

impl Asked<'_> {
    /// By words.
    async fn words(&self) -> Result<Stored, Problem> {
        let analyses = json!(analyses(&self.input.query));
        self.ask(analyses, Value::Null, Value::Null).await
    }

    /// By the vector that `model` gives the question.
    async fn vectors(&self, model: &Embedding, usage: &mut Usage) -> Result<WithQuestion, Problem> {
        let trace = self.caller.cx.trace.child(clock::random());
        let texts = [self.input.query.clone()];
        let made = embed(self.caller, model, &texts, Purpose::Query, trace).await;
        let made = made.map_err(Trouble::into_problem)?;
        add(usage, made.usage);
        let question = made.vectors.into_iter().next();
        let code = json!(question.as_deref().map(vector::code));
        let found = self.ask(Value::Null, code, json!(question)).await?;
        Ok((found, question))
    }

    /// By both at the same time, each over a connection of its own: what looking for words takes is not waited for after the model.
    async fn both(&self, model: &Embedding, usage: &mut Usage) -> Result<WithQuestion, Problem> {
        let vectors = async {
            // Whoever looks for words has the request's connection by now, and gives it back.
            self.caller.session.release();
            self.vectors(model, usage).await
        };
        // Neither is dropped for the other: a call of the model is paid for and has to be settled.
        let (words, near) = join(self.words(), vectors).await;
        let (near, question) = near?;
        Ok((words?.and(near), question))
    }

    async fn ask(&self, analyses: Value, code: Value, vector: Value) -> Result<Stored, Problem> {
        let input = self.input;
        let documents = input.documents.as_ref();
        let documents: Option<Vec<String>> =
            documents.map(|ids| ids.iter().map(|id| id.to_lowercase()).collect());
        let args = json!({"id": self.id, "org_id": self.caller.org_id(), "index": self.index, "candidates": self.wanted,
            "analyses": analyses, "code": code, "vector": vector, "exact": input.exact, "filter": self.filter, "documents": documents,
            "access": input.access, "embeddings": input.mmr.is_some(), "expand": input.expand, "window": input.window,
            "explain": input.explain});
        let found: Option<Stored> = self.caller.call("knowledge_search", &args).await?;
        found.ok_or_else(|| Problem::not_found("there is no such knowledge base, or no such index"))
    }
}

/// Puts the best in the order that a model gives them.
async fn reorder(
    caller: &Caller<KnowledgeRun>,
    (query, k): (&str, usize),
    wanted: &Rerank,
    store: &Store,
    candidates: &mut Vec<Candidate>,
) -> Result<Usage, Problem> {
    candidates.truncate(wanted.candidates.unwrap_or(50).max(k));
    if candidates.is_empty() {
        return Ok(Usage::default());
    }
    let texts: Vec<String> = candidates
        .iter()
        .map(|candidate| store.chunks[&candidate.id].content.clone())
        .collect();
    let model = Reranker {
        model: wanted.model.clone(),
        base_url: wanted.base_url.clone(),
        key_secret: wanted.key_secret.clone(),
    };
    let trace = caller.cx.trace.child(clock::random());
    let ranked = rerank(caller, &model, query, &texts, trace).await;
    let (ranks, usage) = ranked.map_err(Trouble::into_problem)?;
    stages::reorder(candidates, &ranks);
    Ok(usage)
}
