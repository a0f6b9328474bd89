//! How a base cuts, analyses, embeds and searches.

use crate::Fault;
use crate::analysis::{Analyser, Language};
use crate::rank::{Fusion, Mode, Weights};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a knowledge base. What is in `chunking`, `lexical` and `embedding` makes its index: other ones need another index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How documents are cut.
    #[serde(default)]
    pub chunking: Chunking,
    /// How words become terms.
    #[serde(default)]
    pub lexical: Lexical,
    /// Which model gives vectors; none for lexical search alone.
    #[serde(default)]
    pub embedding: Option<Embedding>,
    /// How lexical search scores, and what a search does that does not say it; may change at any time.
    #[serde(default)]
    pub search: Search,
}

/// How documents are cut into chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chunking {
    /// By what.
    #[serde(default)]
    pub strategy: Strategy,
    /// Most of a chunk, in `unit`: 50 to 20,000; 1,000 unless given.
    #[serde(default = "default_size")]
    pub size: usize,
    /// What a chunk repeats of the one before, in `unit`: less than half of `size`; 150 unless given.
    #[serde(default = "default_overlap")]
    pub overlap: usize,
    /// What sizes count.
    #[serde(default)]
    pub unit: Unit,
    /// `sentence`: how many sentences on each side go along when a result is expanded to its parent; 1 to 10, 3 unless given.
    #[serde(default = "default_window")]
    pub window: usize,
    /// `semantic`: cuts where neighbours are further apart than this percentile of all neighbours, 1 to 100; 95 unless given.
    #[serde(default = "default_breakpoint")]
    pub breakpoint: f64,
    /// Cuts parents of this size first, and chunks out of each: results can be expanded to them. More than `size`.
    #[serde(default)]
    pub parent_size: Option<usize>,
}

fn default_size() -> usize {
    1_000
}

fn default_overlap() -> usize {
    150
}

fn default_window() -> usize {
    3
}

fn default_breakpoint() -> f64 {
    95.0
}

impl Default for Chunking {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            size: default_size(),
            overlap: default_overlap(),
            unit: Unit::default(),
            window: default_window(),
            breakpoint: default_breakpoint(),
            parent_size: None,
        }
    }
}

/// How a text is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// At paragraphs, where they are too long at lines, then at sentences, words, characters.
    #[default]
    Recursive,
    /// As `recursive` within the sections of Markdown; a chunk's metadata has the headings above it.
    Markdown,
    /// One sentence each.
    Sentence,
    /// As many words as fit, wherever that is.
    Token,
    /// Where the meaning turns, as the index's embedding model sees it: sentences are embedded to find that, each time that a document is
    /// cut. What is longer than `size` is cut on as `recursive` would.
    Semantic,
}

/// What a size counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Unicode code points.
    #[default]
    Characters,
    /// Tokens, estimated: a Latin letter is a quarter of one, an ideograph a whole one.
    Tokens,
}

/// How words become terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lexical {
    /// Whose stems; `none` for words as they are.
    #[serde(default)]
    pub language: Language,
    /// Leaves out the words that Lucene leaves out; for English alone.
    #[serde(default)]
    pub stop_words: bool,
}

impl Lexical {
    /// The analyser that this is.
    pub fn analyser(self) -> Analyser {
        Analyser {
            language: self.language,
            stop_words: self.stop_words,
        }
    }
}

/// Which model gives vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// `provider/model`, such as `openai/text-embedding-3-small`; `builtin/hash` is a test model.
    pub model: String,
    /// How long vectors shall be, where the model can choose: 1 to 4,096.
    #[serde(default)]
    pub dimensions: Option<u32>,
    /// A server that speaks OpenAI's protocol.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The secret with the key; the provider's usual one unless given.
    #[serde(default)]
    pub key_secret: Option<String>,
}

impl Embedding {
    /// What vectors of this model are kept under: they depend on all of it but the key.
    pub fn cache_key(&self) -> String {
        let size = self.dimensions.map(|n| n.to_string()).unwrap_or_default();
        let base = self.base_url.as_deref().unwrap_or_default();
        format!("{}@{size}@{base}", self.model)
    }
}

/// How lexical search scores, and what a search does that does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// BM25's k1, 0 to 10: how much repetition counts.
    #[serde(default = "default_k1")]
    pub k1: f64,
    /// BM25's b, 0 to 1: how much the length of a chunk counts.
    #[serde(default = "default_b")]
    pub b: f64,
    /// By words, by meaning, or both; both where the base has vectors unless given. An index without vectors is searched by words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How the two lists of `hybrid` become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// How much each list counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// The constant of reciprocal rank fusion, 1 to 10,000; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rrf_k: Option<f64>,
    /// How many results, 1 to 100; 10 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
}

fn default_k1() -> f64 {
    1.2
}

fn default_b() -> f64 {
    0.75
}

impl Default for Search {
    fn default() -> Self {
        Self {
            k1: default_k1(),
            b: default_b(),
            mode: None,
            fusion: None,
            weights: None,
            rrf_k: None,
            k: None,
        }
    }
}

