//! What a search comes to, told in numbers of trials: settings in the order in which they did well.

use nodeai_rag::optimise::{Finalist, Outcome, pareto};
use serde::Serialize;
use serde_json::{Value, json};

/// One setting as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial<S> {
    /// What it is called, from 1.
    pub number: usize,
    /// Its place, from 1, the best first.
    pub rank: usize,
    /// What was tried.
    pub settings: S,
    /// The metric's mean in the search, and of how many questions.
    pub scores: Value,
    /// How long a query takes by it, where that is known.
    pub latency_us: Option<i64>,
    /// What 1,000 queries cost by it.
    pub cost_pusd: i64,
}

/// What queries take by a setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// How long one takes, µs, where that is known.
    pub latency_us: Option<i64>,
    /// What 1,000 of them cost, pico-USD.
    pub cost_pusd: i64,
}

/// Which trial each setting is: those that were asked most come first, the best of them before the others.
pub struct Ranks<'a, S> {
    found: &'a Outcome,
    settings: &'a [S],
    order: Vec<usize>,
    numbers: Vec<usize>,
}

impl<'a, S: Clone + Serialize> Ranks<'a, S> {
    /// Trials that are called by their place.
    pub fn by_place(found: &'a Outcome, settings: &'a [S]) -> Self {
        let order = order(found);
        let mut numbers = vec![0; order.len()];
        for (setting, number) in order.iter().zip(1..) {
            numbers[*setting] = number;
        }
        Self {
            found,
            settings,
            order,
            numbers,
        }
    }

    /// Trials that had their numbers before the search: those of the settings, from 1.
    pub fn as_made(found: &'a Outcome, settings: &'a [S]) -> Self {
        Self {
            found,
            settings,
            order: order(found),
            numbers: (1..=settings.len()).collect(),
        }
    }

    /// All trials, the best first.
    pub fn trials(&self, effort: impl Fn(usize) -> Effort) -> Vec<Trial<S>> {
        let trial = |(setting, rank): (&usize, usize)| {
            let effort = effort(*setting);
            Trial {
                number: self.numbers[*setting],
                rank,
                settings: self.settings[*setting].clone(),
                scores: json!(self.found.tried[*setting]),
                latency_us: effort.latency_us,
                cost_pusd: effort.cost_pusd,
            }
        };
        self.order.iter().zip(1..).map(trial).collect()
    }

    /// The outcome. `left_out` is how many questions could not be asked.
    pub fn told(&self, trials: &[Trial<S>], left_out: usize) -> Value {
        let found = self.found;
        let finalists = found.finalists.iter().map(|one| self.finalist(one));
        let rounds = found.rounds.iter().map(|round| {
            let kept = round.kept.iter().map(|setting| self.numbers[*setting]);
            json!({"questions": round.questions, "kept": kept.collect::<Vec<_>>()})
        });
        json!({
            "verdict": if found.winner.is_some() { "gain" } else { "no significant gain" },
            "winner": found.winner.map(|setting| self.numbers[setting]),
            "settings": found.winner.map(|setting| &self.settings[setting]),
            "baseline": self.numbers.first(),
            "baseline_settings": self.settings.first(),
            "finalists": finalists.collect::<Vec<_>>(),
            "rounds": rounds.collect::<Vec<_>>(),
            "front": self.front(trials),
            "questions": {"search": found.questions.0, "verdict": found.questions.1, "left_out": left_out},
            "evaluations": found.evaluations,
        })
    }

    fn finalist(&self, one: &Finalist) -> Value {
        let mut told = json!(one);
        if let Some(members) = told.as_object_mut() {
            members.remove("setting");
        }
        told["trial"] = json!(self.numbers[one.setting]);
        told["settings"] = json!(self.settings[one.setting]);
        told
    }

    /// Trials that no other one beats in quality, latency and cost, among those that were asked most questions of the search.
    fn front(&self, trials: &[Trial<S>]) -> Vec<usize> {
        let tried = |trial: &Trial<S>| self.found.tried[self.order[trial.rank - 1]];
        let most = trials.iter().map(|trial| tried(trial).questions).max();
        // Where others are known to take a time, one without has not answered anything.
        let timed = trials.iter().any(|trial| trial.latency_us.is_some());
        let whole: Vec<&Trial<S>> = trials
            .iter()
            .filter(|trial| Some(tried(trial).questions) == most)
            .filter(|trial| trial.latency_us.is_some() || !timed)
            .collect();
        let points = whole.iter().map(|trial| {
            let latency = trial.latency_us.unwrap_or_default();
            (tried(trial).mean, latency as f64, trial.cost_pusd as f64)
        });
        let unbeaten = pareto(&points.collect::<Vec<_>>());
        unbeaten.into_iter().map(|at| whole[at].number).collect()
    }
}

fn order(found: &Outcome) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.tried.len()).collect();
    order.sort_by(|a, b| {
        let (one, other) = (found.tried[*a], found.tried[*b]);
        let asked = other.questions.cmp(&one.questions);
        asked.then(other.mean.total_cmp(&one.mean)).then(a.cmp(b))
    });
    order
}
