//! `POST /api/v1/rag-evaluation/rules`

use super::model::Rule;
use crate::EvaluationsRun;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_evaluation::answer::Places;
use nodeai_evaluation::judged::Judge;
use nodeai_evaluation::metric::{self, Judged, Kind, MetricInput};
use nodeai_evaluation::online::Settings;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Which traces.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFilter {
    /// Only those that ended so; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TraceStatus>,
    /// Only those that have all of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// How a trace ended.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceStatus {
    /// Well.
    Ok,
    /// With an error.
    Error,
}

/// What is measured on sampled traces, and how they are read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// 1 to 30 metrics, by name or with settings. What an item of a dataset would have to say (an expected answer, relevant documents) is
    /// not there; latency and cost are in the metrics of traces.
    pub metrics: Vec<MetricInput>,
    /// Where the question is in what went in, as a JSON pointer such as `/question`; all of it unless given.
    #[serde(default)]
    pub question: String,
    /// Where answer and contexts are among what came out. Contexts are what the trace's last retrieval gave, unless a place is named.
    #[serde(default)]
    pub places: Places,
    /// Judges at once, 1 to 32; 4 unless given.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Asks models whose price is not known although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
}

/// A rule to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    /// 1 to 200 characters; its dataset has the same name.
    name: String,
    /// The workflow whose traces are sampled: this, or `deployment_id`.
    #[serde(default)]
    workflow_id: Option<String>,
    /// The deployment.
    #[serde(default)]
    deployment_id: Option<String>,
    /// Which of them.
    #[serde(default)]
    filter: TraceFilter,
    /// The share of them, above 0 and at most 1. Whether a trace is in it is always answered in the same way.
    sample_rate: f64,
    /// What is measured.
    reading: Reading,
    /// Who judges; judged metrics need it.
    #[serde(default)]
    judge: Option<Judge>,
    /// What judging may cost in USD on a UTC day. Once that is spent nothing is sampled until the next one.
    #[serde(default)]
    budget_usd: Option<f64>,
    /// Seconds between two looks, 1 to 86,400; 60 unless given.
    #[serde(default)]
    every_s: Option<u32>,
}

impl Reading {
    /// Reports what is wrong with it, for the one who judges.
    pub fn check(&self, c: &mut Checker, judge: Option<&Judge>) {
        // `/metrics/0` of an evaluation is at `/reading/metrics/0` here.
        let mut inner = Checker::default();
        metric::check(&mut inner, &self.metrics);
        c.nest("/reading", inner);
        for (i, given) in self.metrics.iter().enumerate() {
            let fits = !matches!(
                given.spec().kind(),
                Some(Kind::Latency | Kind::Cost | Kind::Retrieval(_))
            );
            let at = format!("/reading/metrics/{i}");
            let detail = "a trace alone does not say that";
            c.require(fits, &at, "not_for_this", detail);
        }
        let judged: Vec<Judged> = self.judged().collect();
        match judge {
            Some(judge) => judge.check(c, &judged),
            None => {
                let detail = "judged metrics need it";
                c.require(judged.is_empty(), "/judge", "required", detail);
            }
        }
        for (i, judged) in judged.iter().enumerate() {
            let detail = "needs an expected answer, which a trace has not";
            let at = format!("/reading/metrics/{i}");
            c.require(!judged.needs().expected, &at, "not_for_this", detail);
        }
        let places = [
            ("/reading/question", Some(&self.question)),
            ("/reading/places/answer", self.places.answer.as_ref()),
            ("/reading/places/contexts", self.places.contexts.as_ref()),
            ("/reading/places/retrieved", self.places.retrieved.as_ref()),
        ];
        for (at, place) in places {
            let pointer = place.is_none_or(|p| p.is_empty() || p.starts_with('/'));
            let detail = "must be a JSON pointer such as /question";
            c.require(pointer, at, "format", detail);
        }
        let lanes = self.concurrency.is_none_or(|n| (1..=32).contains(&n));
        let detail = "must be from 1 to 32";
        c.require(lanes, "/reading/concurrency", "range", detail);
    }

    fn judged(&self) -> impl Iterator<Item = Judged> {
        let kinds = self.metrics.iter().filter_map(|m| m.spec().kind());
        kinds.filter_map(|kind| match kind {
            Kind::Judged(judged) => Some(judged),
            _ => None,
        })
    }

    /// As it is stored.
    pub fn settings(&self) -> Settings {
        Settings {
            metrics: self.metrics.iter().map(MetricInput::spec).collect(),
            places: self.places.clone(),
            question: self.question.clone(),
            concurrency: self.concurrency.unwrap_or(4),
            allow_unpriced: self.allow_unpriced,
        }
    }
}

/// Reports what is wrong with the parts that a rule and its change have in common.
pub fn check_parts(
    c: &mut Checker,
    filter: Option<&TraceFilter>,
    rate: Option<f64>,
    budget_usd: Option<f64>,
    every_s: Option<u32>,
) {
    let tags = filter.map(|filter| filter.tags.as_slice());
    let tags = tags.unwrap_or_default();
    let few = tags.len() <= 20 && tags.iter().all(|tag| (1..=200).contains(&tag.len()));
    c.require(few, "/filter/tags", "length", "at most 20, each not empty");
    let share = rate.is_none_or(|rate| rate > 0.0 && rate <= 1.0);
    let detail = "must be above 0 and at most 1";
    c.require(share, "/sample_rate", "range", detail);
    let budget = budget_usd.is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
    let detail = "must be from 0.000001 to 1000000";
    c.require(budget, "/budget_usd", "range", detail);
    let every = every_s.is_none_or(|s| (1..=86_400).contains(&s));
    c.require(every, "/every_s", "range", "must be from 1 to 86400");
}

impl Check for RuleInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let ids = [
            ("/workflow_id", &self.workflow_id),
            ("/deployment_id", &self.deployment_id),
        ];
        for (at, id) in ids {
            let uuid = id.as_deref().is_none_or(is_uuid);
            c.require(uuid, at, "format", "must be a UUID");
        }
        let one = self.workflow_id.is_some() != self.deployment_id.is_some();
        let detail = "give exactly one of workflow_id and deployment_id";
        c.require(one, "/workflow_id", "one_of", detail);
        self.reading.check(c, self.judge.as_ref());
        let rate = Some(self.sample_rate);
        check_parts(c, Some(&self.filter), rate, self.budget_usd, self.every_s);
    }
}

/// Makes a rule, which goes on by itself: of the traces that begin from now on a share is judged as whoever makes it, and what that comes
/// to are scores of those traces.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    Valid(input): Valid<RuleInput>,
) -> Result<Created<Rule>, Problem> {
    let (id, dataset_id) = (clock::new_id(), clock::new_id());
    let settings = input.reading.settings();
    let names: Vec<&str> = settings.metrics.iter().map(|spec| spec.name()).collect();
    let row = json!({"name": input.name, "workflow_id": input.workflow_id, "deployment_id": input.deployment_id,
        "filter": input.filter, "sample_rate": input.sample_rate, "metrics": names, "settings": settings, "judge": input.judge,
        "budget_pusd": pusd(input.budget_usd), "every_s": input.every_s.unwrap_or(60), "paused": false});
    let location = format!("/api/v1/rag-evaluation/rules/{id}");
    let args = json!({"id": id, "dataset_id": dataset_id, "row": row});
    let command = Command::named("rule_create", "rule", &id, args)
        .audit("evaluation_rule.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}

/// USD as they are stored.
pub fn pusd(usd: Option<f64>) -> Option<i64> {
    usd.map(|usd| (usd * 1e12).round() as i64)
}
