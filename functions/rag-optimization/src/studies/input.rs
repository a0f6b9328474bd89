//! What a study is made of.

use nodeai_app::inputs::is_uuid;
use nodeai_evaluation::answer::Places;
use nodeai_evaluation::judged::Judge;
use nodeai_evaluation::metric::{Judged, Kind, MetricInput, Spec};
use nodeai_evaluation::study::parameters::{self, Parameter};
use nodeai_http::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most questions of a study.
const MOST_QUESTIONS: u32 = 1_000;

/// A study to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyInput {
    /// 1 to 200 characters.
    pub name: String,
    /// Whose parameters are tried.
    pub workflow_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    pub workflow_version: Option<i64>,
    /// The dataset that asks.
    pub dataset_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    pub dataset_version: Option<i64>,
    /// Only so many items, the oldest ones: 1 to 1,000; 100 unless given. Three fifths are searched on, the rest is for the verdict.
    #[serde(default)]
    pub max_items: Option<u32>,
    /// What is tried: every combination, at most 200.
    pub parameters: Vec<Parameter>,
    /// By what finalists are held against the workflow as it is; more must be better. It may be judged.
    pub metric: MetricInput,
    /// By what the search is scored; `metric` unless given. Where that is judged, name one here: judges are for finalists, unless the
    /// search names them.
    #[serde(default)]
    pub screen: Option<MetricInput>,
    /// Who judges; judged metrics need it.
    #[serde(default)]
    pub judge: Option<Judge>,
    /// The input that takes the question when it is a text; `question` unless given. A question that is an object is the inputs.
    #[serde(default)]
    pub input: Option<String>,
    /// Inputs that are the same for each question.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Where the answer and its contexts are among a run's outputs.
    #[serde(default)]
    pub places: Places,
    /// Runs at once of each trial, 1 to 32; 4 unless given.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Questions that every combination is asked at first, 1 to 1,000; 8 unless given. Each round asks the better third three times as
    /// many.
    #[serde(default)]
    pub first_questions: Option<u32>,
    /// Asks models whose price is not known although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
    /// The same seed asks the same questions.
    #[serde(default)]
    pub seed: u64,
    /// What it may take.
    #[serde(default)]
    pub budget: Budget,
    /// Once more, with what production has asked meanwhile, again and again.
    #[serde(default)]
    pub retune: Option<Retune>,
}

/// What a study may take; it fails with `budget` or `time` when that is used up.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// USD, 0.000001 to 1,000,000. Runs that are under way may go above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Minutes, 1 to 10,080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
}

/// How a study is repeated, as long as its owner may run workflows. The gate is the same each time.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retune {
    /// Days from the end of one to the next, 0.001 to 365. It waits until production has asked 20 questions.
    pub days: f64,
    /// Most questions, the newest ones: 20 to 1,000; 100 unless given.
    #[serde(default = "hundred")]
    pub most: u32,
    /// Where the question is in what went into a run, as a JSON pointer such as `/question`; all inputs unless given.
    #[serde(default)]
    pub question: String,
    /// Where what is expected is in what came out, such as `/answer`: earlier answers as the measure. Nothing unless given, and then the
    /// metrics must not need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Whether a significant gain is applied by itself. Its owner must be able to write workflows.
    #[serde(default)]
    pub apply: bool,
}

fn hundred() -> u32 {
    100
}

impl StudyInput {
    /// By what finalists are judged.
    pub fn metric(&self) -> Spec {
        self.metric.spec()
    }

    /// By what the search is scored.
    pub fn screen(&self) -> Spec {
        self.screen.as_ref().unwrap_or(&self.metric).spec()
    }

    fn judged(&self) -> Vec<Judged> {
        let kinds = [self.metric(), self.screen()].map(|spec| spec.kind());
        let judged = kinds.into_iter().flatten().filter_map(|kind| match kind {
            Kind::Judged(judged) => Some(judged),
            _ => None,
        });
        judged.collect()
    }

