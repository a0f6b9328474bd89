//! `GET /api/v1/cost-intelligence/advice`

use super::sums::Money;
use super::window::timed_query;
use crate::CostsRead;
use crate::prices::overrides::own_prices;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_pricing::advice::{Calls, saving, smaller};
use nodeai_pricing::{Overrides, reference_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Most pieces of advice in an answer.
const MOST: usize = 100;

timed_query! {
    /// Time and filters.
    AdviceQuery {}
}

#[derive(Deserialize)]
struct Evidence {
    kind: String,
    workflow_id: Option<String>,
    node_id: Option<String>,
    provider: Option<String>,
    model: String,
    calls: i64,
    pusd: String,
    pusd_squared: String,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_tokens: i64,
    longest_answer: i64,
    extra: i64,
    traces: Vec<String>,
}

/// One piece of advice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Advice {
    /// `duplicate_prompts`, `cache_shortfall`, `retry_waste`, `context_growth`, `oversize_model`, `batchable`, `truncations`
    /// or `tool_schemas`.
    kind: &'static str,
    /// What to do.
    advice: String,
    /// The workflow.
    workflow_id: Option<String>,
    /// The node.
    node_id: Option<String>,
    /// The model.
    model: String,
    /// The calls that it rests on.
    calls: i64,
    /// What they cost.
    cost: Money,
    /// What would have been saved in the time looked at: the best guess.
    saving: Money,
    /// Most likely not less.
    saving_low: Money,
    /// Most likely not more.
    saving_high: Money,
    /// How that was reckoned.
    method: &'static str,
    /// Up to five traces, the dearest first.
    trace_ids: Vec<String>,
}

/// Advice, the largest saving first. Savings of two pieces may be about the same calls: they do not add up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdviceList {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
    /// The advice.
    data: Vec<Advice>,
}

/// Reads traces for what could be saved. The dearest 100,000 calls of the time are looked at.
pub async fn handle(
    caller: Caller<CostsRead>,
    Query(query): Query<AdviceQuery>,
) -> Result<Json<AdviceList>, Problem> {
    let window = query.window()?;
    let args = json!({"org_id": caller.org_id(), "from_us": window.from_us, "to_us": window.to_us,
        "filter": query.filter()?});
    let evidence: Vec<Evidence> = caller.call("cost_evidence", &args).await?;
    let own = own_prices(&caller).await?;
    let mut found: Vec<(i128, Advice)> = Vec::new();
    for group in &evidence {
        found.extend(group.advice(&group.kind, &own, window.to_us));
        if group.kind == "prompts" {
            found.extend(group.advice("oversize", &own, window.to_us));
        }
    }
    found.sort_by_key(|(pusd, _)| std::cmp::Reverse(*pusd));
    Ok(Json::ok(AdviceList {
        from: clock::rfc3339(window.from_us),
        to: clock::rfc3339(window.to_us),
        data: found
            .into_iter()
            .take(MOST)
            .map(|(_, advice)| advice)
            .collect(),
    }))
}

impl Evidence {
    fn advice(&self, kind: &str, own: &Overrides, at_us: i64) -> Option<(i128, Advice)> {
        let reference = reference_of(self.provider.as_deref().unwrap_or_default(), &self.model);
        let calls = Calls {
            reference: reference.clone(),
            calls: self.calls,
            pusd: self.pusd.parse().ok()?,
            pusd_squared: self.pusd_squared.parse().ok()?,
            prompt_tokens: self.prompt_tokens,
            cache_read_tokens: self.cache_read_tokens,
            completion_tokens: self.completion_tokens,
            longest_answer: self.longest_answer,
            extra: self.extra,
        };
        let saving = saving(kind, &calls, own, at_us)?;
        let (kind, advice) = words(kind, &reference)?;
        let advice = Advice {
            kind,
            advice,
            workflow_id: self.workflow_id.clone(),
            node_id: self.node_id.clone(),
            model: reference,
            calls: self.calls,
            cost: calls.pusd.into(),
            saving: saving.pusd.into(),
            saving_low: saving.low_pusd.into(),
            saving_high: saving.high_pusd.into(),
            method: saving.method,
            trace_ids: self.traces.clone(),
        };
        Some((saving.pusd, advice))
    }
}

/// The kind as it is shown, and what to do.
fn words(kind: &str, reference: &str) -> Option<(&'static str, String)> {
    let fixed = |kind, advice: &str| Some((kind, advice.to_owned()));
    match kind {
        "duplicates" => fixed(
            "duplicate_prompts",
            "The same prompts are asked again: let the node keep its answers (cache)",
        ),
        "retries" => fixed(
            "retry_waste",
            "Calls fail after tokens were used: see the errors, and retry less or later",
        ),
        "truncations" => fixed(
            "truncations",
            "Answers are cut off at max_tokens: raise it, or ask for shorter answers",
        ),
        "prompts" => fixed(
            "cache_shortfall",
            "Put what is the same in every prompt first, so that the provider's cache has it",
        ),
        "batchable" => fixed(
            "batchable",
            "Nobody waits for these answers: ask for them in a batch",
        ),
        "tools" => fixed(
            "tool_schemas",
            "Definitions of tools take up much of the prompt: offer only those that are used",
        ),
        "growth" => fixed(
            "context_growth",
            "Prompts grow with the conversation: summarise or drop its older part",
        ),
        "oversize" => {
            let smaller = smaller(reference)?;
            Some((
                "oversize_model",
                format!("Short prompts and answers: try {smaller}"),
            ))
        }
        _ => None,
    }
}
