//! One step of an evaluation: what ended runs come to, and what has to be asked next. The database keeps the state; this says what
//! goes into it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answered, Places};
use crate::items::Item;
use crate::judged::{self, Judge};
use crate::metric::{Kind, Spec};
use crate::plain::{self, Effort};
use crate::run::Run;

/// The step of a task that runs what is evaluated; other steps are names of metrics.
pub const TARGET: &str = "target";

/// How an evaluation goes about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// What is measured.
    pub metrics: Vec<Spec>,
    /// Where the answer is among a run's outputs.
    #[serde(default)]
    pub places: Places,
    /// Runs at once.
    pub concurrency: u32,
    /// Whether models whose price is not known are asked although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
    /// Seed of the intervals.
    #[serde(default)]
    pub seed: u64,
}

/// An evaluation that was taken up.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org_id: String,
    /// What fences whoever has lost the lease.
    pub lease_token: i64,
    /// How it goes about it.
    pub settings: Settings,
    /// Who judges.
    #[serde(default)]
    pub judge: Option<Judge>,
}

/// A task that has ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Ended {
    item_id: String,
    step: String,
    item: Item,
    #[serde(default)]
    run: Option<Run>,
    #[serde(default)]
    given: Option<Answered>,
}

/// What is stored, and asked next.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Step {
    tasks: Vec<Value>,
    results: Vec<Value>,
    judges: Vec<Value>,
}

/// Works out a step.
pub fn step(taken: &Taken, ended: &[Ended]) -> Step {
    let mut step = Step::default();
    for task in ended {
        match task.step.as_str() {
            TARGET => step.target(taken, task),
            _ => step.judged(taken, task),
        }
    }
    step
}

impl Step {
    fn end(&mut self, task: &Ended, output: Value) {
        let cost = task.run.as_ref().map_or(0, |run| run.cost_pusd);
        self.tasks.push(json!({"item_id": task.item_id, "step": task.step, "output": output, "cost_pusd": cost}));
    }

    /// A result that nobody judged; `cost_pusd` is what trying cost.
    fn result(&mut self, task: &Ended, metric: &str, scored: Result<f64, String>, cost_pusd: i64) {
        let (score, reason) = match scored {
            Ok(score) => (Some(score), None),
            Err(why) => (None, Some(why)),
        };
        let trace = task.run.as_ref().and_then(|run| run.trace_id.as_ref());
        self.results.push(
            json!({"item_id": task.item_id, "metric": metric, "score": score, "reason": reason,
            "trace_id": trace, "cost_pusd": cost_pusd}),
        );
    }

