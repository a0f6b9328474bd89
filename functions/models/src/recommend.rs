//! `POST /api/v1/models/recommend`

use crate::ModelsRead;
use crate::context::Context;
use crate::model::ModelShown;
use nodeai_app::{Caller, Valid, clock};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_models::{Capability, Kind, Modality, Need, fitting};
use nodeai_pricing::{day_of_date, parse_usd, usd};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Value, json};

/// Most models of an answer.
const MOST: u32 = 50;

/// What is needed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeedInput {
    /// `chat` unless given; `embedding`, `rerank`.
    #[serde(default)]
    kind: Option<String>,
    /// What it must be able to do, such as `tools`, `json_schema`.
    #[serde(default)]
    capabilities: Vec<String>,
    /// What it must read beside text, such as `image`.
    #[serde(default)]
    input: Vec<String>,
    /// What it must write beside text, such as `audio`.
    #[serde(default)]
    output: Vec<String>,
    /// Tokens of a usual prompt; 1,000 unless given.
    #[serde(default)]
    prompt_tokens: Option<i64>,
    /// How many of them the provider's cache is expected to have; none unless given.
    #[serde(default)]
    cached_tokens: Option<i64>,
    /// Tokens of a usual answer; 500 unless given.
    #[serde(default)]
    completion_tokens: Option<i64>,
    /// Only these providers; all but the test models unless given.
    #[serde(default)]
    providers: Vec<String>,
    /// Most that one request may cost, USD as a decimal text such as `"0.002"`.
    #[serde(default)]
    max_usd: Option<String>,
    /// The day until which it must be served, `YYYY-MM-DD`.
    #[serde(default)]
    served_until: Option<String>,
    /// Only models that the organisation has a key for.
    #[serde(default)]
    has_key: bool,
    /// Most models of the answer: 1 to 50, 10 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

fn read<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::String(word.to_owned())).ok()
}

fn words<T: serde::de::DeserializeOwned>(c: &mut Checker, given: &[String], field: &str) {
    for (i, word) in given.iter().enumerate() {
        let pointer = format!("/{field}/{i}");
        c.require(
            read::<T>(word).is_some(),
            &pointer,
            "unknown",
            "is not known",
        );
    }
}

impl Check for NeedInput {
    fn check(&self, c: &mut Checker) {
        let kind = self.kind.as_deref();
        let known = kind.is_none_or(|kind| read::<Kind>(kind).is_some());
        c.require(known, "/kind", "unknown", "chat, embedding or rerank");
        words::<Capability>(c, &self.capabilities, "capabilities");
        words::<Modality>(c, &self.input, "input");
        words::<Modality>(c, &self.output, "output");
        let counts = [
            (self.prompt_tokens, "/prompt_tokens"),
            (self.cached_tokens, "/cached_tokens"),
            (self.completion_tokens, "/completion_tokens"),
        ];
        for (count, pointer) in counts {
            let fits = count.is_none_or(|n| (0..=1_000_000_000).contains(&n));
            c.require(fits, pointer, "out_of_range", "0 to 1000000000");
        }
        let priced = self
            .max_usd
            .as_deref()
            .is_none_or(|text| parse_usd(text).is_some());
        c.require(
            priced,
            "/max_usd",
            "format",
            "USD in decimal notation, such as \"0.002\"",
        );
        let dated = self
            .served_until
            .as_deref()
            .is_none_or(|day| day_of_date(day).is_some());
        c.require(
            dated,
            "/served_until",
            "format",
            "must be a date, YYYY-MM-DD",
        );
        let few = self.limit.is_none_or(|limit| (1..=MOST).contains(&limit));
        c.require(few, "/limit", "out_of_range", "1 to 50");
    }
}

impl NeedInput {
    fn need(&self) -> Need {
        let all = |given: &[String]| given.iter().filter_map(|word| read(word)).collect();
        Need {
            kind: self.kind.as_deref().and_then(read).unwrap_or(Kind::Chat),
            capabilities: self
                .capabilities
                .iter()
                .filter_map(|word| read(word))
                .collect(),
            input: all(&self.input),
            output: all(&self.output),
            cached_tokens: self.cached_tokens.unwrap_or(0),
            providers: self.providers.clone(),
            most_pusd: self.max_usd.as_deref().and_then(parse_usd),
            served_until: self.served_until.clone(),
            ..Need::chat(
                self.prompt_tokens.unwrap_or(1_000),
                self.completion_tokens.unwrap_or(500),
            )
        }
    }
}

/// A model that fits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recommended {
    /// The model.
    #[serde(flatten)]
    model: ModelShown,
    /// What one such request costs, USD as an exact decimal text; null where the price is not known.
    usd_per_request: Option<String>,
}

/// The models that fit, the cheapest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recommendation {
    /// The cheapest ones.
    data: Vec<Recommended>,
    /// How many fit in all.
    fitting: usize,
    /// For how many tokens the costs are: `prompt_tokens`, `cached_tokens`, `completion_tokens`.
    request: Value,
}

/// Which models fit, the cheapest first; own entries and own prices included.
pub async fn handle(
    caller: Caller<ModelsRead>,
    Valid(input): Valid<NeedInput>,
) -> Result<Json<Recommendation>, Problem> {
    let context = Context::of(&caller).await?;
    let need = input.need();
    let all = context.all().into_iter();
    let candidates = all.filter(|model| !input.has_key || context.has_key(model));
    let fits = fitting(candidates, &need, &context.prices, clock::now_us());
    let limit = input.limit.unwrap_or(10) as usize;
    let shown = fits.iter().take(limit).map(|fit| Recommended {
        model: ModelShown::of(fit.model, &context),
        usd_per_request: fit.quote.as_ref().map(|quote| usd(i128::from(quote.pusd))),
    });
    Ok(Json::ok(Recommendation {
        data: shown.collect(),
        fitting: fits.len(),
        request: json!({"prompt_tokens": need.prompt_tokens, "cached_tokens": need.cached_tokens,
            "completion_tokens": need.completion_tokens}),
    }))
}
