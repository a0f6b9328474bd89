//! Experiments with the search settings of a knowledge base. Each question is searched once by words and once by vectors, with long
//! lists ([`batch`]); what is kept of them ([`lists`]) is enough to try every setting ([`space`]) as the search itself would do it, and
//! to say which one is really better ([`outcome`]). The same lists and the same seed give the same verdict.

pub mod batch;
pub mod lists;
pub mod outcome;
pub mod space;

use nodeai_knowledge::rank::Mode;
use nodeai_knowledge::settings::Search;
use serde::Deserialize;

use space::{Given, Setting, Space};

/// An experiment that was taken up.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org_id: String,
    /// What fences whoever has lost the lease.
    pub lease_token: i64,
    /// What is searched.
    pub knowledge_base_id: String,
    /// In which of its indexes.
    pub index: i64,
    /// Whether that has vectors.
    pub vectors: bool,
    /// How many candidates each list has.
    pub depth: usize,
    /// What is tried.
    pub search_space: Space,
    /// What it is held against; the base's own search when none.
    #[serde(default)]
    pub baseline: Option<Given>,
    /// Search settings of the base when the experiment was made.
    #[serde(default)]
    pub base_search: Search,
    /// By which metric.
    pub metric: String,
    /// The same seed gives the same verdict.
    pub seed: u64,
}

impl Taken {
    /// All settings, each once; the first is the one that the others are held against.
    pub fn settings(&self) -> Vec<Setting> {
        let given = self.baseline.unwrap_or_default();
        let baseline = Setting::of(given, &self.base_search, self.vectors);
        let others = self.search_space.settings(&self.base_search, self.vectors);
        let others = others
            .into_iter()
            .filter(|other| !other.is_the_same_as(&baseline));
        std::iter::once(baseline).chain(others).collect()
    }

    /// Whether lists by words are needed, and lists by vectors.
    fn needs(&self) -> (bool, bool) {
        let settings = self.settings();
        let some = |without: Mode| settings.iter().any(|one| one.mode != without);
        (some(Mode::Vector), some(Mode::Lexical))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub fn taken(space: Value, baseline: Value) -> Taken {
        serde_json::from_value(json!({"id": "e", "org_id": "o", "lease_token": 1, "knowledge_base_id": "0195e5a0-0000-7000-8000-00000000000b", "index": 2,
            "vectors": true, "depth": 50, "search_space": space, "baseline": baseline, "base_search": {"k1": 1.2, "b": 0.75},
            "metric": "mrr", "seed": 1}))
        .expect("taken")
    }

    #[test]
    fn the_baseline_is_tried_once_and_first() {
        let taken = taken(
            json!({"mode": ["lexical", "hybrid"], "fusion": ["rrf"]}),
            Value::Null,
        );
        let settings = taken.settings();
        let modes: Vec<Mode> = settings.iter().map(|one| one.mode).collect();
        assert_eq!(modes, [Mode::Hybrid, Mode::Lexical]);
        assert_eq!(taken.needs(), (true, true));
    }

    #[test]
    fn what_no_setting_uses_is_not_searched() {
        let taken = taken(
            json!({"mode": ["lexical"], "k": [5, 10]}),
            json!({"mode": "lexical"}),
        );
        assert_eq!(taken.needs(), (true, false));
    }
}
