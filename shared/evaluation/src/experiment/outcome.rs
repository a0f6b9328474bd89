//! What an experiment comes to: all settings tried on its lists, the best ones held against the baseline on questions that the search
//! has not seen.

use nodeai_knowledge::rank::Mode;
use nodeai_rag::metrics::{Judged, Metric};
use nodeai_rag::optimise::{Search, search};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Taken;
use super::lists::{Effort, Lists, Opened};
use super::space::Setting;
use crate::items::Item;
use crate::trials::{self, Ranks, Trial};

/// Settings times questions up to which every setting is asked every question; with more, halving begins with [`FIRST`] questions.
const ALL: usize = 20_000;
const FIRST: usize = 25;

/// A question with what was found for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// The item.
    pub item_id: String,
    #[serde(default)]
    lists: Option<Lists>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    relevant: Value,
}

/// How an experiment ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ending {
    /// What is said about it.
    pub outcome: Option<Value>,
    /// All settings.
    pub trials: Vec<Trial<Setting>>,
    /// Why there is no outcome.
    pub error: Option<Value>,
}

struct Question {
    lists: Opened,
    grades: Judged,
}

/// Works out how it ends. Questions for which nothing could be searched, or of which no document is relevant, are left out.
pub fn conclude(taken: &Taken, rows: &[Row]) -> Ending {
    let questions: Vec<Question> = rows.iter().filter_map(Row::question).collect();
    if questions.is_empty() {
        let why = rows.iter().find_map(|row| row.error.clone());
        let why = why.unwrap_or_else(|| "no item says which documents are relevant".to_owned());
        return Ending {
            error: Some(json!({"kind": "nothing_retrieved", "message": why})),
            ..Ending::default()
        };
    }
    let metric = Metric::parse(&taken.metric).unwrap_or(Metric::Ndcg(Some(10)));
    let settings = taken.settings();
    let of = Search {
        settings: settings.len(),
        questions: questions.len(),
        baseline: 0,
        first: (settings.len().saturating_mul(questions.len()) > ALL).then_some(FIRST),
        seed: taken.seed,
    };
    let found = search(of, |setting, question| {
        let question = &questions[question];
        let documents = question.lists.documents(&settings[setting]);
        Some(metric.score(&question.grades, &documents))
    });
    let effort = mean(rows);
    let ranks = Ranks::by_place(&found, &settings);
    let trials = ranks.trials(|setting| effort.of(settings[setting].mode));
    let left_out = rows.len() - questions.len();
    Ending {
        outcome: Some(ranks.told(&trials, left_out)),
        trials,
        error: None,
    }
}

impl Row {
    fn question(&self) -> Option<Question> {
        let item = Item {
            question: Value::Null,
            expected: None,
            relevant: self.relevant.clone(),
            metadata: Default::default(),
            source_trace_id: None,
        };
        let grades = item.grades().into_iter();
        // Ids of documents are written small.
        let grades: Judged = grades
            .map(|(id, grade)| (id.to_lowercase(), grade))
            .collect();
        let lists = self.lists.as_ref()?.open()?;
        let some = grades.values().any(|grade| *grade > 0);
        some.then_some(Question { lists, grades })
    }
}

