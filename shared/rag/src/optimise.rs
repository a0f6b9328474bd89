//! The search for a better setting: successive halving over shared questions (K. Jamieson, A. Talwalkar, AISTATS 2016) on one part
//! of them, and a verdict on the other part, which the search has not seen. A setting wins only if it beats the baseline beyond
//! what chance makes: by its paired bootstrap interval and by Holm's correction over all finalists.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::stats::{Comparison, compare, holm};

/// Which of so many settings survive a round.
const KEPT: usize = 3;
/// Settings that are held against the baseline.
const FINALISTS: usize = 3;
/// The error that is allowed over all finalists.
const ALPHA: f64 = 0.05;

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// How many settings there are.
    pub settings: usize,
    /// How many questions there are.
    pub questions: usize,
    /// The setting that is in use.
    pub baseline: usize,
    /// Questions of the first round; all that the search may see at once when none.
    pub first: Option<usize>,
    /// The same seed asks the same questions.
    pub seed: u64,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// Questions that every setting of the round has answered by its end.
    pub questions: usize,
    /// The settings that went on, best first.
    pub kept: Vec<usize>,
}

/// A finalist against the baseline on questions that the search has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finalist {
    /// The setting.
    pub setting: usize,
    /// Its difference to the baseline.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// p by Holm over the finalists; none where there are too few questions.
    pub p_holm: Option<f64>,
}

impl Finalist {
    fn is_better(&self) -> bool {
        let above = self.comparison.interval.is_some_and(|(low, _)| low > 0.0);
        above && self.p_holm.is_some_and(|p| p < ALPHA)
    }
}

/// How a setting did in the search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// The mean of its scores; 0 when it was asked nothing.
    pub mean: f64,
    /// Questions that it was asked.
    pub questions: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The setting that is really better; none when no gain is significant.
    pub winner: Option<usize>,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// The finalists, best first.
    pub finalists: Vec<Finalist>,
    /// Each setting on the questions of the search. Means of as many questions can be compared: they are the same ones.
    pub tried: Vec<Tried>,
    /// Answers that were scored. All settings on all questions would be `settings × questions`.
    pub evaluations: usize,
    /// Questions of the search, and of the verdict.
    pub questions: (usize, usize),
}

/// A score that is known. The inner one is none where nobody could judge: such an answer counts in no mean, and its question in no
/// comparison.
pub type Known = Option<Option<f64>>;

/// Which part of the questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Those that the search sees.
    Search,
    /// Those that the verdict is made of.
    Verdict,
}

/// Scores that a search needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The setting.
    pub setting: usize,
    /// The questions, in their order.
    pub questions: Vec<usize>,
    /// Of which part they are: all of one request are of the same.
    pub part: Part,
}

/// Where a search stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Without these it cannot go on.
    Ask(Vec<Asked>),
    /// It has ended.
    Done(Box<Outcome>),
}

/// The questions in the order in which a search takes them: three fifths to search, two fifths to judge.
fn parts(of: Search) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..of.questions).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(of.seed));
    let judged = order.split_off((of.questions * 3).div_ceil(5));
    (order, judged)
}

/// Scores that are known, by setting and question.
struct Table<'a> {
    known: &'a [Vec<Known>],
}

impl Table<'_> {
    /// What is missing of these questions, if anything is.
    fn missing(&self, settings: &[usize], questions: &[usize], part: Part) -> Option<Next> {
        let lacks = |setting: &usize| {
            let questions = questions.iter().copied();
            let questions = questions.filter(|q| self.known[*setting][*q].is_none());
            Asked {
                setting: *setting,
                questions: questions.collect(),
                part,
            }
        };
        let asked: Vec<Asked> = settings
            .iter()
            .map(lacks)
            .filter(|asked| !asked.questions.is_empty())
            .collect();
        (!asked.is_empty()).then_some(Next::Ask(asked))
    }

    fn score(&self, setting: usize, question: usize) -> Option<f64> {
        let score = self.known[setting][question].flatten();
        score.filter(|score| score.is_finite())
    }

    /// What is known of a setting on these questions.
    fn tried(&self, setting: usize, questions: &[usize]) -> Tried {
        let scores = questions.iter().filter_map(|q| self.score(setting, *q));
        let scores: Vec<f64> = scores.collect();
        Tried {
            mean: scores.iter().sum::<f64>() / scores.len().max(1) as f64,
            questions: scores.len(),
        }
    }

    /// The settings, the best first.
    fn ranked(&self, settings: &[usize], questions: &[usize]) -> Vec<usize> {
        let tried = settings.iter().map(|s| (self.tried(*s, questions), *s));
        let mut ranked: Vec<(Tried, usize)> = tried.collect();
        // One that nobody could judge is behind all others, whatever their scores are.
        ranked.sort_by(|(a, s), (b, t)| {
            let judged = (b.questions > 0).cmp(&(a.questions > 0));
            judged.then(b.mean.total_cmp(&a.mean)).then(s.cmp(t))
        });
        ranked.into_iter().map(|(_, setting)| setting).collect()
    }
}

