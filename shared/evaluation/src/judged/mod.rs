//! Metrics that ask a judge: what it is asked, as a workflow that the queue runs like any other, and what its verdicts come to.
//! The formulas are those of ragas 0.4 (Apache-2.0, <https://docs.ragas.io>); the prompts are our own. `vectors/ragas.json` has
//! what ragas makes of scripted verdicts, and a test holds ours against it.

mod formulas;
pub(crate) mod graph;
pub(crate) mod prompts;
mod verdicts;

pub use formulas::{Counts, Grid, average_precision, cosine, fbeta, noise_sensitivity};
pub use graph::{Ask, build};
pub(crate) use graph::{alone, question};
pub use verdicts::{Judgement, read};

use nodeai_http::{Checker, FieldError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Judged;

/// Who judges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// A model that answers by JSON Schema, such as `openai/gpt-4o-mini`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Another server that speaks the provider's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// `{{ secrets.NAME }}`; the provider's own secret, such as `OPENAI_API_KEY`, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// 0 unless given; questions of answer relevancy are generated at 0.3 then, so that they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// For the metrics that compare embeddings, such as `openai/text-embedding-3-small`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
    /// Another server for embeddings; that of the model unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_base_url: Option<String>,
    /// `{{ secrets.NAME }}` for embeddings; that of the model where both are on one server, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_api_key: Option<String>,
}

/// What a metric needs to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// A model.
    pub model: bool,
    /// An embedding model.
    pub embeddings: bool,
    /// Contexts of the answer.
    pub contexts: bool,
    /// An expected answer.
    pub expected: bool,
    /// An answer that says something.
    pub answer: bool,
}

impl Judged {
    /// What it needs.
    pub fn needs(&self) -> Needs {
        let needs = |model, embeddings, contexts, expected, answer| Needs {
            model,
            embeddings,
            contexts,
            expected,
            answer,
        };
        match self {
            Self::Faithfulness => needs(true, false, true, false, true),
            Self::AnswerRelevancy { .. } => needs(true, true, false, false, true),
            Self::ContextPrecision | Self::ContextRecall => needs(true, false, true, true, false),
            Self::FactualCorrectness { .. } => needs(true, false, false, true, true),
            Self::AnswerCorrectness { weights, .. } => {
                needs(true, weights.1 > 0.0, false, true, true)
            }
            Self::SemanticSimilarity => needs(false, true, false, true, true),
            Self::NoiseSensitivity { .. } => needs(true, false, true, true, true),
            Self::Rubric { .. } => needs(true, false, false, false, false),
        }
    }
}

impl Judge {
    /// The key for embeddings. That of the model goes to no other server.
    fn embedding_key(&self) -> Option<&str> {
        let prefix =
            |model: &Option<String>| model.as_deref()?.split_once('/').map(|(p, _)| p.to_owned());
        let same = match (&self.base_url, &self.embedding_base_url) {
            (Some(_), None) => true,
            (None, None) => prefix(&self.model) == prefix(&self.embedding_model),
            (url, other) => url == other,
        };
        let own = self.embedding_api_key.as_deref();
        own.or(self.api_key.as_deref().filter(|_| same))
    }

    /// Checks it for the metrics that will ask it.
    pub fn check(&self, c: &mut Checker, metrics: &[Judged]) {
        let model = metrics.iter().any(|metric| metric.needs().model);
        let embeddings = metrics.iter().any(|metric| metric.needs().embeddings);
        for (needed, given, at) in [
            (model, &self.model, "/judge/model"),
            (embeddings, &self.embedding_model, "/judge/embedding_model"),
        ] {
            let named = given.as_deref().is_some_and(|m| !m.trim().is_empty());
            let detail = "is required for these metrics";
            c.require(!needed || named, at, "required", detail);
            let short = given.as_deref().is_none_or(|m| m.len() <= 256 && plain(m));
            let detail = "must be a model of at most 256 characters, not a template";
            c.require(short, at, "format", detail);
        }
        for (url, at) in [
            (&self.base_url, "/judge/base_url"),
            (&self.embedding_base_url, "/judge/embedding_base_url"),
        ] {
            let http = url.as_deref().is_none_or(|url| {
                (url.starts_with("https://") || url.starts_with("http://")) && plain(url)
            });
            c.require(http, at, "format", "must be an http or https URL");
        }
        for (key, at) in [
            (&self.api_key, "/judge/api_key"),
            (&self.embedding_api_key, "/judge/embedding_api_key"),
        ] {
            if key.as_deref().is_some_and(|key| !names_a_secret(key)) {
                let detail = "must name a secret: {{ secrets.NAME }}";
                c.report(FieldError::body(at, "format", detail));
            }
        }
        let temperature = self.temperature.is_none_or(|t| (0.0..=2.0).contains(&t));
        let detail = "must be from 0 to 2";
        c.require(temperature, "/judge/temperature", "range", detail);
        let tokens = self.max_tokens.is_none_or(|n| (1..=1_000_000).contains(&n));
        let detail = "must be from 1 to 1000000";
        c.require(tokens, "/judge/max_tokens", "range", detail);
    }
}

/// What templates would not touch.
fn plain(text: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

fn names_a_secret(key: &str) -> bool {
    let inner = key
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim().strip_prefix("secrets."));
    name.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

#[cfg(test)]
mod tests;
