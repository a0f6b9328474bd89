//! Settings of a search, and spaces of them. Names are those of the search itself and of `settings.search` of a knowledge base.

use std::collections::BTreeSet;

use nodeai_http::Checker;
use nodeai_knowledge::rank::{Fusion, How, Mode, Weights, usual_candidates};
use nodeai_knowledge::settings::Search;
use nodeai_rag::fusion::RRF_K;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most combinations of a space.
pub const MOST_SETTINGS: usize = 500;
/// Results when nobody says how many.
const TEN: usize = 10;
/// Most values of one dimension.
const MOST_VALUES: usize = 50;

/// A setting of which parts may be left out: they are as the base's search settings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// By words, by meaning, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How the two lists of `hybrid` become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// How much each list counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// The constant of reciprocal rank fusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rrf_k: Option<f64>,
    /// How many results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
}

/// A setting; what has no meaning in its mode is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// By words, by meaning, or both.
    pub mode: Mode,
    /// How the two lists of `hybrid` become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// How much each list counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// The constant of reciprocal rank fusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rrf_k: Option<f64>,
    /// How many results.
    pub k: usize,
}

/// What is tried: every combination. What is left out of `fusion`, `weights`, `rrf_k` and `k` is as the base's search settings say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// `lexical`, `vector`, `hybrid`; all that the base can do unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mode: Vec<Mode>,
    /// `rrf`, `weighted`; both unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fusion: Vec<Fusion>,
    /// Weights, each from 0 to 100, of which one is above 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<Weights>,
    /// Constants of reciprocal rank fusion, 1 to 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rrf_k: Vec<f64>,
    /// Numbers of results, 1 to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub k: Vec<usize>,
}

impl Setting {
    /// The setting that `given` is in a base.
    pub fn of(given: Given, usual: &Search, vectors: bool) -> Self {
        let mode = given.mode.or(usual.mode).unwrap_or_default();
        let mode = if vectors { mode } else { Mode::Lexical };
        let hybrid = mode == Mode::Hybrid;
        let fusion = given.fusion.or(usual.fusion).unwrap_or_default();
        let rrf = hybrid && fusion == Fusion::Rrf;
        Self {
            mode,
            fusion: hybrid.then_some(fusion),
            weights: hybrid.then(|| given.weights.or(usual.weights).unwrap_or_default()),
            rrf_k: rrf.then(|| given.rrf_k.or(usual.rrf_k).unwrap_or(RRF_K)),
            k: given.k.or(usual.k).unwrap_or(TEN),
        }
    }

    /// How it makes one list of two.
    pub fn how(&self) -> How {
        How {
            mode: self.mode,
            fusion: self.fusion.unwrap_or_default(),
            weights: self.weights.unwrap_or_default(),
            rrf_k: self.rrf_k,
        }
    }

    /// How long each list is in the search.
    pub fn candidates(&self) -> usize {
        usual_candidates(self.k)
    }

    /// Whether two settings come to the same: weights that are multiples of each other do.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        self.meaning() == other.meaning()
    }

    fn meaning(&self) -> String {
        let share = self
            .weights
            .map(|w| format!("{:.9}", w.lexical / (w.lexical + w.vector)));
        let (mode, fusion) = (self.mode, self.fusion);
        format!("{mode:?} {fusion:?} {share:?} {:?} {}", self.rrf_k, self.k)
    }
}

/// The values, or one that is left to the base.
fn some<T: Copy>(values: &[T]) -> Vec<Option<T>> {
    match values.is_empty() {
        true => vec![None],
        false => values.iter().copied().map(Some).collect(),
    }
}

impl Space {
    /// How many combinations there are, those included that come to the same.
    pub fn size(&self) -> usize {
        let modes = if self.mode.is_empty() {
            3
        } else {
            self.mode.len()
        };
        let fusions = if self.fusion.is_empty() {
            2
        } else {
            self.fusion.len()
        };
        let others = [self.weights.len(), self.rrf_k.len(), self.k.len()];
        let others = others.map(|n| n.max(1));
        others
            .into_iter()
            .fold(modes * fusions, usize::saturating_mul)
    }

    /// Whether it asks for vectors by name.
    pub fn needs_vectors(&self) -> bool {
        self.mode.iter().any(|mode| *mode != Mode::Lexical)
    }

