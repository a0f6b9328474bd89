//! `POST /api/v1/knowledge-base/{id}/search`

mod model;
mod spans;
mod stages;

use crate::bases::knowledge_bases;
use crate::work::models::{Embedded, Reranker, embed, rerank};
use crate::work::trouble::Trouble;
use crate::{KnowledgeRun, rules};
use model::{Candidates, Rerank, SearchInput, SearchOutput};
use nodeai_app::{Caller, PathId, Valid, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_knowledge::analysis::analyses;
use nodeai_knowledge::filter::jsonpath;
use nodeai_knowledge::rank::{Mode, fuse};
use nodeai_knowledge::settings::{Embedding, Settings};
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

/// Searches. By words alone it is one statement; with vectors the question is embedded first.
pub async fn handle(
    caller: Caller<KnowledgeRun>,
    PathId(id): PathId,
    Valid(input): Valid<SearchInput>,
) -> Result<Json<SearchOutput>, Problem> {
    let mut usage = Usage::default();
    let mut stages = Stages::begin(&caller.cx, &id, &input);
    let model = match input.mode {
        Some(Mode::Lexical) => None,
        mode => model_of(&caller, &id, input.index, mode).await?,
    };
    let mode = match &model {
        None => Mode::Lexical,
        Some(_) => input.mode.unwrap_or_default(),
    };
    let question = match &model {
        None => None,
        Some(model) => {
            let asked = question(&caller, model, &input.query).await?;
            add(&mut usage, asked.usage);
            asked.vectors.into_iter().next()
        }
    };
    let found = ask(&caller, &id, &input, mode, question.as_deref()).await?;
    let store = Store::of(found, question.as_deref(), input.wanted());
    stages.lists(&store, mode);
    let ranking = fuse(
        &store.lexical,
        &store.vector,
        mode,
        input.fusion,
        input.weights,
    );
    stages.fused(&ranking, mode);
    let mut candidates = stages::candidates(&store, &ranking);
    if let Some(wanted) = &input.rerank {
        let spent = reorder(&caller, &input, wanted, &store, &mut candidates).await?;
        add(&mut usage, spent);
        stages.reranked(&candidates, &wanted.model);
    }
    if let Some(mmr) = input.mmr {
        stages::diversify(&store, &mut candidates, mmr.lambda, input.k);
        stages.selected(&candidates, input.k);
    }
    candidates.truncate(input.k);
    let results = stages::results(&store, &ranking, &candidates, input.explain);
    stages.end(&caller.cx, &results);
    Ok(Json::ok(SearchOutput {
        results,
        index: store.index,
        mode,
        candidates: Candidates {
            lexical: store.lexical.len(),
            vector: store.vector.len(),
        },
        usage,
    }))
}

fn add(sum: &mut Usage, more: Usage) {
    sum.prompt_tokens += more.prompt_tokens;
    sum.completion_tokens += more.completion_tokens;
    sum.cost_usd_micros += more.cost_usd_micros;
}

/// The model of the index; none where it has no vectors and none were asked for. Errors: 404; 422 for vectors where there are
/// none.
async fn model_of(
    caller: &Caller<KnowledgeRun>,
    id: &str,
    index: Option<i32>,
    mode: Option<Mode>,
) -> Result<Option<Embedding>, Problem> {
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
    let settings = Settings::read(&found.settings)
        .ok_or_else(|| Problem::internal("the index has settings that cannot be read"))?;
    match (settings.embedding, mode) {
        (None, Some(_)) => Err(Problem::does_not_fit(
            "this index has no vectors; search it with the mode lexical, or rebuild it with an embedding model",
        )),
        (model, _) => Ok(model),
    }
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
    mode: Mode,
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
    let args = json!({"id": id, "org_id": caller.org_id(), "index": input.index, "candidates": input.wanted(),
        "analyses": (mode != Mode::Vector).then(|| analyses(&input.query)), "code": code, "filter": filter,
        "documents": documents, "embeddings": input.mmr.is_some(), "expand": input.expand, "window": input.window,
        "explain": input.explain});
    let found: Option<Stored> = caller.call("knowledge_search", &args).await?;
    found.ok_or_else(|| Problem::not_found("there is no such knowledge base, or no such index"))
}

/// Puts the best in the order that a model gives them.
async fn reorder(
    caller: &Caller<KnowledgeRun>,
    input: &SearchInput,
    wanted: &Rerank,
    store: &Store,
    candidates: &mut Vec<Candidate>,
) -> Result<Usage, Problem> {
    candidates.truncate(wanted.candidates.unwrap_or(50).max(input.k));
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
    let ranked = rerank(caller, &model, &input.query, &texts, trace).await;
    let (ranks, usage) = ranked.map_err(Trouble::into_problem)?;
    stages::reorder(candidates, &ranks);
    Ok(usage)
}
