//! `POST /api/v1/cost-intelligence/reconciliations`

use super::model::{Bucket, COLUMNS, Cost, Outcome, Reconciliation, cost_reconciliations as col};
use crate::CostsWrite;
use crate::spend::sums::Sums;
use crate::spend::window::window;
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_pricing::reconcile::{self, Line};
use nodeai_pricing::{Tokens, usd};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Whose export it is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// OpenAI: its input includes what the cache had.
    Openai,
    /// Anthropic: its input excludes it.
    Anthropic,
}

impl Provider {
    fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// An export to be held against what was counted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconciliationInput {
    /// Whose it is.
    provider: Provider,
    /// What it is called, such as the file's name: 1 to 100 characters.
    source: String,
    /// The time that it covers, from this date or whole hour on (RFC 3339).
    from: String,
    /// Before this date or whole hour.
    to: String,
    /// The export: CSV with a head line, or JSON of the provider's usage API, grouped by model.
    content: String,
}

impl Check for ReconciliationInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.source, 1, 100, "/source");
    }
}

#[derive(Deserialize)]
struct Counted {
    model: String,
    #[serde(flatten)]
    sums: Sums,
}

/// Reads the export, compares, and keeps the outcome; the export itself is not kept.
pub async fn handle(
    caller: Caller<CostsWrite>,
    Valid(input): Valid<ReconciliationInput>,
) -> Result<Created<Reconciliation>, Problem> {
    let provider = input.provider.as_str();
    let lines = reconcile::read(provider, &input.content).map_err(|error| {
        Problem::fields(vec![FieldError::body(
            "/content",
            "format",
            error.to_string(),
        )])
    })?;
    let window = window(Some(&input.from), Some(&input.to), ["/from", "/to"])?;
    let args = json!({"org_id": caller.org_id(), "from_us": window.from_us, "to_us": window.to_us, "providers": [provider]});
    let counted: Vec<Counted> = caller.call("cost_counted", &args).await?;
    let id = clock::new_id();
    let row = json!({"provider": provider, "source": input.source, "from_at": clock::rfc3339(window.from_us),
        "to_at": clock::rfc3339(window.to_us), "result": outcome(provider, &lines, &counted)});
    let location = format!("/api/v1/cost-intelligence/reconciliations/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "reconciliation", &id)
        .row(row)
        .returning(COLUMNS)
        .audit("cost_reconciliation.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

fn outcome(provider: &str, lines: &BTreeMap<String, Line>, counted: &[Counted]) -> Outcome {
    let mut ours: BTreeMap<String, Vec<&Sums>> = BTreeMap::new();
    for row in counted {
        ours.entry(reconcile::key(provider, &row.model))
            .or_default()
            .push(&row.sums);
    }
    let tokens: BTreeMap<String, Tokens> = ours
        .iter()
        .map(|(model, sums)| {
            (
                model.clone(),
                reconcile::total(sums.iter().map(|s| s.tokens())),
            )
        })
        .collect();
    let compared = reconcile::compare(lines, &tokens);
    let costs = lines.iter().filter_map(|(model, line)| {
        let theirs = i128::from(line.pusd?);
        let counted: i128 = ours
            .get(model)
            .into_iter()
            .flatten()
            .map(|sums| sums.pusd())
            .sum();
        Some(Cost {
            model: model.clone(),
            provider_usd: usd(theirs),
            counted_usd: usd(counted),
            difference_usd: usd(theirs - counted),
        })
    });
    Outcome {
        agrees: compared.iter().all(|row| row.difference == 0),
        costs: costs.collect(),
        tokens: compared
            .into_iter()
            .map(|row| Bucket {
                model: row.model,
                bucket: row.bucket.to_owned(),
                provider: row.provider,
                counted: row.counted,
                difference: row.difference,
            })
            .collect(),
    }
}
