//! One step of a study: which trials are asked what next, or what it has come to.

use nodeai_rag::optimise::{Asked, Known, Next, Outcome, Part, Search, next};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::parameters::{Setting, apply, trials};
use super::{Evaluated, Settings, Taken};
use crate::job;
use crate::metric::{Kind, Spec};
use crate::trials::{Effort, Ranks, Trial};

/// Evaluations that are begun at once: the others wait, as an organisation has only so many at work.
const AT_ONCE: usize = 8;
/// Questions of the first round, when nobody says how many.
const FIRST: usize = 8;
const LATENCY: &str = "latency_ms";
const COST: &str = "cost_usd";

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// These evaluations are made.
    Ask(Vec<Value>),
    /// It ends.
    End(Box<Ending>),
}

/// How a study ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ending {
    /// What is said about it.
    pub outcome: Option<Value>,
    /// All trials.
    pub trials: Vec<Trial<Setting>>,
    /// The workflow as the winner has it.
    pub definition: Option<Value>,
    /// Why there is no outcome.
    pub error: Option<Value>,
}

impl Settings {
    fn spec(&self, part: Part) -> &Spec {
        match part {
            Part::Search => &self.screen,
            Part::Verdict => &self.metric,
        }
    }
}

/// Works out a step.
pub fn step(taken: &Taken, evaluated: &[Evaluated]) -> Step {
    let Ok(settings) = trials(&taken.definition, &taken.parameters) else {
        return Step::fail("invalid", "the parameters do not fit the workflow");
    };
    let of = Search {
        settings: settings.len(),
        questions: taken.questions,
        baseline: 0,
        first: Some(taken.settings.first.unwrap_or(FIRST)),
        seed: taken.seed,
    };
    match next(of, &known(of, evaluated)) {
        Next::Ask(asked) => {
            let some = asked.iter().take(AT_ONCE);
            Step::Ask(some.map(|one| ask(taken, &settings, one)).collect())
        }
        Next::Done(found) => end(taken, &settings, evaluated, &found),
    }
}

/// Scores by trial and question. A run that gave no answer scores 0: failing is never an advantage. An answer that the judge did not
/// judge says nothing.
fn known(of: Search, evaluated: &[Evaluated]) -> Vec<Vec<Known>> {
    let mut known = vec![vec![None; of.questions]; of.settings];
    for one in evaluated {
        let Some(row) = one.trial.checked_sub(1).and_then(|n| known.get_mut(n)) else {
            continue;
        };
        let scores: BTreeMap<usize, f64> = one.scores.iter().copied().collect();
        for question in &one.questions {
            let judged = !one.unjudged.contains(question);
            let score = scores.get(question).copied();
            if let Some(place) = row.get_mut(*question) {
                *place = Some(judged.then(|| score.unwrap_or(0.0)));
            }
        }
    }
    known
}

/// An evaluation of one trial.
fn ask(taken: &Taken, settings: &[Setting], asked: &Asked) -> Value {
    let spec = Spec {
        name: None,
        ..taken.settings.spec(asked.part).clone()
    };
    let judge = matches!(spec.kind(), Some(Kind::Judged(_))).then_some(&taken.judge);
    let plain = |metric: &str| Spec {
        metric: metric.to_owned(),
        ..Spec::default()
    };
    let made = job::Settings {
        metrics: vec![spec, plain(LATENCY), plain(COST)],
        places: taken.settings.places.clone(),
        concurrency: taken.settings.concurrency,
        allow_unpriced: taken.settings.allow_unpriced,
        seed: taken.seed,
    };
    let names: Vec<&str> = made.metrics.iter().map(Spec::name).collect();
    let number = asked.setting + 1;
    let mut target = json!(taken.target);
    target["definition"] = apply(
        &taken.definition,
        &taken.parameters,
        &settings[asked.setting],
    );
    json!({"trial": number, "part": asked.part, "questions": asked.questions, "metrics": names, "settings": made, "judge": judge,
        "target": target, "name": format!("{}, trial {number}", taken.name)})
}