impl Settings {
    /// What is wrong with them, by pointers below `at`.
    pub fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = self.chunking.faults(&format!("{at}/chunking"));
        if self.chunking.strategy == Strategy::Semantic && self.embedding.is_none() {
            let pointer = format!("{at}/chunking/strategy");
            let detail = "semantic needs an embedding model";
            faults.push(Fault::new(pointer, "unsupported", detail));
        }
        if self.lexical.stop_words && self.lexical.language != Language::English {
            let pointer = format!("{at}/lexical/stop_words");
            let detail = "there is a list of stop words for english alone";
            faults.push(Fault::new(pointer, "unsupported", detail));
        }
        if let Some(embedding) = &self.embedding {
            faults.extend(embedding.faults(&format!("{at}/embedding")));
        }
        faults.extend(self.search.faults(&format!("{at}/search")));
        faults
    }

    /// As an index keeps them: with the analyser's name, by which search finds the terms of a question.
    pub fn stored(&self) -> serde_json::Value {
        let mut stored = serde_json::to_value(self).unwrap_or_default();
        stored["lexical"]["analyser"] = self.lexical.analyser().name().into();
        stored
    }

    /// Reads what [`Settings::stored`] made. None for what is no settings.
    pub fn read(stored: &serde_json::Value) -> Option<Self> {
        let mut stored = stored.clone();
        stored
            .get_mut("lexical")?
            .as_object_mut()?
            .remove("analyser");
        serde_json::from_value(stored).ok()
    }
}

impl Chunking {
    fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut require = |holds: bool, field: &str, detail: &str| {
            if !holds {
                faults.push(Fault::new(format!("{at}/{field}"), "out_of_range", detail));
            }
        };
        require((50..=20_000).contains(&self.size), "size", "50 to 20000");
        require(
            self.overlap * 2 < self.size.max(1),
            "overlap",
            "less than half of size",
        );
        require((1..=10).contains(&self.window), "window", "1 to 10");
        let percent = (1.0..=100.0).contains(&self.breakpoint);
        require(percent, "breakpoint", "1 to 100");
        if let Some(parent) = self.parent_size {
            let fits = parent > self.size && parent <= 100_000;
            require(fits, "parent_size", "more than size, at most 100000");
            let parents = !matches!(self.strategy, Strategy::Sentence | Strategy::Semantic);
            require(
                parents,
                "parent_size",
                "a sentence's parent is its window, and what is cut by meaning has none; leave it out",
            );
        }
        faults
    }
}

impl Embedding {
    fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut require = |holds: bool, field: &str, detail: &str| {
            if !holds {
                faults.push(Fault::new(format!("{at}/{field}"), "format", detail));
            }
        };
        let plain = |text: &str, most: usize| {
            !text.trim().is_empty() && text.len() <= most && !text.contains(['{', '}'])
        };
        require(
            plain(&self.model, 256),
            "model",
            "provider/model, at most 256 bytes, without braces",
        );
        let size = self.dimensions.is_none_or(|n| (1..=4_096).contains(&n));
        require(size, "dimensions", "1 to 4096");
        let url = self.base_url.as_deref();
        require(
            url.is_none_or(|url| plain(url, 2_048) && url.starts_with("http")),
            "base_url",
            "an http(s) URL without braces",
        );
        let secret = self.key_secret.as_deref();
        let named = |name: &str| {
            plain(name, 100) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        require(
            secret.is_none_or(named),
            "key_secret",
            "a secret's name: letters, digits, _",
        );
        faults
    }
}

impl Search {
    /// What is wrong with it.
    pub fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut require = |holds: bool, field: &str, detail: &str| {
            if !holds {
                faults.push(Fault::new(format!("{at}/{field}"), "out_of_range", detail));
            }
        };
        require((0.0..=10.0).contains(&self.k1), "k1", "0 to 10");
        require((0.0..=1.0).contains(&self.b), "b", "0 to 1");
        let constant = self.rrf_k.is_none_or(|k| (1.0..=10_000.0).contains(&k));
        require(constant, "rrf_k", "1 to 10000");
        let few = self.k.is_none_or(|k| (1..=100).contains(&k));
        require(few, "k", "1 to 100");
        if let Some(weights) = &self.weights {
            faults.extend(weights.faults(&format!("{at}/weights")));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_given_is_valid_and_comes_back_from_the_store() {
        let settings: Settings = serde_json::from_value(json!({})).unwrap();
        assert_eq!(settings.faults("/settings"), []);
        let stored = settings.stored();
        assert_eq!(stored["lexical"]["analyser"], "none");
        assert_eq!(Settings::read(&stored), Some(settings));
    }

    #[test]
    fn who_cuts_by_meaning_has_a_model() {
        let of = |embedding: serde_json::Value| {
            let given = json!({"chunking": {"strategy": "semantic"}, "embedding": embedding});
            let settings: Settings = serde_json::from_value(given).unwrap();
            settings
                .faults("")
                .into_iter()
                .map(|f| f.pointer)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(json!(null)), ["/chunking/strategy"]);
        assert!(of(json!({"model": "builtin/hash"})).is_empty());
    }

    #[test]
    fn each_wrong_field_is_named() {
        let settings: Settings = serde_json::from_value(json!({
            "chunking": {"size": 10, "overlap": 9, "breakpoint": 0, "parent_size": 5},
            "lexical": {"language": "german", "stop_words": true},
            "embedding": {"model": "{{x}}", "dimensions": 0, "key_secret": "a b"},
            "search": {"b": 2, "rrf_k": 0, "k": 101, "weights": {"vector": -1}},
        }))
        .unwrap();
        let faults = settings.faults("/settings");
        let pointers: Vec<&str> = faults.iter().map(|f| f.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/settings/chunking/size",
                "/settings/chunking/overlap",
                "/settings/chunking/breakpoint",
                "/settings/chunking/parent_size",
                "/settings/lexical/stop_words",
                "/settings/embedding/model",
                "/settings/embedding/dimensions",
                "/settings/embedding/key_secret",
                "/settings/search/b",
                "/settings/search/rrf_k",
                "/settings/search/k",
                "/settings/search/weights/vector",
            ]
        );
    }
}