/// What a question took on average.
fn mean(rows: &[Row]) -> Effort {
    let known = |of: fn(&Effort) -> Option<f64>| {
        let efforts = rows.iter().filter_map(|row| row.lists.as_ref());
        let values: Vec<f64> = efforts.filter_map(|lists| of(&lists.effort)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Effort {
        lexical_ms: known(|effort| effort.lexical_ms),
        vector_ms: known(|effort| effort.vector_ms),
        vector_usd_micros: known(|effort| effort.vector_usd_micros),
    }
}

impl Effort {
    fn of(&self, mode: Mode) -> trials::Effort {
        trials::Effort {
            latency_us: self.latency_us(mode),
            cost_pusd: self.cost_pusd(mode),
        }
    }

    /// How long a query takes, µs. Both lists of a hybrid one come from one statement: their sum is the most that it takes.
    fn latency_us(&self, mode: Mode) -> Option<i64> {
        let ms = match mode {
            Mode::Lexical => self.lexical_ms,
            Mode::Vector => self.vector_ms,
            Mode::Hybrid => Some(self.lexical_ms? + self.vector_ms?),
        };
        ms.map(|ms| (ms * 1_000.0) as i64)
    }

    /// What 1,000 queries cost, pico-USD.
    fn cost_pusd(&self, mode: Mode) -> i64 {
        match mode {
            Mode::Lexical => 0,
            _ => (self.vector_usd_micros.unwrap_or_default() * 1e9) as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::taken;

    /// Words find the document first, vectors last.
    fn rows(n: usize) -> Vec<Row> {
        let row = |i: usize| {
            let lists = json!({"documents": ["a", "b", "c"], "chunks": [0, 1, 2], "lexical": [[0, 9.0], [1, 8.0]],
                "vector": [[2, 0.9], [1, 0.8], [0, 0.1]],
                "effort": {"lexical_ms": 2.0, "vector_ms": 5.0, "vector_usd_micros": 3.0}});
            json!({"item_id": format!("i{i:03}"), "lists": lists, "relevant": ["A"]})
        };
        (0..n)
            .map(|i| serde_json::from_value(row(i)).expect("a row"))
            .collect()
    }

    #[test]
    fn the_planted_setting_wins_and_the_same_seed_says_so_again() {
        let taken = taken(json!({}), json!({"mode": "vector"}));
        let ending = conclude(&taken, &rows(30));
        let outcome = ending.outcome.clone().expect("an outcome");
        assert_eq!(outcome["verdict"], "gain");
        assert_eq!(outcome["settings"], json!({"mode": "lexical", "k": 10}));
        assert_eq!(outcome["winner"], 1);
        assert_eq!(
            outcome["questions"],
            json!({"search": 18, "verdict": 12, "left_out": 0})
        );
        // Nothing is faster, cheaper or better.
        assert_eq!(outcome["front"], json!([1]));
        assert_eq!(ending.trials.len(), 4);
        let (best, worst) = (&ending.trials[0], &ending.trials[3]);
        assert_eq!(best.scores, json!({"mean": 1.0, "questions": 18}));
        assert_eq!((best.latency_us, best.cost_pusd), (Some(2_000), 0));
        assert_eq!(worst.number, outcome["baseline"]);
        assert_eq!(
            (worst.latency_us, worst.cost_pusd),
            (Some(5_000), 3_000_000_000)
        );
        assert_eq!(conclude(&taken, &rows(30)), ending);
    }

    #[test]
    fn a_baseline_that_is_best_has_no_winner() {
        let taken = taken(json!({}), json!({"mode": "lexical"}));
        let ending = conclude(&taken, &rows(30));
        let outcome = ending.outcome.expect("an outcome");
        assert_eq!(outcome["verdict"], "no significant gain");
        assert_eq!(
            (&outcome["winner"], &outcome["settings"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn without_lists_it_fails_and_says_why() {
        let taken = taken(json!({}), Value::Null);
        let row = json!({"item_id": "i", "error": "forbidden: no", "relevant": ["a"]});
        let row: Row = serde_json::from_value(row).expect("a row");
        let ending = conclude(&taken, &[row]);
        assert!(ending.outcome.is_none() && ending.trials.is_empty());
        let error = ending.error.expect("an error");
        assert_eq!(
            error,
            json!({"kind": "nothing_retrieved", "message": "forbidden: no"})
        );
    }

    #[test]
    fn many_settings_are_halved() {
        let weights: Vec<Value> = (1..=49)
            .map(|i| json!({"lexical": i, "vector": 50}))
            .collect();
        let constants: Vec<usize> = (1..=3).collect();
        let space =
            json!({"weights": weights, "rrf_k": constants, "mode": ["hybrid"], "fusion": ["rrf"]});
        let taken = taken(space, Value::Null);
        let ending = conclude(&taken, &rows(150));
        let outcome = ending.outcome.expect("an outcome");
        assert!(
            outcome["rounds"]
                .as_array()
                .is_some_and(|rounds| rounds.len() > 1)
        );
        assert!(ending.trials.windows(2).all(|two| {
            let asked = |trial: &Trial<Setting>| trial.scores["questions"].as_u64();
            asked(&two[0]) >= asked(&two[1])
        }));
    }
}
