//! `POST /api/v1/rag-evaluation/evaluations`

use super::model::Evaluation;
use crate::EvaluationsRun;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_evaluation::answer::{Answered, Places};
use nodeai_evaluation::job::Settings;
use nodeai_evaluation::judged::Judge;
use nodeai_evaluation::metric::{self, Judged, Kind, MetricInput};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is evaluated: exactly one of `workflow_id`, `deployment_id`, `definition`, `retrieval` and `answers`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetInput {
    /// A workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_id: Option<String>,
    /// Its version; the current one at each run unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_version: Option<i64>,
    /// A deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment_id: Option<String>,
    /// A workflow that is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    definition: Option<Value>,
    /// A search of a knowledge base: the config of a `retrieve` node without its `query`, which is the question. The outputs are `/results`
    /// (the passages), `/documents` (the ids of their documents, best first) and `/text`; passages are the contexts, and their ids what was
    /// retrieved, unless `places` say otherwise.
    #[serde(default, skip_serializing)]
    retrieval: Option<Map<String, Value>>,
    /// Answers that are there already, by item id; nothing is run then, and items without an answer are left out.
    #[serde(default, skip_serializing)]
    answers: Option<BTreeMap<String, Answered>>,
    /// The input that takes the question when it is a text; `question` unless given. A question that is an object is the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    /// Inputs that are the same for each item.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    inputs: Map<String, Value>,
    /// Where the answer and its contexts are among a run's outputs.
    #[serde(default, skip_serializing)]
    places: Places,
}

/// An evaluation to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationInput {
    /// The dataset that asks.
    dataset_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    dataset_version: Option<i64>,
    /// At most 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// What is evaluated.
    target: TargetInput,
    /// 1 to 30 metrics, by name or with settings; see `GET /api/v1/rag-evaluation/metrics`.
    metrics: Vec<MetricInput>,
    /// Who judges; judged metrics need it.
    #[serde(default)]
    judge: Option<Judge>,
    /// Only so many items, the oldest ones.
    #[serde(default)]
    max_items: Option<u32>,
    /// Runs at once, 1 to 32; 4 unless given.
    #[serde(default)]
    concurrency: Option<u32>,
    /// What its runs may cost in USD, those of the judge included. Nothing more is queued once that is spent; what is queued by then may
    /// go above it.
    #[serde(default)]
    budget_usd: Option<f64>,
    /// Asks models whose price is not known although there is a budget.
    #[serde(default)]
    allow_unpriced: bool,
    /// The same seed gives the same intervals.
    #[serde(default)]
    seed: u64,
}