    fn target(&mut self, taken: &Taken, task: &Ended) {
        let read = match (&task.given, &task.run) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some(run)) => run
                .outputs("the run")
                .and_then(|outputs| taken.settings.places.read(outputs)),
            (None, None) => Err("there is neither a run nor an answer".to_owned()),
        };
        let answered = match read {
            Ok(answered) => answered,
            Err(why) => {
                for metric in &taken.settings.metrics {
                    self.result(task, metric.name(), Err(why.clone()), 0);
                }
                return self.end(task, json!({"error": why}));
            }
        };
        let effort = Effort {
            latency_us: task.run.as_ref().and_then(|run| run.latency_us),
            cost_pusd: task.run.as_ref().map(|run| run.cost_pusd),
        };
        for metric in &taken.settings.metrics {
            self.measure(taken, task, metric, &answered, effort);
        }
        self.end(task, json!(answered));
    }

    fn measure(
        &mut self,
        taken: &Taken,
        task: &Ended,
        metric: &Spec,
        answered: &Answered,
        effort: Effort,
    ) {
        let name = metric.name();
        let judged = match metric.kind() {
            Some(Kind::Judged(judged)) => judged,
            Some(kind) => {
                let scored = plain::score(&kind, &task.item, answered, effort);
                return self.result(task, name, scored, 0);
            }
            None => {
                let why = "there is no such metric".to_owned();
                return self.result(task, name, Err(why), 0);
            }
        };
        let judge = taken.judge.clone().unwrap_or_default();
        match judged::build(&judged, &judge, &task.item, answered) {
            Ok(ask) => self
                .judges
                .push(json!({"item_id": task.item_id, "metric": name,
                "definition": ask.definition, "inputs": ask.inputs})),
            Err(why) => self.result(task, name, Err(why), 0),
        }
    }

    fn judged(&mut self, taken: &Taken, task: &Ended) {
        self.end(task, Value::Null);
        let mut metrics = taken.settings.metrics.iter();
        let metric = metrics.find(|metric| metric.name() == task.step);
        let (Some(Kind::Judged(judged)), Some(run)) = (metric.and_then(Spec::kind), &task.run)
        else {
            let why = "nobody judged that".to_owned();
            return self.result(task, &task.step, Err(why), 0);
        };
        match run.outputs("the judge") {
            Err(why) => self.result(task, &task.step, Err(why), run.cost_pusd),
            Ok(outputs) => {
                let judgement = judged::read(&judged, outputs);
                self.results.push(json!({"item_id": task.item_id, "metric": task.step, "score": judgement.score,
                    "reason": judgement.reason, "verdicts": judgement.verdicts, "trace_id": run.trace_id,
                    "cost_pusd": run.cost_pusd}));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(metrics: Value) -> Taken {
        serde_json::from_value(json!({"id": "e", "org_id": "o", "lease_token": 1, "judge": {"model": "builtin/echo"},
            "settings": {"metrics": metrics, "concurrency": 2, "places": {"answer": "/out", "contexts": "/found"}}}))
        .expect("taken")
    }

    fn ended(step: &str, run: Value) -> Ended {
        serde_json::from_value(
            json!({"item_id": "i", "step": step, "run": run, "given": null,
            "item": {"question": "When?", "expected": "At nine", "relevant": [], "metadata": {}}}),
        )
        .expect("ended")
    }

    #[test]
    fn an_answer_is_measured_and_the_judge_asked() {
        let taken = taken(
            json!([{"metric": "contains"}, {"metric": "faithfulness"}, {"metric": "latency_ms"}, {"metric": "mrr"}]),
        );
        let run = json!({"status": "succeeded", "outputs": {"out": "At nine.", "found": ["It opens at nine."]},
            "cost_pusd": 5, "latency_us": 2_000, "trace_id": "t"});
        let step = step(&taken, &[ended(TARGET, run)]);
        assert_eq!(step.tasks[0]["output"]["answer"], "At nine.");
        assert_eq!(step.tasks[0]["cost_pusd"], 5);
        assert_eq!(step.results.len(), 3);
        assert_eq!(
            (&step.results[0]["score"], &step.results[1]["score"]),
            (&json!(1.0), &json!(2.0))
        );
        assert!(step.results[2]["score"].is_null() && step.results[2]["reason"].is_string());
        assert_eq!(step.judges[0]["metric"], "faithfulness");
        assert_eq!(step.judges[0]["inputs"]["context"], "It opens at nine.");
    }

    #[test]
    fn a_failed_run_has_no_scores_and_says_why() {
        let taken = taken(json!([{"metric": "contains"}, {"metric": "faithfulness"}]));
        let run = json!({"status": "failed", "error": {"kind": "timeout", "message": "too slow", "node_id": "ask"}, "cost_pusd": 1});
        let step = step(&taken, &[ended(TARGET, run)]);
        assert!(step.judges.is_empty());
        assert_eq!(step.results.len(), 2);
        assert_eq!(
            step.results[0]["reason"],
            "the run failed at node ask: timeout: too slow"
        );
    }

    #[test]
    fn verdicts_become_a_score_or_a_reason() {
        let taken = taken(json!([{"metric": "faithfulness"}]));
        let verdict = |verdict| json!({"statement": "s", "reason": "r", "verdict": verdict});
        let run = |verdicts: Value| {
            json!({"status": "succeeded", "cost_pusd": 7, "outputs": {"answer": {"statements": ["a", "b"]},
                "support": {"verdicts": verdicts}}})
        };
        let good = step(
            &taken,
            &[ended("faithfulness", run(json!([verdict(1), verdict(0)])))],
        );
        assert_eq!(good.results[0]["score"], 0.5);
        assert_eq!(
            good.results[0]["verdicts"]["support"]["verdicts"][1]["verdict"],
            0
        );
        assert_eq!(good.results[0]["cost_pusd"], 7);
        let bad = step(&taken, &[ended("faithfulness", run(json!([verdict(1)])))]);
        assert!(bad.results[0]["score"].is_null());
        assert_eq!(
            bad.results[0]["reason"],
            "the judge gave 1 verdicts on 2 statements"
        );
    }
}
