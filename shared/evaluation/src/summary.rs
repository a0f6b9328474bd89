//! What an evaluation comes to, compared with another one, and held against limits.

use std::collections::BTreeMap;

use nodeai_rag::stats::{Comparison, Mean, compare, holm, mean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Spec;

/// Scores by metric and item.
pub type Scores = BTreeMap<String, BTreeMap<String, f64>>;

/// An evaluation's scores as the store gives them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Evaluated {
    /// Where the evaluation stands.
    #[serde(default)]
    pub status: String,
    /// What was measured.
    #[serde(default)]
    pub metrics: Vec<Spec>,
    /// Scores.
    #[serde(default)]
    pub scores: Scores,
    /// Results without a score, by metric.
    #[serde(default)]
    pub failed: BTreeMap<String, u64>,
}

/// One metric over all items that have a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The metric's name.
    pub metric: String,
    /// Mean, n, interval.
    #[serde(flatten)]
    pub mean: Mean,
    /// Items without a score: they are not in the mean.
    pub failed: u64,
    /// Whether a lower score is the better one.
    pub lower_is_better: bool,
}

impl Evaluated {
    fn values(&self, metric: &str) -> Vec<f64> {
        let scores = self.scores.get(metric);
        scores
            .map(|all| all.values().copied().collect())
            .unwrap_or_default()
    }

    /// Each metric, in the order in which they were asked for.
    pub fn summary(&self, seed: u64) -> Vec<Summary> {
        let one = |spec: &Spec| Summary {
            metric: spec.name().to_owned(),
            mean: mean(&self.values(spec.name()), seed),
            failed: self.failed.get(spec.name()).copied().unwrap_or(0),
            lower_is_better: spec.lower_is_better(),
        };
        self.metrics.iter().map(one).collect()
    }

    /// Whether anything has a score.
    pub fn scored(&self) -> bool {
        self.scores.values().any(|scores| !scores.is_empty())
    }
}

/// Two evaluations by one metric, on the items that both have a score of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    /// The metric's name.
    pub metric: String,
    /// Mean of the first.
    pub first: Mean,
    /// Mean of the second.
    pub second: Mean,
    /// Their difference on the same items.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// p after Holm's correction for all metrics.
    pub p_holm: Option<f64>,
    /// Whether a lower score is the better one.
    pub lower_is_better: bool,
    /// `better`, `worse`, or `no significant difference`: by the corrected p at 5 %.
    pub verdict: &'static str,
}

/// Compares the metrics that both evaluations have.
pub fn versus(first: &Evaluated, second: &Evaluated, seed: u64) -> Vec<Paired> {
    let mut all = Vec::new();
    for spec in &first.metrics {
        let name = spec.name();
        let other = second.metrics.iter().find(|other| other.name() == name);
        // The same name over another measure would compare what cannot be compared.
        if other.is_none_or(|other| other.kind() != spec.kind()) {
            continue;
        }
        let (Some(a), Some(b)) = (first.scores.get(name), second.scores.get(name)) else {
            continue;
        };
        let shared = a
            .iter()
            .filter_map(|(item, score)| Some((*score, *b.get(item)?)));
        let (a, b): (Vec<f64>, Vec<f64>) = shared.unzip();
        if a.is_empty() {
            continue;
        }
        all.push(Paired {
            metric: name.to_owned(),
            first: mean(&a, seed),
            second: mean(&b, seed),
            comparison: compare(&a, &b, seed),
            p_holm: None,
            lower_is_better: spec.lower_is_better(),
            verdict: "",
        });
    }
    correct(&mut all);
    all
}

fn correct(all: &mut [Paired]) {
    let tested: Vec<usize> = (0..all.len())
        .filter(|i| all[*i].comparison.p.is_some())
        .collect();
    let p: Vec<f64> = tested.iter().filter_map(|i| all[*i].comparison.p).collect();
    for (i, corrected) in tested.into_iter().zip(holm(&p)) {
        all[i].p_holm = Some(corrected);
    }
    for one in all {
        let rises = one.comparison.difference > 0.0;
        one.verdict = match one.p_holm {
            Some(p) if p < 0.05 && rises != one.lower_is_better => "better",
            Some(p) if p < 0.05 => "worse",
            _ => "no significant difference",
        };
    }
}