fn end(taken: &Taken, settings: &[Setting], evaluated: &[Evaluated], found: &Outcome) -> Step {
    if evaluated.iter().all(|one| one.scores.is_empty()) {
        return Step::fail(
            "nothing_scored",
            "no answer of any trial has a score; their evaluations say why",
        );
    }
    let ranks = Ranks::as_made(found, settings);
    let trials = ranks.trials(|setting| effort(evaluated, setting + 1));
    let winner = found.winner.map(|setting| &settings[setting]);
    let mut outcome = ranks.told(&trials, 0);
    outcome["metrics"] =
        json!({"search": taken.settings.screen.name(), "verdict": taken.settings.metric.name()});
    Step::End(Box::new(Ending {
        outcome: Some(outcome),
        trials,
        definition: winner.map(|one| apply(&taken.definition, &taken.parameters, one)),
        error: None,
    }))
}

/// What a query takes by a trial: the mean over its evaluations, by their questions.
fn effort(evaluated: &[Evaluated], trial: usize) -> Effort {
    let mean = |of: fn(&Evaluated) -> Option<f64>| {
        let own = evaluated.iter().filter(|one| one.trial == trial);
        let (mut sum, mut n) = (0.0, 0.0);
        for one in own {
            let questions = one.questions.len() as f64;
            if let Some(value) = of(one) {
                sum += value * questions;
                n += questions;
            }
        }
        (n > 0.0).then(|| sum / n)
    };
    Effort {
        latency_us: mean(|one| one.latency_ms).map(|ms| (ms * 1e3) as i64),
        // 1,000 queries, pico-USD.
        cost_pusd: mean(|one| one.cost_usd).map_or(0, |usd| (usd * 1e15) as i64),
    }
}