/// Goes on with a search as far as `known` reaches, by setting and question. The same search over the same scores asks for the same.
pub fn next(of: Search, known: &[Vec<Known>]) -> Next {
    let (searched, judged) = parts(of);
    let table = Table { known };
    let (mut alive, mut rounds) = ((0..of.settings).collect::<Vec<_>>(), Vec::new());
    let mut seen = of
        .first
        .unwrap_or(searched.len())
        .clamp(1, searched.len().max(1));
    loop {
        let asked = &searched[..seen.min(searched.len())];
        if let Some(missing) = table.missing(&alive, asked, Part::Search) {
            return missing;
        }
        let last = seen >= searched.len();
        let keep = match last {
            true => FINALISTS,
            false => alive.len().div_ceil(KEPT).max(FINALISTS),
        };
        alive = table.ranked(&alive, asked);
        alive.truncate(keep);
        rounds.push(Round {
            questions: asked.len(),
            kept: alive.clone(),
        });
        if last {
            break;
        }
        // With finalists alone, more questions of the search change nothing but their order.
        seen = match alive.len() <= FINALISTS {
            true => searched.len(),
            false => seen * KEPT,
        };
    }
    let mut held: Vec<usize> = alive
        .iter()
        .copied()
        .filter(|s| *s != of.baseline)
        .collect();
    held.insert(0, of.baseline);
    if let Some(missing) = table.missing(&held, &judged, Part::Verdict) {
        return missing;
    }
    let finalists = verdict(&table, &held, of, &judged);
    let winner = finalists.iter().find(|one| one.is_better());
    Next::Done(Box::new(Outcome {
        winner: winner.map(|one| one.setting),
        rounds,
        finalists,
        tried: (0..of.settings)
            .map(|s| table.tried(s, &searched))
            .collect(),
        evaluations: known.iter().flatten().flatten().count(),
        questions: (searched.len(), judged.len()),
    }))
}

/// Searches. `evaluate` gives the score of a setting on a question, or none where it could not be judged; it is asked once at
/// most for each pair.
pub fn search(of: Search, mut evaluate: impl FnMut(usize, usize) -> Option<f64>) -> Outcome {
    let mut known = vec![vec![None; of.questions]; of.settings];
    loop {
        match next(of, &known) {
            Next::Done(outcome) => return *outcome,
            Next::Ask(asked) => {
                for one in asked {
                    for question in one.questions {
                        known[one.setting][question] = Some(evaluate(one.setting, question));
                    }
                }
            }
        }
    }
}

/// Holds finalists against the baseline, the first of `held`, on the questions on which both have a score.
fn verdict(table: &Table<'_>, held: &[usize], of: Search, judged: &[usize]) -> Vec<Finalist> {
    let Some((baseline, rivals)) = held.split_first() else {
        return Vec::new();
    };
    let against = |setting: &usize| {
        let pairs = judged
            .iter()
            .filter_map(|q| Some((table.score(*baseline, *q)?, table.score(*setting, *q)?)));
        let (first, second): (Vec<f64>, Vec<f64>) = pairs.unzip();
        Finalist {
            setting: *setting,
            comparison: compare(&first, &second, of.seed),
            p_holm: None,
        }
    };
    let mut finalists: Vec<Finalist> = rivals.iter().map(against).collect();
    let p: Option<Vec<f64>> = finalists.iter().map(|one| one.comparison.p).collect();
    for (one, corrected) in finalists
        .iter_mut()
        .zip(p.map(|p| holm(&p)).unwrap_or_default())
    {
        one.p_holm = Some(corrected);
    }
    finalists.sort_by(|a, b| b.comparison.difference.total_cmp(&a.comparison.difference));
    finalists
}

