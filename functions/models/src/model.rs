//! Models as the API shows them.

use crate::context::Context;
use nodeai_app::clock;
use nodeai_models::Model;
use nodeai_pricing::{Bucket, MICROS_PER_DAY, Terms, Tokens, date_of_day, usd};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A million: prices are shown for so many tokens.
const MILLION: i64 = 1_000_000;

/// One model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelShown {
    /// The reference, `provider/model`, as nodes take it.
    id: String,
    /// The provider's prefix.
    provider: String,
    /// What it is called; null where nobody says.
    name: Option<String>,
    /// `chat`, `embedding` or `rerank`.
    kind: String,
    /// Most tokens of a prompt; null where nobody says.
    max_input_tokens: Option<i64>,
    /// Most tokens of an answer.
    max_output_tokens: Option<i64>,
    /// Length of its vectors.
    dimensions: Option<i64>,
    /// What it reads: `text`, `image`, `audio`, `video`, `pdf`.
    input: Vec<String>,
    /// What it writes: `text`, `audio`, `vector`, `score`.
    output: Vec<String>,
    /// What it can do: `tools`, `parallel_tools`, `json_schema`, `reasoning`, `prompt_caching`, `web_search`, `prefill`,
    /// `computer_use`.
    capabilities: Vec<String>,
    /// The day on which the provider stops serving it, `YYYY-MM-DD`.
    retires_on: Option<String>,
    /// Whether that day has come.
    retired: bool,
    /// What the provider names in its place.
    successor: Option<String>,
    /// Something to know, such as that it is only for tests.
    note: Option<String>,
    /// USD per million tokens by bucket (`uncached`, `cache_read`, `output_text`, …), now, for prompts below every threshold,
    /// as decimal texts; own prices included. Null where the price is not known.
    usd_per_million: Option<BTreeMap<String, String>>,
    /// Which prices those are.
    price_version: Option<String>,
    /// Whether the organisation has what it takes to call it: a secret with the key, or none is needed.
    has_key: bool,
    /// The own entry that stands here, if it is one.
    own_id: Option<String>,
}

/// Today as `YYYY-MM-DD`, UTC.
pub fn today() -> String {
    date_of_day(clock::now_us().div_euclid(MICROS_PER_DAY))
}

/// A word of an enum as it is written in JSON.
pub fn word(value: impl Serialize) -> String {
    let written = serde_json::to_value(value).ok();
    let text = written.and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default()
}

impl ModelShown {
    /// A model as an organisation sees it.
    pub fn of(model: &Model, context: &Context) -> Self {
        let (usd_per_million, price_version) = prices(model, context).unzip();
        Self {
            id: model.id.clone(),
            provider: model.provider().to_owned(),
            name: model.name.clone(),
            kind: word(model.kind),
            max_input_tokens: model.max_input_tokens,
            max_output_tokens: model.max_output_tokens,
            dimensions: model.dimensions,
            input: model.input.iter().map(word).collect(),
            output: model.output.iter().map(word).collect(),
            capabilities: model.capabilities.iter().map(word).collect(),
            retires_on: model.retires_on.clone(),
            retired: model.is_retired(&today()),
            successor: model.successor.clone(),
            note: model.note.clone(),
            usd_per_million,
            price_version,
            has_key: context.has_key(model),
            own_id: context.own_of(model).map(|own| own.id.clone()),
        }
    }
}

type Prices = (BTreeMap<String, String>, String);

fn prices(model: &Model, context: &Context) -> Option<Prices> {
    let terms = Terms {
        at_us: clock::now_us(),
        ..Terms::default()
    };
    let book = nodeai_pricing::catalogue();
    let mut all = BTreeMap::new();
    let mut version = None;
    for bucket in Bucket::ALL {
        let tokens = Tokens::only(bucket, MILLION);
        // Of one request, so that no threshold counts: the prompt is said to be empty.
        let priced = book.price_heap(&context.prices, &model.id, &tokens, &terms, 0, 0);
        if let Ok(priced) = priced {
            all.insert(bucket.as_str().to_owned(), usd(i128::from(priced.pusd)));
            version = Some(priced.version);
        }
    }
    version.map(|version| (all, version))
}
