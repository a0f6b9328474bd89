//! Lists of candidates as an experiment keeps them: chunks and documents are numbered, texts are left out.

use std::collections::{BTreeMap, BTreeSet};

use nodeai_knowledge::rank::{Mode, ranked};
use nodeai_rag::metrics::Hit;
use serde::{Deserialize, Serialize};

use super::space::Setting;

/// A candidate: chunk, document, score.
pub type Candidate = (String, String, f64);

/// What was found for one question. Lists are best first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lists {
    /// The documents of all candidates.
    pub documents: Vec<String>,
    /// The document of each chunk, by its place in `documents`. Chunks are in the order of their ids, which decides between equal
    /// scores.
    pub chunks: Vec<usize>,
    /// By words: places in `chunks`, with scores.
    pub lexical: Vec<(usize, f64)>,
    /// By vectors.
    pub vector: Vec<(usize, f64)>,
    /// How long the searches took, and what they cost.
    #[serde(default)]
    pub effort: Effort,
}

/// What searching took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// By words, milliseconds.
    #[serde(default)]
    pub lexical_ms: Option<f64>,
    /// By vectors, with the question's own, milliseconds.
    #[serde(default)]
    pub vector_ms: Option<f64>,
    /// The question's vector, micro-USD.
    #[serde(default)]
    pub vector_usd_micros: Option<f64>,
}

impl Lists {
    /// Numbers what was found.
    pub fn of(lexical: &[Candidate], vector: &[Candidate], effort: Effort) -> Self {
        let both = || lexical.iter().chain(vector);
        let documents: Vec<String> = both()
            .map(|(_, document, _)| document.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let place = |document: &String| documents.binary_search(document).unwrap_or_default();
        let chunks: BTreeMap<&String, usize> = both()
            .map(|(chunk, document, _)| (chunk, place(document)))
            .collect();
        let numbers: BTreeMap<&String, usize> = chunks.keys().copied().zip(0..).collect();
        let numbered = |list: &[Candidate]| {
            let list = list.iter();
            list.map(|(chunk, _, score)| (numbers[chunk], *score))
                .collect()
        };
        Self {
            lexical: numbered(lexical),
            vector: numbered(vector),
            chunks: chunks.into_values().collect(),
            effort,
            documents,
        }
    }

    /// Ready to be ranked many times. None when numbers lead nowhere.
    pub fn open(&self) -> Option<Opened> {
        let numbers = self.lexical.iter().chain(&self.vector);
        let known = numbers.into_iter().all(|(n, _)| *n < self.chunks.len())
            && self.chunks.iter().all(|n| *n < self.documents.len());
        // Texts of equal length are in the order of their numbers.
        let named = |list: &[(usize, f64)]| {
            let list = list.iter();
            list.map(|(n, score)| (format!("{n:04}"), *score)).collect()
        };
        known.then(|| Opened {
            lexical: named(&self.lexical),
            vector: named(&self.vector),
            chunks: self.chunks.clone(),
            documents: self.documents.clone(),
        })
    }
}

/// Lists as the search has them.
#[derive(Debug, Clone)]
pub struct Opened {
    lexical: Vec<(String, f64)>,
    vector: Vec<(String, f64)>,
    chunks: Vec<usize>,
    documents: Vec<String>,
}

impl Opened {
    /// The documents that a search with this setting gives, best first, each where its best chunk is. Scores say the order alone.
    pub fn documents(&self, setting: &Setting) -> Vec<Hit> {
        let most = setting.candidates();
        let list = |list: &'_ [(String, f64)], without: Mode| match setting.mode == without {
            true => 0,
            false => list.len().min(most),
        };
        let lexical = &self.lexical[..list(&self.lexical, Mode::Vector)];
        let vector = &self.vector[..list(&self.vector, Mode::Lexical)];
        let chunks = ranked(lexical, vector, setting.how());
        let mut seen = BTreeSet::new();
        let documents = chunks.iter().take(setting.k).filter_map(|(chunk, _)| {
            let document = *self.chunks.get(chunk.parse::<usize>().ok()?)?;
            seen.insert(document).then_some(document)
        });
        let documents = documents.enumerate().map(|(at, document)| Hit {
            id: self.documents[document].clone(),
            score: -(at as f64),
        });
        documents.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::space::Given;
    use nodeai_knowledge::settings::Search;

    fn list(rows: &[(&str, &str, f64)]) -> Vec<Candidate> {
        let row = |(c, d, s): &(&str, &str, f64)| ((*c).to_owned(), (*d).to_owned(), *s);
        rows.iter().map(row).collect()
    }

    fn found(lists: &Lists, mode: Mode, k: usize) -> Vec<String> {
        let given = Given {
            mode: Some(mode),
            k: Some(k),
            ..Given::default()
        };
        let setting = Setting::of(given, &Search::default(), true);
        let hits = lists.open().expect("lists").documents(&setting);
        assert!(hits.windows(2).all(|two| two[0].score > two[1].score));
        hits.into_iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn documents_are_where_their_best_chunk_is() {
        let lexical = list(&[("c9", "d1", 5.0), ("c1", "d1", 4.0), ("c5", "d2", 3.0)]);
        let vector = list(&[("c5", "d2", 0.9), ("c7", "d3", 0.8)]);
        let lists = Lists::of(&lexical, &vector, Effort::default());
        assert_eq!(lists.documents, ["d1", "d2", "d3"]);
        assert_eq!(lists.chunks, [0, 1, 2, 0]);
        assert_eq!(found(&lists, Mode::Lexical, 10), ["d1", "d2"]);
        // Two results are two chunks of one document.
        assert_eq!(found(&lists, Mode::Lexical, 2), ["d1"]);
        assert_eq!(found(&lists, Mode::Vector, 10), ["d2", "d3"]);
        assert_eq!(found(&lists, Mode::Hybrid, 10), ["d2", "d1", "d3"]);
    }

    #[test]
    fn equal_scores_are_in_the_order_of_chunks_as_in_the_search() {
        let lists = Lists::of(
            &list(&[("b", "d2", 1.0)]),
            &list(&[("a", "d1", 1.0)]),
            Effort::default(),
        );
        assert_eq!(found(&lists, Mode::Hybrid, 1), ["d1"]);
    }

    #[test]
    fn numbers_that_lead_nowhere_are_no_panic() {
        let broken = Lists {
            lexical: vec![(3, 1.0)],
            ..Lists::default()
        };
        assert!(broken.open().is_none());
    }
}
