//! `POST /api/v1/knowledge-base/{id}/search`

mod model;
mod spans;
mod stages;

use crate::bases::knowledge_bases;
use crate::work::models::{Embedded, Reranker, embed, rerank};
use crate::work::trouble::Trouble;
use crate::{KnowledgeRun, rules};
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
}

/// Searches. By words alone and with a `k` it is one statement; with vectors the question is embedded first.
pub async fn handle(
    caller: Caller<KnowledgeRun>,
    PathId(id): PathId,
    Valid(input): Valid<SearchInput>,
) -> Result<Json<SearchOutput>, Problem> {
    let begun_us = clock::now_us();
    let mut usage = Usage::default();
    let (model, plan) = plan(&caller, &id, &input).await?;
    let mode = plan.how.mode;
    let mut stages = Stages::begin(&caller.cx, &id, &input, plan.wanted, begun_us);
    let question = match &model {
        None => None,
        Some(model) => {
            let asked = question(&caller, model, &input.query).await?;
            add(&mut usage, asked.usage);
            asked.vectors.into_iter().next()
        }
    };
    let found = ask(&caller, &id, &input, plan, question.as_deref()).await?;
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

/// The model that embeds the question, where vectors are asked for, and all that the question leaves out. By words alone and with a
/// `k` nothing has to be read for that. Errors: 404; 422 for vectors where there are none.
async fn plan(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    input: &SearchInput,
) -> Result<(Option<Embedding>, Plan), Problem> {
    if let (Some(Mode::Lexical), Some(_)) = (input.mode, input.k) {
        return Ok((None, input.plan(&Search::default(), Mode::Lexical)));
    }
    let base = settings(caller, id, None).await?;
    let embedding = match (input.mode, input.index) {
        (Some(Mode::Lexical), _) => None,
        (_, None) => base.embedding,
        (_, index) => settings(caller, id, index).await?.embedding,
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
    Ok((embedding, input.plan(&base.search, mode)))
}

/// Settings of the base, or of one of its indexes.
async fn settings(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    index: Option<i32>,
) -> Result<Settings, Problem> {
    let found: WithSettings = match index {
        None => {
            let select = Select::from(knowledge_bases::TABLE, &[knowledge_bases::settings])
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
    Settings::read(&found.settings)
        .ok_or_else(|| Problem::internal("the index has settings that cannot be read"))
}

async fn question(
    caller: &Caller<KnowledgeRun>,
    model: &Embedding,
    query: &str,
) -> Result<Embedded, Problem> {
    let trace = caller.cx.trace.child(clock::random());
    let texts = [query.to_owned()];
    let made = embed(caller, model, &texts, Purpose::Query, trace).await;
    made.map_err(Trouble::into_problem)
}

async fn ask(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    input: &SearchInput,
    plan: Plan,
    question: Option<&[f32]>,
) -> Result<Stored, Problem> {
    let filter = input
        .filter
        .as_ref()
        .map(|filter| jsonpath(filter, "/filter"));
    let filter = filter.transpose().map_err(rules::problem)?;
    let documents = input.documents.as_ref();
    let documents: Option<Vec<String>> =
        documents.map(|ids| ids.iter().map(|id| id.to_lowercase()).collect());
    let code = question.map(vector::code);
    let args = json!({"id": id, "org_id": caller.org_id(), "index": input.index, "candidates": plan.wanted,
        "analyses": (plan.how.mode != Mode::Vector).then(|| analyses(&input.query)), "code": code, "vector": question,
        "exact": input.exact, "filter": filter,
        "documents": documents, "access": input.access, "embeddings": input.mmr.is_some(), "expand": input.expand, "window": input.window,
        "explain": input.explain});
    let found: Option<Stored> = caller.call("knowledge_search", &args).await?;
    found.ok_or_else(|| Problem::not_found("there is no such knowledge base, or no such index"))
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
