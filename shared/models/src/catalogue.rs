//! Models and their facts.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Messages in, a message out.
    Chat,
    /// Texts in, vectors out.
    Embedding,
    /// A query and texts in, scores out.
    Rerank,
}

/// What a model reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// PDF files.
    Pdf,
    /// Embeddings.
    Vector,
    /// Relevance scores.
    Score,
}

/// What a model can do beyond reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Calls tools.
    Tools,
    /// Calls several at once.
    ParallelTools,
    /// Keeps to a JSON Schema.
    JsonSchema,
    /// Thinks before it answers.
    Reasoning,
    /// The provider keeps prompts that repeat, at a lower price.
    PromptCaching,
    /// Searches the web by itself.
    WebSearch,
    /// Goes on from a beginning of the answer.
    Prefill,
    /// Uses a computer's screen.
    ComputerUse,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The reference, `provider/model`.
    pub id: String,
    /// What it is called, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    pub kind: Kind,
    /// Most tokens of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Length of its vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<i64>,
    /// What it reads.
    pub input: Vec<Modality>,
    /// What it writes.
    pub output: Vec<Modality>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The day (`YYYY-MM-DD`) on which the provider stops serving it, where that is announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_on: Option<String>,
    /// What the provider names in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Something a user must know, such as that it is only for tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Model {
    /// The part of the reference before the first slash.
    pub fn provider(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }

    /// Whether it can do that.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// Whether the provider has stopped serving it by that day (`YYYY-MM-DD`).
    pub fn is_retired(&self, today: &str) -> bool {
        self.retires_on.as_deref().is_some_and(|day| day <= today)
    }
}

/// All models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Catalogue {
    /// The day of which it is, `YYYY-MM-DD`.
    pub as_of: String,
    /// Where it comes from.
    pub source: String,
    /// The models, by reference.
    pub models: Vec<Model>,
    #[serde(skip)]
    by_id: BTreeMap<String, usize>,
}

impl Catalogue {
    fn read(text: &str) -> serde_json::Result<Self> {
        let mut all: Self = serde_json::from_str(text)?;
        all.models.extend(test_models());
        let ids = all.models.iter().enumerate();
        all.by_id = ids
            .map(|(at, model)| (model.id.to_ascii_lowercase(), at))
            .collect();
        Ok(all)
    }

    /// Finds a model by reference, whatever its letters' case. A dated name (`gpt-4o-mini-2024-07-18`,
    /// `claude-sonnet-4-20250514`) that the catalogue does not have is the model without the date.
    pub fn find(&self, reference: &str) -> Option<&Model> {
        let reference = reference.to_ascii_lowercase();
        let at = self.by_id.get(&reference);
        let at = at.or_else(|| self.by_id.get(nodeai_pricing::without_date(&reference)))?;
        self.models.get(*at)
    }
}

/// What is built in, so that first runs and tests need no account.
fn test_models() -> [Model; 2] {
    let model = |id: &str, name: &str, kind, output, note: &str| Model {
        id: id.to_owned(),
        name: Some(name.to_owned()),
        kind,
        max_input_tokens: Some(1_000_000),
        max_output_tokens: (kind == Kind::Chat).then_some(1_000_000),
        dimensions: None,
        input: vec![Modality::Text],
        output: vec![output],
        capabilities: Vec::new(),
        retires_on: None,
        successor: None,
        note: Some(note.to_owned()),
    };
    [
        model(
            "builtin/echo",
            "Echo (test model)",
            Kind::Chat,
            Modality::Text,
            "A test model: it repeats the last user message. It is no language model.",
        ),
        model(
            "builtin/hash",
            "Hash (test model)",
            Kind::Embedding,
            Modality::Vector,
            "A test model: vectors from hashes of words. It knows no meaning.",
        ),
    ]
}

/// The catalogue that is built in.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    // The file is part of the program and a test reads it: this cannot fail at run time.
    CATALOGUE
        .get_or_init(|| Catalogue::read(include_str!("facts.json")).expect("facts.json is valid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_current_models_of_many_providers() {
        let all = catalogue();
        let current = all.models.iter().filter(|m| !m.is_retired(&all.as_of));
        let current: Vec<&Model> = current.collect();
        assert!(current.len() >= 150, "{} current models", current.len());
        let providers: BTreeSet<&str> = current.iter().map(|m| m.provider()).collect();
        assert!(providers.len() >= 10, "{providers:?}");
    }

    #[test]
    fn every_model_is_whole() {
        let all = catalogue();
        let mut seen = BTreeSet::new();
        for model in &all.models {
            assert!(
                seen.insert(model.id.to_ascii_lowercase()),
                "{} twice",
                model.id
            );
            assert!(model.input.contains(&Modality::Text), "{}", model.id);
            let writes = match model.kind {
                Kind::Chat => Modality::Text,
                Kind::Embedding => Modality::Vector,
                Kind::Rerank => Modality::Score,
            };
            assert!(model.output.contains(&writes), "{}", model.id);
            let provider = crate::provider(model.provider());
            assert!(provider.is_some(), "{} has a provider", model.id);
            let day = model.retires_on.as_deref().map(nodeai_pricing::day_of_date);
            assert_ne!(day, Some(None), "{}: a date", model.id);
        }
    }

    /// What is paid by searches or citations as well has no price by the token.
    #[test]
    fn nearly_all_that_chat_have_a_price() {
        let all = catalogue().models.iter().filter(|m| m.kind == Kind::Chat);
        let priced = |model: &&Model| nodeai_pricing::catalogue().find(&model.id).is_some();
        let (with, without): (Vec<_>, Vec<_>) = all.partition(|model| priced(model));
        assert!(
            without.len() * 50 <= with.len(),
            "without a price: {without:?}"
        );
    }

    #[test]
    fn a_dated_name_is_the_model_and_case_does_not_matter() {
        let find = |name| catalogue().find(name).map(|model| model.id.as_str());
        assert_eq!(
            find("openai/gpt-4o-mini-2024-07-18"),
            Some("openai/gpt-4o-mini")
        );
        assert_eq!(find("OpenAI/GPT-4o-mini"), Some("openai/gpt-4o-mini"));
        assert_eq!(find("openai/nothing"), None);
        assert_eq!(find("builtin/echo"), Some("builtin/echo"));
    }

    #[test]
    fn a_model_is_retired_from_its_day_on() {
        let mut model = catalogue().find("builtin/echo").cloned().expect("known");
        assert!(!model.is_retired("2999-01-01"));
        model.retires_on = Some("2026-12-11".to_owned());
        assert!(!model.is_retired("2026-12-10"));
        assert!(model.is_retired("2026-12-11"));
    }
}
