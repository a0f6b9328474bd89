//! What nodes share whose models give numbers instead of words: batches, one request each, and what becomes of the answers.

use nodeai_llm::vectors::{Measured, Numbers, Work, hashed};
use nodeai_llm::{Endpoint, Prices, Usage};
use serde_json::{Map, Value, json};

use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};
use crate::nodes::Outcome;
use crate::nodes::llm::{self, Model, to_micros};

/// The test model.
const HASHED: &str = "builtin/hash";

/// What becomes of the numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// The vector of the one text.
    One,
    /// A vector for each text.
    Many,
    /// The documents by relevance, as they were given.
    Ranked(Vec<Value>),
}

/// Work for a model that gives numbers.
#[derive(Clone, PartialEq)]
pub struct MeasureCall {
    /// None for the test model.
    model: Option<Model>,
    batches: Vec<Work>,
    form: Form,
}

impl std::fmt::Debug for MeasureCall {
    /// Without the key.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("MeasureCall")
            .field("model", &self.reference())
            .field("batches", &self.batches)
            .finish()
    }
}

impl MeasureCall {
    pub(super) fn new(
        model: &str,
        base_url: Option<&str>,
        api_key: Option<String>,
        batches: Vec<Work>,
        form: Form,
    ) -> Result<Self, NodeError> {
        let model = match (model, base_url) {
            (HASHED, None) => None,
            _ => {
                let endpoint = Endpoint::resolve(model, base_url)
                    .map_err(|error| NodeError::config(format!("/model: {error}")))?;
                let api_key = api_key.filter(|key| !key.is_empty());
                Some(Model { endpoint, api_key })
            }
        };
        Ok(Self {
            model,
            batches,
            form,
        })
    }

    /// The model to ask; none where the answers are made here, by [`MeasureCall::made_here`].
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The parts, one request each.
    pub fn batches(&self) -> &[Work] {
        &self.batches
    }

    /// The test model's answer to a part.
    pub fn made_here(&self, work: &Work) -> Measured {
        hashed::answer(work)
    }

    /// The name by which prices know the model.
    pub fn reference(&self) -> String {
        let model = self.model.as_ref();
        model.map_or_else(|| HASHED.to_owned(), |model| model.endpoint.reference())
    }

    /// What is known of the call before its answers.
    pub fn meta(&self) -> CallMeta {
        let (provider, name) = match &self.model {
            Some(model) => (model.endpoint.name.as_str(), model.endpoint.model.as_str()),
            None => ("builtin", "hash"),
        };
        CallMeta {
            provider: Some(provider.to_owned()),
            request_model: Some(name.to_owned()),
            ..CallMeta::default()
        }
    }

    /// Everything on which the answers depend.
    pub(in crate::nodes) fn identity(&self) -> Value {
        let model = self.model.as_ref().map(|model| {
            let endpoint = &model.endpoint;
            json!([endpoint.reference(), endpoint.base_url, model.api_key])
        });
        let documents = match &self.form {
            Form::Ranked(documents) => Some(documents),
            Form::One | Form::Many => None,
        };
        json!([
            model,
            self.batches,
            matches!(self.form, Form::One),
            documents
        ])
    }

    /// What is sent, for the log.
    pub(in crate::nodes) fn shown(&self) -> Value {
        json!({"model": self.reference(), "batches": self.batches})
    }

    /// What was spent on these answers, at prices of a time in µs since the epoch: also where a later part failed.
    pub fn spent(&self, answers: &[Measured], at_us: i64, prices: &Prices) -> CallMeta {
        let mut meta = self.meta();
        let mut unpriced = false;
        for answer in answers {
            if meta.response_model.is_none() {
                meta.response_model.clone_from(&answer.model);
            }
            let Some(usage) = answer.usage else {
                unpriced = true;
                continue;
            };
            meta.usage.get_or_insert_default().add(&usage);
            match prices.cost_at(&self.reference(), &usage, at_us) {
                Some(more) => {
                    let sum = meta.cost_pusd.unwrap_or(0);
                    meta.cost_pusd = Some(sum.saturating_add(more.pusd));
                    meta.price_version = Some(more.version);
                }
                None => unpriced = true,
            }
        }
        meta.cost_pusd = meta.cost_pusd.filter(|_| !unpriced);
        meta
    }