    /// All settings, each once, always in the same order.
    pub fn settings(&self, usual: &Search, vectors: bool) -> Vec<Setting> {
        let modes = match (self.mode.is_empty(), vectors) {
            (false, _) => self.mode.clone(),
            (true, true) => vec![Mode::Lexical, Mode::Vector, Mode::Hybrid],
            (true, false) => vec![Mode::Lexical],
        };
        let fusions = match self.fusion.is_empty() {
            true => vec![Fusion::Rrf, Fusion::Weighted],
            false => self.fusion.clone(),
        };
        let mut all = Vec::new();
        for mode in modes {
            for fusion in &fusions {
                for weights in some(&self.weights) {
                    for rrf_k in some(&self.rrf_k) {
                        for k in some(&self.k) {
                            let given = Given {
                                mode: Some(mode),
                                fusion: Some(*fusion),
                                weights,
                                rrf_k,
                                k,
                            };
                            all.push(Setting::of(given, usual, vectors));
                        }
                    }
                }
            }
        }
        let mut seen = BTreeSet::new();
        all.retain(|setting: &Setting| seen.insert(setting.meaning()));
        all
    }

    /// Reports what is wrong with it.
    pub fn check(&self, c: &mut Checker, at: &str) {
        let lists = [
            ("mode", self.mode.len()),
            ("fusion", self.fusion.len()),
            ("weights", self.weights.len()),
            ("rrf_k", self.rrf_k.len()),
            ("k", self.k.len()),
        ];
        for (name, values) in lists {
            let pointer = format!("{at}/{name}");
            c.require(values <= MOST_VALUES, &pointer, "too_many", "at most 50");
        }
        let few = self.size() <= MOST_SETTINGS;
        c.require(few, at, "too_many", "at most 500 combinations");
        for (i, weights) in self.weights.iter().enumerate() {
            check_weights(c, weights, &format!("{at}/weights/{i}"));
        }
        for (i, constant) in self.rrf_k.iter().enumerate() {
            check_constant(c, *constant, &format!("{at}/rrf_k/{i}"));
        }
        for (i, k) in self.k.iter().enumerate() {
            check_k(c, *k, &format!("{at}/k/{i}"));
        }
    }
}

impl Given {
    /// Reports what is wrong with it.
    pub fn check(&self, c: &mut Checker, at: &str) {
        if let Some(weights) = &self.weights {
            check_weights(c, weights, &format!("{at}/weights"));
        }
        if let Some(constant) = self.rrf_k {
            check_constant(c, constant, &format!("{at}/rrf_k"));
        }
        if let Some(k) = self.k {
            check_k(c, k, &format!("{at}/k"));
        }
    }
}

fn check_weights(c: &mut Checker, weights: &Weights, at: &str) {
    for fault in weights.faults(at) {
        c.require(false, &fault.pointer, fault.code, &fault.detail);
    }
    let counts = weights.lexical + weights.vector > 0.0;
    c.require(counts, at, "out_of_range", "one of them must be above 0");
}

fn check_constant(c: &mut Checker, constant: f64, at: &str) {
    let fits = (1.0..=10_000.0).contains(&constant);
    c.require(fits, at, "out_of_range", "1 to 10000");
}

fn check_k(c: &mut Checker, k: usize, at: &str) {
    let fits = (1..=100).contains(&k);
    c.require(fits, at, "out_of_range", "1 to 100");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn space(given: Value) -> Space {
        serde_json::from_value(given).expect("a space")
    }

    #[test]
    fn settings_that_come_to_the_same_are_tried_once() {
        let space = space(
            json!({"weights": [{}, {"lexical": 2, "vector": 2}, {"vector": 3}], "rrf_k": [10, 60], "k": [5]}),
        );
        assert_eq!(space.size(), 36);
        // Lexical, vector, and hybrid by two weights: two constants of RRF and a weighted sum.
        assert_eq!(space.settings(&Search::default(), true).len(), 2 + 2 * 3);
        assert_eq!(space.settings(&Search::default(), false).len(), 1);
    }

    #[test]
    fn what_is_left_out_is_as_the_base_says() {
        let usual = Search {
            mode: Some(Mode::Vector),
            k: Some(7),
            ..Search::default()
        };
        let made = Setting::of(Given::default(), &usual, true);
        assert_eq!(json!(made), json!({"mode": "vector", "k": 7}));
        let made = Setting::of(Given::default(), &Search::default(), true);
        let whole = json!({"mode": "hybrid", "fusion": "rrf", "weights": {"lexical": 1.0, "vector": 1.0}, "rrf_k": 60.0, "k": 10});
        assert_eq!(json!(made), whole);
        // Which the base's settings take as they are.
        let search: Search = serde_json::from_value(whole).expect("search settings");
        assert_eq!(Setting::of(Given::default(), &search, true), made);
    }

    #[test]
    fn each_wrong_value_is_named() {
        let mut c = Checker::default();
        let wrong =
            json!({"weights": [{}, {"lexical": 0, "vector": 0}], "rrf_k": [0.5], "k": [10, 0]});
        space(wrong).check(&mut c, "/space");
        let faults = c.finish().expect_err("faults");
        let text = format!("{faults:?}");
        for pointer in ["/space/weights/1", "/space/rrf_k/0", "/space/k/1"] {
            assert!(text.contains(pointer), "{pointer} in {text}");
        }
    }
}
