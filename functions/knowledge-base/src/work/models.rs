//! Asking models for vectors and for relevance. What is paid for goes through a run of its own (`nodeai-runs`): its key is opened
//! as a node's, what it may cost is reserved before and settled after, and its trace has no content.

use super::trouble::Trouble;
use nodeai_app::{Caller, Cx, Scope};
use nodeai_knowledge::settings::Embedding;
use nodeai_llm::vectors::{Numbers, Purpose, Work, hashed};
use nodeai_runs::model::Usage;
use nodeai_runs::{Ask, Mode, finish, plan};
use nodeai_telemetry::TraceContext;
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// The test model: no network, no cost, no run.
const HASHED: &str = "builtin/hash";

/// Vectors, and what they cost.
pub struct Embedded {
    /// One for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens and cost.
    pub usage: Usage,
}

/// Vectors of texts. `trace` is where the run is in a trace.
pub async fn embed<S: Scope>(
    caller: &Caller<S>,
    model: &Embedding,
    texts: &[String],
    purpose: Purpose,
    trace: TraceContext,
) -> Result<Embedded, Trouble> {
    if model.model == HASHED && model.base_url.is_none() {
        let work = Work::Embed {
            texts: texts.to_vec(),
            dimensions: model.dimensions,
            purpose: Some(purpose),
        };
        let answer = hashed::answer(&work);
        let tokens = answer.usage.map_or(0, |usage| usage.prompt_tokens);
        let Numbers::Vectors(vectors) = answer.numbers else {
            return Err(Trouble::never("internal", "ranks for vectors"));
        };
        let narrow = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect();
        return Ok(Embedded {
            vectors: vectors.into_iter().map(narrow).collect(),
            usage: Usage::new(tokens, 0, 0),
        });
    }
    let mut data = json!({"model": model.model, "texts": "{{ inputs.texts }}", "purpose": purpose});
    if let Some(dimensions) = model.dimensions {
        data["dimensions"] = json!(dimensions);
    }
    own_server(
        &mut data,
        model.base_url.as_deref(),
        model.key_secret.as_deref(),
    );
    let inputs = Map::from_iter([("texts".to_owned(), json!(texts))]);
    let (value, usage) = run(caller, "embed", data, "vectors", inputs, trace).await?;
    let vectors: Vec<Vec<f32>> = serde_json::from_value(value)
        .map_err(|_| Trouble::later("malformed_response", "the model gave no vectors"))?;
    if vectors.len() != texts.len() {
        return Err(Trouble::later(
            "malformed_response",
            "a text without a vector",
        ));
    }
    let wanted = model.dimensions.map(|n| n as usize);
    if let (Some(wanted), Some(vector)) = (wanted, vectors.first())
        && vector.len() != wanted
    {
        let found = vector.len();
        let message = format!(
            "the model gives {found} values and not {wanted}; set dimensions to what it gives"
        );
        return Err(Trouble::never("dimensions", message));
    }
    Ok(Embedded { vectors, usage })
}

/// Which model orders documents by their relevance.
#[derive(Debug, Clone)]
pub struct Reranker {
    /// `provider/model`.
    pub model: String,
    /// A server of one's own.
    pub base_url: Option<String>,
    /// The secret with the key.
    pub key_secret: Option<String>,
}

/// The places of texts by their relevance to a query, best first, with scores.
pub async fn rerank<S: Scope>(
    caller: &Caller<S>,
    model: &Reranker,
    query: &str,
    texts: &[String],
    trace: TraceContext,
) -> Result<(Vec<(usize, f64)>, Usage), Trouble> {
    if model.model == HASHED && model.base_url.is_none() {
        let work = Work::Rerank {
            query: query.to_owned(),
            documents: texts.to_vec(),
            top_n: None,
        };
        let answer = hashed::answer(&work);
        let tokens = answer.usage.map_or(0, |usage| usage.prompt_tokens);
        let Numbers::Ranks(ranks) = answer.numbers else {
            return Err(Trouble::never("internal", "vectors for ranks"));
        };
        let ranks = ranks.into_iter().map(|rank| (rank.index, rank.score));
        return Ok((ranks.collect(), Usage::new(tokens, 0, 0)));
    }
    let mut data = json!({"model": model.model, "query": "{{ inputs.query }}", "documents": "{{ inputs.documents }}"});
    own_server(
        &mut data,
        model.base_url.as_deref(),
        model.key_secret.as_deref(),
    );
    let inputs = Map::from_iter([
        ("query".to_owned(), json!(query)),
        ("documents".to_owned(), json!(texts)),
    ]);
    let (value, usage) = run(caller, "rerank", data, "results", inputs, trace).await?;
    let read = |result: &Value| {
        let index = usize::try_from(result["index"].as_u64()?).ok()?;
        (index < texts.len()).then_some((index, result["score"].as_f64()?))
    };
    let ranks: Option<Vec<_>> = value.as_array().into_iter().flatten().map(read).collect();
    let ranks =
        ranks.ok_or_else(|| Trouble::later("malformed_response", "the model gave no ranks"))?;
    Ok((ranks, usage))
}

fn own_server(data: &mut Value, base_url: Option<&str>, key_secret: Option<&str>) {
    if let Some(url) = base_url {
        data["base_url"] = json!(url);
    }
    if let Some(name) = key_secret {
        data["api_key"] = json!(format!("{{{{ secrets.{name} }}}}"));
    }
    // Within the run, where the provider says how long to wait.
    data["retry"] = json!({"max_attempts": 2});
}

/// One node as a run that keeps nothing of what goes in and comes out.
async fn run<S: Scope>(
    caller: &Caller<S>,
    node: &str,
    data: Value,
    output: &str,
    inputs: Map<String, Value>,
    trace: TraceContext,
) -> Result<(Value, Usage), Trouble> {
    let definition = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": node, "type": node, "data": data},
            {"id": "out", "type": "output", "data": {"value": format!("{{{{ nodes.{node}.output.{output} }}}}")}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": node},
            {"id": "b", "source": node, "target": "out"},
        ],
    });
    // A request of its own, without the idempotency key of the one that it is part of.
    let cx = Cx::detached(
        caller.cx.app.clone(),
        caller.cx.settings.clone(),
        &caller.cx.pattern,
        trace,
    );
    let own = Caller::<S>::acting(Rc::new(cx), caller.session.clone());
    let ready = plan(&own, &definition, inputs.clone()).await;
    let ready = ready.map_err(Trouble::of_problem)?;
    let ask = Ask {
        function: "run_start",
        what: "run",
        target: json!({}),
        ready: Some(ready),
        inputs,
        mode: Mode::Sync,
        budget: Default::default(),
        labels: Default::default(),
        private: true,
    };
    let mut result = finish(&own, ask).await.map_err(Trouble::of_problem)?;
    if let Some(error) = result.error {
        return Err(Trouble::of_run(&error.kind, &error.message));
    }
    Ok((result.outputs["out"].take(), result.usage))
}
