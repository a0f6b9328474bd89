//! `POST /api/v1/finetune/check`

use crate::FinetuneRun;
use crate::source::{DatasetInput, Gathered};
use nodeai_app::{Caller, Valid};
use nodeai_finetune::dataset::{FEWEST, LineProblem, cost_pusd, known_price};
use nodeai_http::{Check, Checker, Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Epochs that an estimate counts with when none are said: what OpenAI mostly chooses for small datasets.
pub const USUAL_EPOCHS: u32 = 3;

/// What to check.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckInput {
    /// Examples.
    dataset: DatasetInput,
    /// The model that would be trained: says what it costs.
    #[serde(default)]
    base_model: Option<String>,
    /// Epochs, 1 to 50; 3 unless given.
    #[serde(default)]
    epochs: Option<u32>,
    /// USD per million trained tokens; that of OpenAI's price list, where the model is on it, unless given.
    #[serde(default)]
    usd_per_million_tokens: Option<f64>,
}

/// Reports a number of epochs or a price that makes no sense.
pub fn check_cost(c: &mut Checker, epochs: Option<u32>, epochs_at: &str, price: Option<f64>) {
    let fits = epochs.is_none_or(|n| (1..=50).contains(&n));
    c.require(fits, epochs_at, "range", "must be from 1 to 50");
    let fits = price.is_none_or(|usd| (0.0..=100_000.0).contains(&usd));
    let detail = "must be from 0 to 100000";
    c.require(fits, "/usd_per_million_tokens", "range", detail);
}

impl Check for CheckInput {
    fn check(&self, c: &mut Checker) {
        self.dataset.check(c);
        check_cost(c, self.epochs, "/epochs", self.usd_per_million_tokens);
    }
}

/// What a dataset is like.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Whether a job could be made of it: no errors, and at least 10 examples to learn from.
    ok: bool,
    /// Examples that are well formed, each once.
    examples: usize,
    /// Of them, those for validation.
    validation_examples: usize,
    /// About how many tokens they have: an estimate.
    tokens: u64,
    /// Epochs that the cost counts with.
    epochs: u32,
    /// What training would cost; null when no price is known.
    estimated_cost_usd_micros: Option<i64>,
    /// Lines with an error.
    bad_lines: usize,
    /// The first 100 of them.
    errors: Vec<LineProblem>,
    /// Lines that are left out.
    warnings: Vec<LineProblem>,
    /// Places that were redacted.
    redacted: usize,
}

/// What training costs in pico-USD, where a price is known.
pub fn estimate(tokens: u64, epochs: u32, model: &str, price: Option<f64>) -> Option<i64> {
    let price = price.or_else(|| known_price(model))?;
    Some(cost_pusd(tokens, epochs, price))
}

/// Checks a dataset line by line, and estimates what training on it costs. Nothing leaves the application.
pub async fn handle(
    caller: Caller<FinetuneRun>,
    Valid(input): Valid<CheckInput>,
) -> Result<Json<Report>, Problem> {
    let Gathered { dataset, redacted } = input.dataset.gather(&caller).await?;
    let (train, validation) = dataset.split(input.dataset.validation, input.dataset.seed);
    let epochs = input.epochs.unwrap_or(USUAL_EPOCHS);
    let trained: u64 = train.iter().map(|example| example.tokens).sum();
    let model = input.base_model.unwrap_or_default();
    let cost = estimate(trained, epochs, &model, input.usd_per_million_tokens);
    Ok(Json::ok(Report {
        ok: dataset.bad_lines == 0 && train.len() >= FEWEST,
        examples: dataset.examples.len(),
        validation_examples: validation.len(),
        tokens: dataset.tokens(),
        epochs,
        estimated_cost_usd_micros: cost.map(money::usd_micros),
        bad_lines: dataset.bad_lines,
        errors: dataset.errors,
        warnings: dataset.warnings,
        redacted,
    }))
}