impl Step {
    fn fail(kind: &str, message: &str) -> Self {
        Self::End(Box::new(Ending {
            error: Some(json!({"kind": kind, "message": message})),
            ..Ending::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(questions: usize) -> Taken {
        serde_json::from_value(json!({"id": "s", "org_id": "o", "lease_token": 1, "name": "n", "questions": questions, "seed": 7,
            "definition": {"nodes": [{"id": "ask", "type": "llm", "data": {"model": "a"}}], "edges": []},
            "parameters": [{"node": "ask", "path": "/model", "values": ["a", "b", "c", "d"]}],
            "settings": {"screen": {"metric": "token_f1"}, "metric": {"metric": "faithfulness"}, "concurrency": 2},
            "judge": {"model": "openai/gpt-4o-mini"}}))
        .expect("taken")
    }

    /// Runs a study to its end; `score` says what a trial's answer to a question is worth.
    fn run(
        taken: &Taken,
        score: impl Fn(usize, usize) -> Option<f64>,
    ) -> (Ending, Vec<(usize, Part, usize)>) {
        let (mut evaluated, mut asked) = (Vec::new(), Vec::new());
        loop {
            let asks = match step(taken, &evaluated) {
                Step::End(ending) => return (*ending, asked),
                Step::Ask(asks) => asks,
            };
            assert!((1..=AT_ONCE).contains(&asks.len()));
            for ask in asks {
                let mut one: Evaluated = serde_json::from_value(ask.clone()).expect("asked");
                let part: Part = serde_json::from_value(ask["part"].clone()).expect("a part");
                asked.push((one.trial, part, one.questions.len()));
                let model = ask["target"]["definition"]["nodes"][0]["data"]["model"].clone();
                assert_eq!(model, ["a", "b", "c", "d"][one.trial - 1]);
                let judged = part == Part::Verdict;
                assert_eq!(ask["judge"].is_object(), judged);
                let metric = if judged { "faithfulness" } else { "token_f1" };
                assert_eq!(ask["metrics"], json!([metric, LATENCY, COST]));
                for question in one.questions.clone() {
                    match score(one.trial, question) {
                        Some(score) => one.scores.push((question, score)),
                        None => one.unjudged.push(question),
                    }
                }
                (one.latency_ms, one.cost_usd) = (Some(2.0), Some(0.001));
                evaluated.push(one);
            }
        }
    }

    #[test]
    fn finalists_alone_are_judged_and_the_better_one_wins() {
        let taken = taken(60);
        let score = |trial, question| {
            Some(if trial == 3 { 0.9 } else { 0.2 } + (question % 5) as f64 / 100.0)
        };
        let (ending, asked) = run(&taken, score);
        let outcome = ending.outcome.expect("an outcome");
        assert_eq!(
            (&outcome["verdict"], &outcome["winner"]),
            (&json!("gain"), &json!(3))
        );
        assert_eq!(outcome["settings"], json!({"ask/model": "c"}));
        assert_eq!(
            ending.definition.expect("a workflow")["nodes"][0]["data"]["model"],
            "c"
        );
        assert_eq!(outcome["baseline"], 1);
        let judged: Vec<_> = asked
            .iter()
            .filter(|(_, part, _)| *part == Part::Verdict)
            .collect();
        assert!(
            judged.iter().all(|(_, _, n)| *n == 24) && judged.len() <= 4,
            "{judged:?}"
        );
        let best = &ending.trials[0];
        assert_eq!((best.number, best.rank), (3, 1));
        assert_eq!(
            (best.latency_us, best.cost_pusd),
            (Some(2_000), 1_000_000_000_000)
        );
        assert_eq!(
            outcome["metrics"],
            json!({"search": "token_f1", "verdict": "faithfulness"})
        );
    }

    #[test]
    fn no_difference_is_no_gain() {
        let (ending, _) = run(&taken(40), |_, question| Some((question % 7) as f64 / 7.0));
        let outcome = ending.outcome.expect("an outcome");
        assert_eq!(outcome["verdict"], "no significant gain");
        assert!(ending.definition.is_none());
    }

    #[test]
    fn a_judge_that_is_silent_for_the_baseline_makes_no_gain() {
        // Judged, the baseline is as good; in most questions of the verdict nobody has judged it.
        let taken = taken(60);
        let silent =
            |trial, question: usize| (trial != 1 || !question.is_multiple_of(3)).then_some(0.5);
        let (ending, _) = run(&taken, silent);
        let outcome = ending.outcome.expect("an outcome");
        assert_eq!(outcome["verdict"], "no significant gain", "{outcome}");
        assert!(
            outcome["finalists"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["n"].as_u64() < Some(24)))
        );
    }

    #[test]
    fn answers_that_did_not_come_score_nothing() {
        let evaluated = json!({"trial": 2, "part": "search", "questions": [0, 1, 2], "scores": [[1, 0.5]], "unjudged": [2]});
        let evaluated: Evaluated = serde_json::from_value(evaluated).expect("evaluated");
        let of = Search {
            settings: 2,
            questions: 4,
            baseline: 0,
            first: None,
            seed: 1,
        };
        let known = known(of, &[evaluated]);
        assert_eq!(
            known[1],
            [Some(Some(0.0)), Some(Some(0.5)), Some(None), None]
        );
        assert_eq!(known[0], [None; 4]);
    }

    #[test]
    fn where_nothing_has_a_score_it_fails() {
        let taken = taken(10);
        let (mut evaluated, mut ending) = (Vec::new(), None);
        while ending.is_none() {
            match step(&taken, &evaluated) {
                Step::End(end) => ending = Some(end),
                Step::Ask(asks) => evaluated.extend(
                    asks.into_iter()
                        .map(|ask| serde_json::from_value::<Evaluated>(ask).expect("asked")),
                ),
            }
        }
        let error = ending.and_then(|end| end.error).expect("an error");
        assert_eq!(error["kind"], "nothing_scored");
    }
}
