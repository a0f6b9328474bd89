//! Metrics of an evaluation: by name, or with settings.

use nodeai_http::{Checker, FieldError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most metrics of an evaluation.
pub const MOST_METRICS: usize = 30;
/// Questions that answer relevancy has generated unless said otherwise (ragas calls it strictness).
const QUESTIONS: u32 = 3;

/// A metric: its name, or its name with settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetricInput {
    /// The metric as it is usually.
    Name(String),
    /// With settings.
    Settings(Box<Spec>),
}

/// Which part of claims counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Claims of the answer that the expected one supports.
    Precision,
    /// Claims of the expected answer that the answer supports.
    Recall,
    /// Both, by `beta`.
    #[default]
    F1,
}

/// Which contexts mislead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Those that also support the expected answer.
    #[default]
    Relevant,
    /// Those that do not.
    Irrelevant,
}

/// What a rubric's score can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scale {
    /// Whole numbers from 1 to 5.
    #[default]
    #[serde(rename = "1-5")]
    Five,
    /// From 0 to 1.
    #[serde(rename = "0-1")]
    Unit,
}

/// A metric with its settings; what does not belong to it is refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `exact_match`, `contains`, `regex`, `json_equal`, `numeric`, `token_f1`, `rouge_l`, `latency_ms`, `cost_usd`; a metric of
    /// retrieval such as `ndcg@10`; or judged: `faithfulness`, `answer_relevancy`, `context_precision`, `context_recall`,
    /// `factual_correctness`, `answer_correctness`, `semantic_similarity`, `noise_sensitivity`, `rubric`.
    pub metric: String,
    /// What its results are called, once in an evaluation: 1 to 60 of `a-z 0-9 _ @ . -`; the metric's name unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of `regex`: what the answer must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of `exact_match` and `contains`: whether upper and lower case are the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Of `numeric`: how far the number may be off, as a part of the expected one; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Of `answer_relevancy`: how many questions are generated, 1 to 5; 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questions: Option<u32>,
    /// Of `factual_correctness`: what counts; `f1` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Of `factual_correctness` and `answer_correctness`: above 1 recall weighs more; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Of `answer_correctness`: the weights of facts and of similarity; 0.75 and 0.25 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<(f64, f64)>,
    /// Of `noise_sensitivity`: which contexts mislead; `relevant` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<Noise>,
    /// Of `rubric`: what is judged and what each score means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<String>,
    /// Of `rubric`: what the score can be; `1-5` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

/// What a metric is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The answer is the expected one.
    Exact { ignore_case: bool },
    /// The answer holds the expected text.
    Contains { ignore_case: bool },
    /// The answer matches a pattern.
    Pattern(String),
    /// The answer is the same JSON value.
    Json,
    /// The answer's number is near the expected one.
    Numeric { tolerance: f64 },
    /// Words in common, as SQuAD counts them.
    TokenF1,
    /// The longest common subsequence of words.
    RougeL,
    /// How long the run took, ms. Lower is better.
    Latency,
    /// What the run cost, USD. Lower is better.
    Cost,
    /// What was retrieved against what is relevant.
    Retrieval(nodeai_rag::metrics::Metric),
    /// Asks a judge.
    Judged(Judged),
}

/// A metric that asks a judge.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// Statements of the answer that the contexts support.
    Faithfulness,
    /// How near questions that the answer would fit are to the one that was asked.
    AnswerRelevancy { questions: u32 },
    /// Whether useful contexts come first.
    ContextPrecision,
    /// Sentences of the expected answer that the contexts support.
    ContextRecall,
    /// Claims in common with the expected answer.
    FactualCorrectness { part: Part, beta: f64 },
    /// Statements in common with the expected answer, and similarity to it.
    AnswerCorrectness { weights: (f64, f64), beta: f64 },
    /// Cosine of the embeddings of both answers.
    SemanticSimilarity,
    /// Wrong statements of the answer that contexts support. Lower is better.
    NoiseSensitivity { contexts: Noise },
    /// By one's own words.
    Rubric { text: String, scale: Scale },
}

