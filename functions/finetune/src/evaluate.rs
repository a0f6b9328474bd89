//! `POST /api/v1/finetune/{id}/evaluate`

use crate::FinetuneRun;
use crate::made::Made;
use crate::provider::job;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_evaluation::job::Settings;
use nodeai_evaluation::judged::Judge;
use nodeai_evaluation::metric::{self, Judged, Kind, MetricInput};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// On what both models are measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateInput {
    /// The dataset that asks; better none that was trained on.
    dataset_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    dataset_version: Option<i64>,
    /// 1 to 30 metrics, by name or with settings.
    metrics: Vec<MetricInput>,
    /// Who judges; judged metrics need it.
    #[serde(default)]
    judge: Option<Judge>,
    /// The system prompt of both, at most 20,000 characters.
    #[serde(default)]
    system: Option<String>,
    /// Most tokens of an answer.
    #[serde(default)]
    max_tokens: Option<u32>,
    /// Only so many items, the oldest ones: 1 to 5,000.
    #[serde(default)]
    max_items: Option<u32>,
    /// What each of both evaluations may cost in USD.
    #[serde(default)]
    budget_usd: Option<f64>,
    /// Asks models whose price is not known although there is a budget.
    #[serde(default)]
    allow_unpriced: bool,
    /// The same seed gives the same intervals.
    #[serde(default)]
    seed: u64,
}

/// Two evaluations on the same questions; `POST /api/v1/rag-evaluation/evaluations/compare` says whether they differ.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Both {
    /// The evaluation of the base model: `first` of a comparison.
    base: String,
    /// That of the model that the job has made: `second`.
    tuned: String,
}

impl Check for EvaluateInput {
    fn check(&self, c: &mut Checker) {
        let uuid = is_uuid(&self.dataset_id);
        c.require(uuid, "/dataset_id", "format", "must be a UUID");
        metric::check(c, &self.metrics);
        let kinds = self.metrics.iter().filter_map(|m| m.spec().kind());
        let judged: Vec<Judged> = kinds
            .filter_map(|kind| match kind {
                Kind::Judged(judged) => Some(judged),
                _ => None,
            })
            .collect();
        match &self.judge {
            Some(judge) => judge.check(c, &judged),
            None => {
                let detail = "judged metrics need it";
                c.require(judged.is_empty(), "/judge", "required", detail);
            }
        }
        let system = self.system.as_deref().unwrap_or_default();
        c.length(system, 0, 20_000, "/system");
        let counts = [
            ("/max_items", self.max_items, 5_000),
            ("/max_tokens", self.max_tokens, 1_000_000),
        ];
        for (at, given, most) in counts {
            let fits = given.is_none_or(|n| (1..=most).contains(&n));
            c.require(fits, at, "range", &format!("must be from 1 to {most}"));
        }
        let usd = self.budget_usd;
        let fits = usd.is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
        let detail = "must be from 0.000001 to 1000000";
        c.require(fits, "/budget_usd", "range", detail);
    }
}

impl EvaluateInput {
    /// A workflow that asks one model the question.
    fn asks(&self, mut model: Map<String, Value>) -> Value {
        model.insert("prompt".to_owned(), json!("{{ inputs.question }}"));
        let optional = [
            ("system", json!(self.system)),
            ("max_tokens", json!(self.max_tokens)),
        ];
        let given = optional.into_iter().filter(|(_, value)| !value.is_null());
        model.extend(given.map(|(name, value)| (name.to_owned(), value)));
        json!({"nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "ask", "type": "llm", "data": model},
            {"id": "out", "type": "output", "data": {"name": "answer", "value": "{{ nodes.ask.output.text }}"}}],
            "edges": [{"id": "a", "source": "in", "target": "ask"}, {"id": "b", "source": "ask", "target": "out"}]})
    }

    fn evaluation(&self, id: &str, name: &str, model: Map<String, Value>) -> Value {
        let settings = Settings {
            metrics: self.metrics.iter().map(MetricInput::spec).collect(),
            concurrency: 4,
            allow_unpriced: self.allow_unpriced,
            seed: self.seed,
            ..Settings::default()
        };
        let names: Vec<&str> = settings.metrics.iter().map(|spec| spec.name()).collect();
        let name: String = name.chars().take(200).collect();
        let row = json!({"dataset_id": self.dataset_id, "dataset_version": self.dataset_version, "name": name,
            "target": {"definition": self.asks(model)}, "metrics": names, "settings": settings, "judge": self.judge,
            "budget_pusd": self.budget_usd.map(|usd| (usd * 1e12).round() as i64)});
        json!({"id": id, "row": row, "most": self.max_items, "answers": null})
    }
}

/// Evaluates the model that a job has made, and the one that it was made of, on the same questions: two evaluations, which go on by
/// themselves. The caller needs `evaluations:run`, too. 409 while there is no model.
pub async fn handle(
    caller: Caller<FinetuneRun>,
    PathId(id): PathId,
    Valid(input): Valid<EvaluateInput>,
) -> Result<Reply<Both, 202>, Problem> {
    let job = job(&caller, &id).await?;
    let made = Made::of(&job)?;
    let (base, tuned) = (clock::new_id(), clock::new_id());
    let evaluations = [
        input.evaluation(
            &base,
            &format!("{}, base", made.base()),
            made.asked(made.base()),
        ),
        input.evaluation(&tuned, &made.reference(), made.asked(made.reference())),
    ];
    let args = json!({"id": id, "evaluations": evaluations});
    let both = json!({"base": base, "tuned": tuned});
    let command = Command::named("finetune_evaluate", "dataset", &id, args)
        .audit("finetune.evaluated", json!({"job_id": id}))
        .answer(202, &[], &both);
    caller.write(command).await.map(Reply::from)
}
