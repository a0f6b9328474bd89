//! What the catalogue depends on in an organisation: own entries, own prices, which keys there are.

use nodeai_app::{Caller, Scope};
use nodeai_http::Problem;
use nodeai_models::{Model, Protocol, catalogue, provider};
use nodeai_pricing::{Override, Overrides};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// An own entry as it is stored.
#[derive(Debug, Deserialize)]
pub struct Own {
    /// Id.
    pub id: String,
    /// The reference.
    pub model: String,
    /// Where it is served, when that is not its provider.
    pub base_url: Option<String>,
    /// The secret with its key.
    pub key_secret: Option<String>,
    facts: Map<String, Value>,
}

impl Own {
    /// The entry as a model of the catalogue; none when what is stored no longer is one.
    pub fn model(&self) -> Option<Model> {
        let mut facts = self.facts.clone();
        facts.insert("id".to_owned(), json!(self.model));
        serde_json::from_value(Value::Object(facts)).ok()
    }
}

#[derive(Deserialize)]
struct Stored {
    own: Vec<Own>,
    prices: Vec<Value>,
    secrets: BTreeSet<String>,
}

/// Models as an organisation sees them.
pub struct Context {
    /// Own entries.
    pub own: Vec<Own>,
    /// Own prices.
    pub prices: Overrides,
    /// Names of its secrets.
    pub secrets: BTreeSet<String>,
    models: Vec<Model>,
}

impl Context {
    /// Reads it: one statement.
    pub async fn of<S: Scope>(caller: &Caller<S>) -> Result<Self, Problem> {
        let args = json!({"org_id": caller.org_id()});
        let stored: Stored = caller.call("models_context", &args).await?;
        let prices = stored.prices.into_iter();
        // A price that can no longer be read must not hide all the others.
        let prices = prices.filter_map(|row| serde_json::from_value::<Override>(row).ok());
        let models = stored.own.iter().filter_map(Own::model).collect();
        Ok(Self {
            prices: Overrides(prices.collect()),
            own: stored.own,
            secrets: stored.secrets,
            models,
        })
    }

    /// All models; an own entry stands in place of the built-in one with its reference.
    pub fn all(&self) -> Vec<&Model> {
        let own: BTreeSet<String> = self.models.iter().map(|m| key(&m.id)).collect();
        let others = catalogue().models.iter();
        let others = others.filter(|model| !own.contains(&key(&model.id)));
        let mut all: Vec<&Model> = self.models.iter().chain(others).collect();
        all.sort_by_key(|model| key(&model.id));
        all
    }

    /// One by its reference.
    pub fn find(&self, reference: &str) -> Option<&Model> {
        let own = self.models.iter().find(|m| key(&m.id) == key(reference));
        own.or_else(|| catalogue().find(reference))
    }

    /// The own entry of a model.
    pub fn own_of(&self, model: &Model) -> Option<&Own> {
        self.own.iter().find(|own| own.model == model.id)
    }

    /// Whether the organisation can call a model: it has the key, or none is needed.
    pub fn has_key(&self, model: &Model) -> bool {
        if let Some(own) = self.own_of(model) {
            match (&own.key_secret, &own.base_url) {
                (Some(name), _) => return self.secrets.contains(name),
                (None, Some(_)) => return true,
                (None, None) => {}
            }
        }
        provider(model.provider()).is_some_and(|known| {
            known.protocol == Protocol::BuiltIn || self.secrets.contains(known.key_secret)
        })
    }
}

fn key(reference: &str) -> String {
    reference.to_ascii_lowercase()
}