    fn check_ids(&self, c: &mut Checker) {
        for (at, id) in [
            ("/workflow_id", &self.workflow_id),
            ("/dataset_id", &self.dataset_id),
        ] {
            c.require(is_uuid(id), at, "format", "must be a UUID");
        }
        for (at, version) in [
            ("/workflow_version", self.workflow_version),
            ("/dataset_version", self.dataset_version),
        ] {
            let fits = version.is_none_or(|v| (1..=i64::from(i32::MAX)).contains(&v));
            c.require(fits, at, "range", "starts at 1");
        }
    }

    fn check_metrics(&self, c: &mut Checker) {
        for (at, spec) in [("/metric", self.metric()), ("/screen", self.screen())] {
            // One that is missing is the other one.
            if at == "/screen" && self.screen.is_none() {
                continue;
            }
            spec.check(c, at);
            let detail = "more must be better; latency and cost are shown beside each trial";
            c.require(!spec.lower_is_better(), at, "not_for_this", detail);
        }
        let judged = matches!(self.metric().kind(), Some(Kind::Judged(_)));
        let detail = "the metric is judged: say by what the search is scored, which asks more than the finalists";
        let told = !judged || self.screen.is_some();
        c.require(told, "/screen", "required", detail);
        let judged = self.judged();
        match &self.judge {
            Some(judge) => judge.check(c, &judged),
            None => {
                let detail = "judged metrics need it";
                c.require(judged.is_empty(), "/judge", "required", detail);
            }
        }
    }

    fn check_numbers(&self, c: &mut Checker) {
        let counts = [
            ("/max_items", self.max_items, MOST_QUESTIONS),
            ("/first_questions", self.first_questions, MOST_QUESTIONS),
            ("/concurrency", self.concurrency, 32),
            ("/budget/minutes", self.budget.minutes, 10_080),
        ];
        for (at, given, most) in counts {
            let fits = given.is_none_or(|n| (1..=most).contains(&n));
            c.require(fits, at, "range", &format!("must be from 1 to {most}"));
        }
        let usd = self.budget.usd;
        let fits = usd.is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
        let detail = "must be from 0.000001 to 1000000";
        c.require(fits, "/budget/usd", "range", detail);
        let seed = i64::try_from(self.seed).is_ok();
        c.require(seed, "/seed", "range", "at most 9223372036854775807");
    }
}

impl Check for StudyInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        self.check_ids(c);
        parameters::check(c, &self.parameters);
        self.check_metrics(c);
        self.check_numbers(c);
        let input = self.input.as_deref().unwrap_or("question");
        c.length(input, 1, 128, "/input");
        for (at, place) in [
            ("/places/answer", &self.places.answer),
            ("/places/contexts", &self.places.contexts),
            ("/places/retrieved", &self.places.retrieved),
        ] {
            let pointer = place.as_deref();
            let pointer = pointer.is_none_or(|p| p.is_empty() || p.starts_with('/'));
            let detail = "must be a JSON pointer such as /out/text";
            c.require(pointer, at, "format", detail);
        }
        if let Some(retune) = &self.retune {
            retune.check(c);
        }
    }
}

impl Retune {
    fn check(&self, c: &mut Checker) {
        let days = (0.001..=365.0).contains(&self.days);
        c.require(days, "/retune/days", "range", "must be from 0.001 to 365");
        let most = (20..=MOST_QUESTIONS).contains(&self.most);
        c.require(most, "/retune/most", "range", "must be from 20 to 1000");
        let places = [
            ("/retune/question", Some(&self.question)),
            ("/retune/expected", self.expected.as_ref()),
        ];
        for (at, place) in places {
            let pointer = place.is_none_or(|p| p.is_empty() || p.starts_with('/'));
            let short = place.is_none_or(|p| p.len() <= 1_000);
            let detail = "must be a JSON pointer such as /question";
            c.require(pointer && short, at, "format", detail);
        }
    }
}
