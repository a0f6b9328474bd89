//! `POST /api/v1/prompt-playground/estimate`

use crate::run::TrialInput;
use crate::{PromptsRun, dataset, rules};
use nodeai_app::{Caller, Valid, clock};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_pricing::usd;
use nodeai_prompts::{Prices, Trial};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// What one model would cost for all rows now, by the organisation's own prices and the catalogue's.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Estimated {
    /// `provider/model`.
    model: String,
    /// Tokens of the prompts, estimated by their length; `POST /api/v1/models/count-tokens` counts them.
    prompt_tokens: i64,
    /// What the prompts cost, USD as a decimal text; null where the price is not known.
    prompt_usd: Option<String>,
    /// The same with answers that are as long as `max_tokens` lets them; null without that limit, or without a price.
    most_usd: Option<String>,
}

/// What a trial would cost. Nothing is asked.
pub async fn handle(
    caller: Caller<PromptsRun>,
    Valid(input): Valid<TrialInput>,
) -> Result<Json<Page<Estimated>>, Problem> {
    let rows = dataset::rows(&caller, input.dataset.as_ref(), input.rows).await?;
    let own = json!({"org_id": caller.org_id()});
    let prices = Prices::own(caller.call("own_prices", &own).await?);
    caller.session.release();
    let rows = rules::rendered(&input.prompt, &rows)?;
    let trial = Trial {
        template: &input.prompt,
        candidates: &input.models,
        rows: &rows,
    };
    let text = |pusd: Option<i64>| pusd.map(|pusd| usd(i128::from(pusd)));
    let pairs = input
        .models
        .iter()
        .zip(trial.estimates(&prices, clock::now_us()));
    let shown = pairs.map(|(candidate, estimate)| Estimated {
        model: candidate.model.clone(),
        prompt_tokens: estimate.prompt_tokens,
        prompt_usd: text(estimate.prompt_pusd),
        most_usd: text(estimate.most_pusd),
    });
    Ok(Json::ok(Page {
        data: shown.collect(),
        next_cursor: None,
    }))
}