    /// The node's output, of the answers to all parts in order.
    ///
    /// # Errors
    /// When the parts do not go together: vectors of unlike length.
    pub fn finish(
        &self,
        answers: Vec<Measured>,
        at_us: i64,
        prices: &Prices,
    ) -> (CallMeta, Result<Outcome, NodeError>) {
        let meta = self.spent(&answers, at_us, prices);
        let mut output = Map::new();
        let mut vectors = Vec::new();
        for answer in answers {
            match answer.numbers {
                Numbers::Vectors(more) => vectors.extend(more),
                Numbers::Ranks(ranks) => {
                    let Form::Ranked(documents) = &self.form else {
                        continue;
                    };
                    let document = |index: usize| documents.get(index).cloned().unwrap_or_default();
                    let results = ranks.iter().map(|rank| {
                        json!({"index": rank.index, "score": rank.score, "document": document(rank.index)})
                    });
                    output.insert("results".to_owned(), results.collect());
                    let best = ranks.iter().map(|rank| document(rank.index));
                    output.insert("documents".to_owned(), best.collect());
                }
            }
        }
        let size = vectors.first().map_or(0, Vec::len);
        if vectors.iter().any(|vector| vector.len() != size) {
            let message = "the provider's vectors have unlike lengths";
            let error = NodeError::new("malformed_response", message, true);
            return (meta, Err(error));
        }
        match &self.form {
            Form::One => {
                output.insert(
                    "vector".to_owned(),
                    json!(vectors.pop().unwrap_or_default()),
                );
            }
            Form::Many => {
                output.insert("vectors".to_owned(), json!(vectors));
            }
            Form::Ranked(_) => {}
        }
        if !matches!(self.form, Form::Ranked(_)) {
            output.insert("dimensions".to_owned(), size.into());
        }
        self.describe(&mut output, &meta);
        (meta, Ok(Outcome::new(Value::Object(output))))
    }

    fn describe(&self, output: &mut Map<String, Value>, meta: &CallMeta) {
        let model = meta.response_model.as_ref().or(meta.request_model.as_ref());
        output.insert("model".to_owned(), json!(model));
        output.insert("provider".to_owned(), json!(meta.provider));
        let tokens = meta.usage.map(|usage: Usage| usage.prompt_tokens);
        let cost = meta.usage.and(meta.cost_pusd).map(to_micros);
        let usage = json!({"prompt_tokens": tokens, "cost_usd_micros": cost});
        output.insert("usage".to_owned(), usage);
    }
}

/// Settings of these nodes' models.
pub(super) fn add_settings(schema: &mut Value, example: &str) {
    let settings = json!({
        "model": {"type": "string", "minLength": 1, "maxLength": 256,
            "description": format!("provider/model, such as {example} or the test model {HASHED}")},
        "base_url": {"type": "string", "description": "Another server that speaks the provider's protocol"},
        "api_key": {"type": "string", "description": "Usually {{ secrets.NAME }}; without it the provider's own secret, such as OPENAI_API_KEY"},
    });
    if let (Some(into), Value::Object(settings)) = (schema["properties"].as_object_mut(), settings)
    {
        into.extend(settings);
    }
}

/// What the output's `usage` has.
pub(super) fn usage_schema() -> Value {
    json!({"type": "object", "properties": {
        "prompt_tokens": {"type": ["integer", "null"], "description": "Null when the provider does not say"},
        "cost_usd_micros": {"type": ["integer", "null"], "description": "Null when the price is not known"},
    }})
}

/// A model that is written out must resolve.
pub(in crate::nodes) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let is_hashed = data.get("model").is_some_and(|model| model == HASHED);
    if !is_hashed || data.contains_key("base_url") {
        llm::check(data, at, faults);
    }
}
