//! Cuts where the meaning turns: between two sentences whose vectors are further apart than most neighbours of the text are.
//!
//! The rule is that of LangChain's `SemanticChunker` and LlamaIndex's `SemanticSplitterNodeParser` (after G. Kamradt, "5 levels of text
//! splitting", 2024): each sentence is embedded together with one neighbour on each side, distances are `1 − cosine` of what follows
//! each other, and those above a percentile of all are where to cut. Whoever has a model gives the vectors; this has no I/O.

use super::{Chunk, Part, in_characters, pieces};
use crate::settings::Chunking;
use crate::vector::cosine;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Most sentences of a document that are looked at one by one.
pub const MOST_SENTENCES: usize = 20_000;

/// The sentences of a text.
pub struct Sentences<'a> {
    text: &'a str,
    places: Vec<Range<usize>>,
}

impl<'a> Sentences<'a> {
    /// Finds them, by Unicode's rules (UAX #29).
    pub fn of(text: &'a str) -> Self {
        let bounds = text.split_sentence_bound_indices();
        let places = bounds.filter_map(|(at, part)| pieces::trimmed(text, at..at + part.len()));
        Self {
            text,
            places: places.collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// What to embed: each sentence with its neighbours, as the text has them. Empty where there is nothing to compare.
    pub fn contexts(&self) -> Vec<&'a str> {
        if self.places.len() < 2 {
            return Vec::new();
        }
        let last = self.places.len() - 1;
        let context = |i: usize| {
            let from = self.places[i.saturating_sub(1)].start;
            &self.text[from..self.places[(i + 1).min(last)].end]
        };
        (0..=last).map(context).collect()
    }

    /// Chunks, by a vector for each of [`Sentences::contexts`]. What is longer than `size` is cut on as `recursive` would.
    pub fn split(&self, vectors: &[Vec<f32>], how: &Chunking) -> Vec<Chunk> {
        let distances: Vec<f64> = vectors
            .windows(2)
            .map(|pair| 1.0 - cosine(&pair[0], &pair[1]))
            .collect();
        let limit = percentile(&distances, how.breakpoint);
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (i, place) in self.places.iter().enumerate() {
            let turned = i == 0 || distances.get(i - 1).is_some_and(|far| *far > limit);
            match groups.last_mut() {
                Some(group) if !turned => group.end = place.end,
                _ => groups.push(place.clone()),
            }
        }
        let parts = groups.into_iter().flat_map(|group| {
            let small = pieces::pieces(self.text, group, how.unit, how.size);
            pieces::merge(self.text, &small, how.unit, how.size, how.overlap)
        });
        let part = |place| Part {
            place,
            parent: None,
            headings: Vec::new(),
        };
        in_characters(self.text, parts.map(part).collect())
    }
}

/// A percentile between the two nearest values, as NumPy's `percentile` has it; infinite for no values.
fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::INFINITY;
    };
    let at = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let low = at.floor();
    let (a, b) = (sorted[low as usize], sorted[(low as usize + 1).min(last)]);
    a + (b - a) * (at - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(breakpoint: f64) -> Chunking {
        Chunking {
            breakpoint,
            ..Chunking::default()
        }
    }

    /// What the text has at a chunk's place.
    fn at(text: &str, chunk: &Chunk) -> String {
        let characters = text.chars().skip(chunk.place.start);
        characters.take(chunk.place.len()).collect()
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([1, 2, 3, 4, 10], [0, 50, 90, 95, 100])
        let values = [4.0, 1.0, 10.0, 2.0, 3.0];
        for (percent, wanted) in [
            (0.0, 1.0),
            (50.0, 3.0),
            (90.0, 7.6),
            (95.0, 8.8),
            (100.0, 10.0),
        ] {
            assert!(
                (percentile(&values, percent) - wanted).abs() < 1e-9,
                "{percent}"
            );
        }
        assert_eq!(percentile(&[], 95.0), f64::INFINITY);
    }

    #[test]
    fn a_turn_of_the_meaning_is_a_cut_and_places_are_exact() {
        let text = "Wale singen. Wale tauchen tief.  Sie atmen Luft. Äpfel sind rot. Birnen sind grün. Beides ist Obst.";
        let sentences = Sentences::of(text);
        assert_eq!(sentences.count(), 6);
        assert_eq!(sentences.contexts()[0], "Wale singen. Wale tauchen tief.");
        assert_eq!(sentences.contexts().len(), 6);
        let (sea, fruit) = (vec![1.0, 0.1], vec![0.1, 1.0]);
        let vectors = [&sea, &sea, &sea, &fruit, &fruit, &fruit].map(Clone::clone);
        let chunks = sentences.split(&vectors, &how(80.0));
        let texts: Vec<&str> = chunks.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Wale singen. Wale tauchen tief.  Sie atmen Luft.",
                "Äpfel sind rot. Birnen sind grün. Beides ist Obst."
            ]
        );
        for chunk in &chunks {
            assert_eq!(at(text, chunk), chunk.text);
        }
    }

    #[test]
    fn a_higher_percentile_cuts_less() {
        let text = "A a. B b. C c. D d. E e.";
        let sentences = Sentences::of(text);
        let turned = |degrees: f32| vec![degrees.to_radians().cos(), degrees.to_radians().sin()];
        let vectors = [0.0, 10.0, 50.0, 55.0, 85.0].map(turned);
        // Distances grow with the angles 10, 40, 5, 30.
        let count = |percent| sentences.split(&vectors, &how(percent)).len();
        assert_eq!(
            (count(0.0), count(50.0), count(90.0), count(100.0)),
            (4, 3, 2, 1)
        );
    }

    #[test]
    fn what_is_too_long_is_cut_on_and_what_is_alone_stays_whole() {
        let long = "word ".repeat(100);
        let small = Chunking {
            size: 60,
            overlap: 0,
            ..how(95.0)
        };
        let chunks = Sentences::of(&long).split(&[], &small);
        assert!(chunks.len() > 5);
        assert!(
            chunks
                .iter()
                .all(|c| c.text.chars().count() <= 60 && at(&long, c) == c.text)
        );
        assert!(Sentences::of("One.").contexts().is_empty());
        assert_eq!(Sentences::of("One.").split(&[], &how(95.0))[0].text, "One.");
        assert!(Sentences::of("  \n ").split(&[], &how(95.0)).is_empty());
    }
}