impl MetricInput {
    /// With its settings.
    pub fn spec(&self) -> Spec {
        match self {
            Self::Name(metric) => Spec {
                metric: metric.clone(),
                ..Spec::default()
            },
            Self::Settings(spec) => (**spec).clone(),
        }
    }
}

impl Spec {
    /// What its results are called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.metric)
    }

    /// What it is; none for a name that is not known.
    pub fn kind(&self) -> Option<Kind> {
        let ignore_case = self.ignore_case;
        let beta = self.beta.unwrap_or(1.0);
        Some(match self.metric.as_str() {
            "exact_match" => Kind::Exact { ignore_case },
            "contains" => Kind::Contains { ignore_case },
            "regex" => Kind::Pattern(self.pattern.clone().unwrap_or_default()),
            "json_equal" => Kind::Json,
            "numeric" => Kind::Numeric {
                tolerance: self.tolerance.unwrap_or(0.0),
            },
            "token_f1" => Kind::TokenF1,
            "rouge_l" => Kind::RougeL,
            "latency_ms" => Kind::Latency,
            "cost_usd" => Kind::Cost,
            "faithfulness" => Kind::Judged(Judged::Faithfulness),
            "answer_relevancy" => Kind::Judged(Judged::AnswerRelevancy {
                questions: self.questions.unwrap_or(QUESTIONS),
            }),
            "context_precision" => Kind::Judged(Judged::ContextPrecision),
            "context_recall" => Kind::Judged(Judged::ContextRecall),
            "factual_correctness" => Kind::Judged(Judged::FactualCorrectness {
                part: self.part.unwrap_or_default(),
                beta,
            }),
            "answer_correctness" => Kind::Judged(Judged::AnswerCorrectness {
                weights: self.weights.unwrap_or((0.75, 0.25)),
                beta,
            }),
            "semantic_similarity" => Kind::Judged(Judged::SemanticSimilarity),
            "noise_sensitivity" => Kind::Judged(Judged::NoiseSensitivity {
                contexts: self.contexts.unwrap_or_default(),
            }),
            "rubric" => Kind::Judged(Judged::Rubric {
                text: self.rubric.clone().unwrap_or_default(),
                scale: self.scale.unwrap_or_default(),
            }),
            other => Kind::Retrieval(nodeai_rag::metrics::Metric::parse(other)?),
        })
    }

    /// Whether a lower score is the better one.
    pub fn lower_is_better(&self) -> bool {
        matches!(
            self.metric.as_str(),
            "latency_ms" | "cost_usd" | "noise_sensitivity"
        )
    }

    /// Settings that are given, with the metrics that take them.
    fn settings(&self) -> [(&'static str, bool, &'static [&'static str]); 10] {
        [
            ("pattern", self.pattern.is_some(), &["regex"]),
            (
                "ignore_case",
                self.ignore_case,
                &["exact_match", "contains"],
            ),
            ("tolerance", self.tolerance.is_some(), &["numeric"]),
            ("questions", self.questions.is_some(), &["answer_relevancy"]),
            ("part", self.part.is_some(), &["factual_correctness"]),
            (
                "beta",
                self.beta.is_some(),
                &["factual_correctness", "answer_correctness"],
            ),
            ("weights", self.weights.is_some(), &["answer_correctness"]),
            ("contexts", self.contexts.is_some(), &["noise_sensitivity"]),
            ("rubric", self.rubric.is_some(), &["rubric"]),
            ("scale", self.scale.is_some(), &["rubric"]),
        ]
    }

    /// Reports what is wrong with it.
    pub fn check(&self, c: &mut Checker, at: &str) {
        if self.kind().is_none() {
            let detail = "is no metric; see GET /api/v1/rag-evaluation/metrics";
            c.report(FieldError::body(format!("{at}/metric"), "unknown", detail));
            return;
        }
        for (setting, given, metrics) in self.settings() {
            let fits = !given || metrics.contains(&self.metric.as_str());
            let detail = format!("belongs to {}", metrics.join(" and "));
            c.require(fits, &format!("{at}/{setting}"), "not_for_this", &detail);
        }
        let name = self.name();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_@.-".contains(&b);
        let named = (1..=60).contains(&name.len()) && name.bytes().all(plain) && name != "target";
        let detail = "must have 1 to 60 of a-z 0-9 _ @ . - and not be target";
        c.require(named, &format!("{at}/name"), "format", detail);
        let pattern = self.pattern.as_deref();
        let readable = pattern.is_none_or(|p| regex_lite::Regex::new(p).is_ok());
        let detail = "is not a regular expression";
        c.require(readable, &format!("{at}/pattern"), "format", detail);
        let given = self.metric != "regex" || pattern.is_some_and(|p| !p.is_empty());
        c.require(given, &format!("{at}/pattern"), "required", "is required");
        let written = self
            .rubric
            .as_deref()
            .map_or(0, |text| text.trim().chars().count());
        let rubric = self.metric != "rubric" || (1..=10_000).contains(&written);
        let detail = "must have 1 to 10000 characters";
        c.require(rubric, &format!("{at}/rubric"), "length", detail);
        self.check_numbers(c, at);
    }

    fn check_numbers(&self, c: &mut Checker, at: &str) {
        let tolerance = self.tolerance.is_none_or(|t| (0.0..=1.0).contains(&t));
        let detail = "must be from 0 to 1";
        c.require(tolerance, &format!("{at}/tolerance"), "range", detail);
        let questions = self.questions.is_none_or(|n| (1..=5).contains(&n));
        let detail = "must be from 1 to 5";
        c.require(questions, &format!("{at}/questions"), "range", detail);
        let beta = self.beta.is_none_or(|b| b > 0.0 && b <= 10.0);
        let detail = "must be above 0 and at most 10";
        c.require(beta, &format!("{at}/beta"), "range", detail);
        let weights = self
            .weights
            .is_none_or(|(a, b)| a >= 0.0 && b >= 0.0 && a + b > 0.0 && a + b < 1e6);
        let detail = "must not be negative, and not both 0";
        c.require(weights, &format!("{at}/weights"), "range", detail);
    }
}

/// Checks the metrics of an evaluation: each is known and has its own name.
pub fn check(c: &mut Checker, metrics: &[MetricInput]) {
    let some = (1..=MOST_METRICS).contains(&metrics.len());
    c.require(some, "/metrics", "length", "1 to 30 metrics");
    let mut names = std::collections::BTreeSet::new();
    for (i, metric) in metrics.iter().enumerate() {
        let (spec, at) = (metric.spec(), format!("/metrics/{i}"));
        spec.check(c, &at);
        let new = names.insert(spec.name().to_owned());
        c.require(new, &at, "duplicate", "give it a name of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(metrics: serde_json::Value) -> Vec<String> {
        let metrics: Vec<MetricInput> = serde_json::from_value(metrics).expect("metrics");
        let mut c = Checker::default();
        check(&mut c, &metrics);
        let errors = c.finish().err().map(|p| p.errors).unwrap_or_default();
        errors.into_iter().filter_map(|e| e.pointer).collect()
    }

    #[test]
    fn metrics_are_names_or_settings() {
        let good = json!(["faithfulness", "ndcg@10", {"metric": "rubric", "name": "tone", "rubric": "Polite?"},
            {"metric": "rubric", "rubric": "Short?", "scale": "0-1"}]);
        assert_eq!(pointers(good), Vec::<String>::new());
        assert_eq!(pointers(json!([])), ["/metrics"]);
        assert_eq!(pointers(json!(["luck"])), ["/metrics/0/metric"]);
        assert_eq!(pointers(json!(["mrr", "mrr"])), ["/metrics/1"]);
        assert_eq!(
            pointers(json!([{"metric": "regex"}])),
            ["/metrics/0/pattern"]
        );
        assert_eq!(
            pointers(json!([{"metric": "mrr", "beta": 2.0}])),
            ["/metrics/0/beta"]
        );
        assert_eq!(
            pointers(json!([{"metric": "rubric", "name": "target", "rubric": " "}])),
            ["/metrics/0/name", "/metrics/0/rubric"]
        );
    }
}