impl TargetInput {
    fn check(&self, c: &mut Checker) {
        let given = [
            self.workflow_id.is_some(),
            self.deployment_id.is_some(),
            self.definition.is_some(),
            self.retrieval.is_some(),
            self.answers.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        let detail =
            "give exactly one of workflow_id, deployment_id, definition, retrieval and answers";
        c.require(one, "/target", "one_of", detail);
        let ids = [
            ("/target/workflow_id", &self.workflow_id),
            ("/target/deployment_id", &self.deployment_id),
        ];
        for (at, id) in ids {
            let uuid = id.as_deref().is_none_or(is_uuid);
            c.require(uuid, at, "format", "must be a UUID");
        }
        let version = self.workflow_version;
        let fits = version
            .is_none_or(|v| (1..=i64::from(i32::MAX)).contains(&v) && self.workflow_id.is_some());
        let detail = "goes with workflow_id and starts at 1";
        c.require(fits, "/target/workflow_version", "range", detail);
        let graph = self.definition.as_ref().is_none_or(Value::is_object);
        c.require(graph, "/target/definition", "type", "must be an object");
        if let Some(config) = &self.retrieval {
            let base = config.get("knowledge_base").and_then(Value::as_str);
            let uuid = base.is_some_and(is_uuid);
            let at = "/target/retrieval/knowledge_base";
            c.require(uuid, at, "format", "must be a knowledge base's id");
            let free = !config.contains_key("query");
            let detail = "is the question of each item";
            c.require(free, "/target/retrieval/query", "reserved", detail);
        }
        let input = self.input.as_deref().unwrap_or("question");
        c.length(input, 1, 128, "/target/input");
        let answers = self.answers.as_ref();
        let some = answers.is_none_or(|all| (1..=5_000).contains(&all.len()));
        c.require(some, "/target/answers", "length", "1 to 5000 answers");
        for id in answers.into_iter().flat_map(BTreeMap::keys) {
            let at = format!("/target/answers/{}", nodeai_http::input::escape(id));
            c.require(is_uuid(id), &at, "format", "must be an item's id");
        }
        let places = [
            ("/target/places/answer", &self.places.answer),
            ("/target/places/contexts", &self.places.contexts),
            ("/target/places/retrieved", &self.places.retrieved),
        ];
        for (at, place) in places {
            let pointer = place
                .as_deref()
                .is_none_or(|p| p.is_empty() || p.starts_with('/'));
            c.require(
                pointer,
                at,
                "format",
                "must be a JSON pointer such as /out/text",
            );
        }
    }
}

impl TargetInput {
    /// A search as a workflow that is not stored.
    fn as_workflow(&mut self) {
        let Some(mut config) = self.retrieval.take() else {
            return;
        };
        let input = self.input.as_deref().unwrap_or("question");
        let question = format!("{{{{ inputs[{}] }}}}", json!(input));
        config.insert("query".to_owned(), question.into());
        let output = |name: &str, value: &str| {
            let value = format!("{{{{ nodes.look.output.{value} }}}}");
            json!({"id": name, "type": "output", "data": {"name": name, "value": value}})
        };
        let documents = "results | map(attribute='document_id') | unique | list";
        let nodes = json!([
            {"id": "in", "type": "input", "data": {}}, {"id": "look", "type": "retrieve", "data": config},
            output("results", "results"), output("documents", documents), output("text", "text")]);
        let edge = |from: &str, to: &str| json!({"id": to, "source": from, "target": to});
        let edges = [
            edge("in", "look"),
            edge("look", "results"),
            edge("look", "documents"),
            edge("look", "text"),
        ];
        self.definition = Some(json!({"nodes": nodes, "edges": edges}));
        let places = &mut self.places;
        let usual = |place: &mut Option<String>, at: &str| {
            place.get_or_insert_with(|| at.to_owned());
        };
        usual(&mut places.answer, "/text");
        usual(&mut places.contexts, "/results");
    }
}

impl EvaluationInput {
    fn judged(&self) -> Vec<Judged> {
        let kinds = self.metrics.iter().filter_map(|m| m.spec().kind());
        let judged = kinds.filter_map(|kind| match kind {
            Kind::Judged(judged) => Some(judged),
            _ => None,
        });
        judged.collect()
    }
}

impl Check for EvaluationInput {
    fn check(&self, c: &mut Checker) {
        let uuid = is_uuid(&self.dataset_id);
        c.require(uuid, "/dataset_id", "format", "must be a UUID");
        let version = self
            .dataset_version
            .is_none_or(|v| (1..=i64::from(i32::MAX)).contains(&v));
        c.require(version, "/dataset_version", "range", "starts at 1");
        c.length(self.name.as_deref().unwrap_or_default(), 0, 200, "/name");
        self.target.check(c);
        metric::check(c, &self.metrics);
        let judged = self.judged();
        match &self.judge {
            Some(judge) => judge.check(c, &judged),
            None => c.require(
                judged.is_empty(),
                "/judge",
                "required",
                "judged metrics need it",
            ),
        }
        let items = self.max_items.is_none_or(|n| (1..=5_000).contains(&n));
        c.require(items, "/max_items", "range", "must be from 1 to 5000");
        let lanes = self.concurrency.is_none_or(|n| (1..=32).contains(&n));
        c.require(lanes, "/concurrency", "range", "must be from 1 to 32");
        let budget = self
            .budget_usd
            .is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
        let detail = "must be from 0.000001 to 1000000";
        c.require(budget, "/budget_usd", "range", detail);
    }
}

/// Makes an evaluation, which goes on by itself: each item is run as whoever makes it, then judged. 202 with its `Location`.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    Valid(mut input): Valid<EvaluationInput>,
) -> Result<Reply<Evaluation, 202>, Problem> {
    let id = clock::new_id();
    input.target.as_workflow();
    let settings = Settings {
        metrics: input.metrics.iter().map(MetricInput::spec).collect(),
        places: input.target.places.clone(),
        concurrency: input.concurrency.unwrap_or(4),
        allow_unpriced: input.allow_unpriced,
        seed: input.seed,
    };
    let names: Vec<&str> = settings.metrics.iter().map(|spec| spec.name()).collect();
    let row = json!({"dataset_id": input.dataset_id, "dataset_version": input.dataset_version, "name": input.name,
        "target": input.target, "metrics": names, "settings": settings, "judge": input.judge,
        "budget_pusd": input.budget_usd.map(|usd| (usd * 1e12).round() as i64)});
    let location = format!("/api/v1/rag-evaluation/evaluations/{id}");
    let args =
        json!({"id": id, "row": row, "most": input.max_items, "answers": input.target.answers});
    let command = Command::named("evaluation_create", "dataset", &id, args)
        .audit("evaluation.created", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}