/// Which points no other one beats: better or equal in quality, latency and cost, and better in one of them.
pub fn pareto(points: &[(f64, f64, f64)]) -> Vec<usize> {
    let beats = |a: &(f64, f64, f64), b: &(f64, f64, f64)| {
        a.0 >= b.0 && a.1 <= b.1 && a.2 <= b.2 && (a.0 > b.0 || a.1 < b.1 || a.2 < b.2)
    };
    let unbeaten = |at: &usize| !points.iter().any(|other| beats(other, &points[*at]));
    (0..points.len()).filter(unbeaten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    const SETTINGS: usize = 64;
    const QUESTIONS: usize = 250;

    /// Questions of different difficulty, noise on each answer, and one setting that is better by `gain`.
    fn problem(seed: u64, best: usize, gain: f64) -> impl FnMut(usize, usize) -> Option<f64> {
        move |setting, question| {
            let mut easy = ChaCha8Rng::seed_from_u64(seed * 1_000_003 + question as u64);
            let place = (setting * QUESTIONS + question) as u64;
            let mut noise = ChaCha8Rng::seed_from_u64(seed * 7_000_003 + place + 1_000_000);
            let more = if setting == best { gain } else { 0.0 };
            let score: f64 = easy.random::<f64>() * 0.5 + noise.random::<f64>() * 0.4 + more;
            Some(score.clamp(0.0, 1.0))
        }
    }

    fn of(seed: u64) -> Search {
        Search {
            settings: SETTINGS,
            questions: QUESTIONS,
            baseline: 0,
            first: Some(9),
            seed,
        }
    }

    #[test]
    fn a_planted_best_setting_is_found_at_a_quarter_of_the_cost() {
        let mut found = 0;
        for seed in 0..100 {
            let best = 1 + (seed as usize * 37) % (SETTINGS - 1);
            let outcome = search(of(seed), problem(seed, best, 0.12));
            assert!(
                outcome.evaluations * 4 <= SETTINGS * QUESTIONS,
                "{}",
                outcome.evaluations
            );
            found += usize::from(outcome.winner == Some(best));
        }
        assert!(found >= 95, "found in {found} of 100");
    }

    #[test]
    fn without_a_difference_no_gain_is_claimed() {
        let claims = (0..100).filter(|seed| {
            let outcome = search(of(*seed), problem(*seed, SETTINGS, 0.0));
            outcome.winner.is_some()
        });
        let claims = claims.count();
        assert!(claims <= 5, "claimed {claims} of 100 times");
    }

    #[test]
    fn the_same_seed_asks_the_same_questions_and_none_twice() {
        let mut asked = std::collections::BTreeSet::new();
        let mut twice = 0;
        let mut inner = problem(3, 5, 0.1);
        let first = search(of(3), |setting, question| {
            twice += usize::from(!asked.insert((setting, question)));
            inner(setting, question)
        });
        assert_eq!((twice, asked.len()), (0, first.evaluations));
        assert_eq!(first, search(of(3), problem(3, 5, 0.1)));
    }

    #[test]
    fn each_setting_keeps_what_it_came_to() {
        let outcome = search(of(3), problem(3, 5, 0.12));
        let (asked, tried) = (outcome.questions.0, &outcome.tried);
        assert_eq!(tried.len(), SETTINGS);
        assert!(tried.iter().all(|one| (9..=asked).contains(&one.questions)));
        let last = outcome.rounds.last().expect("a round");
        assert!(last.kept.iter().all(|s| tried[*s].questions == asked));
        let best = last.kept[0];
        let all = tried.iter().filter(|one| one.questions == asked);
        assert!(all.into_iter().all(|one| one.mean <= tried[best].mean));
    }

    #[test]
    fn few_questions_and_few_settings_are_no_panic() {
        for (settings, questions) in [(1, 1), (2, 1), (3, 2), (1, 0), (5, 3)] {
            let of = Search {
                settings,
                questions,
                baseline: 0,
                first: None,
                seed: 1,
            };
            assert_eq!(search(of, |_, _| None).winner, None);
        }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [
            (0.9, 100.0, 5.0),
            (0.8, 50.0, 5.0),
            (0.8, 60.0, 6.0),
            (0.9, 100.0, 5.0),
        ];
        assert_eq!(pareto(&points), [0, 1, 3]);
    }
}
