//! Texts into terms: words by UAX #29 in lower case, stems by Snowball, pairs of characters where a script has no blanks.

use rust_stemmers::{Algorithm, Stemmer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use unicode_segmentation::UnicodeSegmentation;

/// Longest term, bytes: what is longer is no word that anybody looks for.
const LONGEST: usize = 128;

/// Whose stems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Words as they are.
    #[default]
    None,
    /// Arabic.
    Arabic,
    /// Danish.
    Danish,
    /// Dutch.
    Dutch,
    /// English.
    English,
    /// Finnish.
    Finnish,
    /// French.
    French,
    /// German.
    German,
    /// Greek.
    Greek,
    /// Hungarian.
    Hungarian,
    /// Italian.
    Italian,
    /// Norwegian.
    Norwegian,
    /// Portuguese.
    Portuguese,
    /// Romanian.
    Romanian,
    /// Russian.
    Russian,
    /// Spanish.
    Spanish,
    /// Swedish.
    Swedish,
    /// Tamil.
    Tamil,
    /// Turkish.
    Turkish,
}

/// All languages with their names and stemmers.
const LANGUAGES: [(Language, &str, Option<Algorithm>); 19] = [
    (Language::None, "none", None),
    (Language::Arabic, "arabic", Some(Algorithm::Arabic)),
    (Language::Danish, "danish", Some(Algorithm::Danish)),
    (Language::Dutch, "dutch", Some(Algorithm::Dutch)),
    (Language::English, "english", Some(Algorithm::English)),
    (Language::Finnish, "finnish", Some(Algorithm::Finnish)),
    (Language::French, "french", Some(Algorithm::French)),
    (Language::German, "german", Some(Algorithm::German)),
    (Language::Greek, "greek", Some(Algorithm::Greek)),
    (Language::Hungarian, "hungarian", Some(Algorithm::Hungarian)),
    (Language::Italian, "italian", Some(Algorithm::Italian)),
    (Language::Norwegian, "norwegian", Some(Algorithm::Norwegian)),
    (
        Language::Portuguese,
        "portuguese",
        Some(Algorithm::Portuguese),
    ),
    (Language::Romanian, "romanian", Some(Algorithm::Romanian)),
    (Language::Russian, "russian", Some(Algorithm::Russian)),
    (Language::Spanish, "spanish", Some(Algorithm::Spanish)),
    (Language::Swedish, "swedish", Some(Algorithm::Swedish)),
    (Language::Tamil, "tamil", Some(Algorithm::Tamil)),
    (Language::Turkish, "turkish", Some(Algorithm::Turkish)),
];

/// The words that Lucene's English analyser leaves out.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// How texts become terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Analyser {
    /// Whose stems.
    pub language: Language,
    /// Whether English stop words are left out.
    pub stop_words: bool,
}

/// The terms of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// How often each is there.
    pub frequencies: BTreeMap<String, u32>,
    /// How many there are: BM25's length.
    pub length: u32,
}

impl Analyser {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = LANGUAGES.iter().map(|(language, ..)| Self {
            language: *language,
            stop_words: false,
        });
        plain.chain([Self {
            language: Language::English,
            stop_words: true,
        }])
    }

    /// Its name in an index's settings.
    pub fn name(self) -> String {
        let language = LANGUAGES.iter().find(|(one, ..)| *one == self.language);
        let name = language.map_or("none", |(_, name, _)| name);
        match self.stop_words {
            true => format!("{name}+stop"),
            false => name.to_owned(),
        }
    }

    /// The terms of a text.
    pub fn terms(self, text: &str) -> Terms {
        let algorithm = LANGUAGES.iter().find(|(one, ..)| *one == self.language);
        let stemmer = algorithm.and_then(|(.., algorithm)| algorithm.map(Stemmer::create));
        let mut terms = Terms::default();
        let mut add = |term: &str| {
            // jsonb and text hold no U+0000; no word has one.
            if !term.is_empty() && term.len() <= LONGEST {
                *terms.frequencies.entry(term.to_owned()).or_insert(0) += 1;
                terms.length += 1;
            }
        };
        each_word(text, |word| {
            let word = word.to_lowercase();
            if self.stop_words && STOP_WORDS.contains(&word.as_str()) {
                return;
            }
            match &stemmer {
                Some(stemmer) => add(&stemmer.stem(&word)),
                None => add(&word),
            }
        });
        terms
    }
}

/// A question's terms by every analyser that an index may have, so that whoever has the index's settings can choose: names of
/// analysers, and how often each term is there.
pub fn analyses(question: &str) -> BTreeMap<String, BTreeMap<String, u32>> {
    let made = Analyser::all().map(|one| (one.name(), one.terms(question).frequencies));
    made.collect()
}

/// Whether a script is written without blanks, so that a word says nothing: Han, kana, Thai, Lao, Khmer, Burmese.
pub fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF)
}

/// Words; runs of a script without blanks as pairs of characters that overlap (a single one as itself), as Lucene's CJK
/// analyser has them.
fn each_word(text: &str, mut give: impl FnMut(&str)) {
    let mut run: Vec<char> = Vec::new();
    let mut end_of_run = 0;
    let flush = |run: &mut Vec<char>, give: &mut dyn FnMut(&str)| {
        match run.as_slice() {
            [] => {}
            [one] => give(&one.to_string()),
            many => many
                .windows(2)
                .for_each(|pair| give(&pair.iter().collect::<String>())),
        }
        run.clear();
    };
    for (at, word) in text.unicode_word_indices() {
        let unspaced = word.chars().all(is_unspaced);
        if !unspaced || at != end_of_run {
            flush(&mut run, &mut give);
        }
        match unspaced {
            true => {
                run.extend(word.chars());
                end_of_run = at + word.len();
            }
            false => give(word),
        }
    }
    flush(&mut run, &mut give);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(language: Language, text: &str) -> Vec<String> {
        let analyser = Analyser {
            language,
            stop_words: false,
        };
        let terms = analyser.terms(text);
        let listed = terms
            .frequencies
            .iter()
            .flat_map(|(term, n)| std::iter::repeat_n(term.clone(), *n as usize));
        listed.collect()
    }

    #[test]
    fn words_are_lowered_and_stemmed() {
        assert_eq!(
            terms(Language::None, "Don't RUN, run 3.14!"),
            ["3.14", "don't", "run", "run"]
        );
        // Snowball's own vocabularies.
        assert_eq!(
            terms(Language::English, "consolations knightly generously"),
            ["consol", "generous", "knight"]
        );
        assert_eq!(
            terms(Language::German, "aufeinanderfolge"),
            ["aufeinanderfolg"]
        );
    }

    #[test]
    fn scripts_without_blanks_are_pairs() {
        assert_eq!(
            terms(Language::None, "東京都 に x"),
            ["x", "に", "京都", "東京"]
        );
        assert_eq!(terms(Language::None, "数据库abc"), ["abc", "据库", "数据"]);
    }

    #[test]
    fn stop_words_are_left_out_where_asked_for() {
        let analyser = Analyser {
            language: Language::English,
            stop_words: true,
        };
        let terms = analyser.terms("the history of the archives");
        assert_eq!(terms.length, 2);
        assert_eq!(analyser.name(), "english+stop");
        assert!(analyses("x").contains_key("english+stop"));
        assert_eq!(analyses("x").len(), 20);
    }
}