/// A limit of a metric's mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The metric's name.
    pub metric: String,
    /// Fails below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Fails above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A limit that was held against an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// The mean; none where nothing has a score.
    pub mean: Option<f64>,
    /// Of so many items.
    pub n: usize,
    /// Items without a score.
    pub failed: u64,
    /// Whether it holds: what has no score does not, nor what too many items have none of.
    pub passed: bool,
}

/// Holds limits against an evaluation, of whose items a share of `most_failed` may have no score: a mean of what was left says
/// little of the rest.
pub fn check(evaluated: &Evaluated, limits: &[Limit], most_failed: f64) -> Vec<Checked> {
    let one = |limit: &Limit| {
        let values = evaluated.values(&limit.metric);
        let mean = mean(&values, 0).mean;
        let holds = |mean: f64| {
            limit.min.is_none_or(|min| mean >= min) && limit.max.is_none_or(|max| mean <= max)
        };
        let failed = evaluated.failed.get(&limit.metric).copied().unwrap_or(0);
        let enough = failed as f64 <= most_failed * (failed as f64 + values.len() as f64);
        Checked {
            limit: limit.clone(),
            mean,
            n: values.len(),
            failed,
            passed: enough && mean.is_some_and(holds),
        }
    };
    limits.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluated(quality: f64, cost: f64, n: usize) -> Evaluated {
        let scores = |value: f64| -> BTreeMap<String, f64> {
            (0..n)
                .map(|i| (format!("i{i:03}"), value + (i % 3) as f64 / 100.0))
                .collect()
        };
        let mut made: Evaluated = serde_json::from_value(
            json!({"metrics": [{"metric": "token_f1"}, {"metric": "cost_usd"}, {"metric": "mrr"}], "failed": {"mrr": 4}}),
        )
        .expect("evaluated");
        made.scores.insert("token_f1".into(), scores(quality));
        made.scores.insert("cost_usd".into(), scores(cost));
        made
    }

    #[test]
    fn what_failed_is_counted_and_not_in_the_mean() {
        let summary = evaluated(0.5, 1.0, 30).summary(1);
        assert_eq!((summary[0].mean.n, summary[0].failed), (30, 0));
        assert!(summary[0].mean.interval.is_some());
        assert_eq!((summary[2].mean.mean, summary[2].failed), (None, 4));
    }

    #[test]
    fn a_lower_cost_is_better() {
        let (first, mut second) = (evaluated(0.5, 1.0, 30), evaluated(0.7, 0.5, 30));
        second
            .scores
            .get_mut("token_f1")
            .expect("there")
            .remove("i000");
        let paired = versus(&first, &second, 1);
        assert_eq!(paired.len(), 2, "nothing has a score of mrr");
        assert_eq!((paired[0].comparison.n, paired[0].verdict), (29, "better"));
        assert_eq!(
            (paired[1].comparison.difference < 0.0, paired[1].verdict),
            (true, "better")
        );
        let same = versus(&first, &first, 1);
        assert_eq!(same[0].verdict, "no significant difference");
        assert_eq!(versus(&second, &first, 1)[1].verdict, "worse");
    }

    #[test]
    fn limits_hold_or_not() {
        let limit = |metric: &str, min, max| Limit {
            metric: metric.into(),
            min,
            max,
        };
        let limits = [
            limit("token_f1", Some(0.5), None),
            limit("token_f1", Some(0.6), None),
            limit("cost_usd", None, Some(0.9)),
            limit("mrr", Some(0.0), None),
        ];
        let mut evaluated = evaluated(0.5, 1.0, 9);
        let passed = |evaluated: &Evaluated| -> Vec<bool> {
            let checked = check(evaluated, &limits, 0.1);
            checked.iter().map(|one| one.passed).collect()
        };
        assert_eq!(passed(&evaluated), [true, false, false, false]);
        // One of ten without a score is fine, two of eleven are too many.
        evaluated.failed.insert("token_f1".into(), 1);
        assert_eq!(passed(&evaluated), [true, false, false, false]);
        evaluated.failed.insert("token_f1".into(), 2);
        assert_eq!(passed(&evaluated), [false, false, false, false]);
    }
}
