//! `POST /api/v1/cost-intelligence/reprice`

use super::sums::{Money, Sums};
use super::window::{Filter, window};
use crate::CostsRead;
use crate::prices::overrides::own_prices;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Valid, clock};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_pricing::{MICROS_PER_DAY, Overrides, Terms, catalogue, day_of_date, reference_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Most heaps of calls with one price that are repriced at once.
const MOST_HEAPS: usize = 20_000;

/// Which calls, and what is otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepriceInput {
    /// From this date or whole hour on (RFC 3339).
    from: String,
    /// Before this date or whole hour.
    to: String,
    /// Which calls; all unless given.
    #[serde(default)]
    filter: Filter,
    /// The prices of this day (`YYYY-MM-DD`); those of the day of each call unless given.
    #[serde(default)]
    prices_of: Option<String>,
    /// Other models: from reference (`openai/gpt-4o`) to reference, at most 50. `openai/*` stands for all of a provider's.
    #[serde(default)]
    models: BTreeMap<String, String>,
    /// Another tier for all: `standard`, `batch`, `flex`, `priority` or `fast`.
    #[serde(default)]
    tier: Option<String>,
    /// A region that is asked for, such as `us`.
    #[serde(default)]
    region: Option<String>,
    /// Whether the organisation's own prices count: yes unless given.
    #[serde(default)]
    overrides: Option<bool>,
}

impl Check for RepriceInput {
    fn check(&self, c: &mut Checker) {
        let dated = self
            .prices_of
            .as_deref()
            .is_none_or(|date| day_of_date(date).is_some());
        c.require(dated, "/prices_of", "format", "must be a date, YYYY-MM-DD");
        c.require(
            self.models.len() <= 50,
            "/models",
            "out_of_range",
            "at most 50",
        );
        for (from, to) in &self.models {
            let named = from.contains('/') && to.contains('/');
            c.require(
                named,
                "/models",
                "format",
                "models are written provider/model",
            );
        }
        for (at, id) in [
            ("/filter/workflow_id", &self.filter.workflow_id),
            ("/filter/user_id", &self.filter.user_id),
        ] {
            c.require(
                id.as_deref().is_none_or(is_uuid),
                at,
                "format",
                "must be a UUID",
            );
        }
        let tiers = ["standard", "batch", "flex", "priority", "fast"];
        let known = self
            .tier
            .as_deref()
            .is_none_or(|tier| tiers.contains(&tier));
        c.require(
            known,
            "/tier",
            "unknown",
            "standard, batch, flex, priority or fast",
        );
    }
}

#[derive(Deserialize)]
struct Heap {
    provider: Option<String>,
    model: String,
    tier: Option<String>,
    day: String,
    /// Half hours of the day.
    slot: i64,
    longest: i64,
    unpriced: bool,
    #[serde(flatten)]
    sums: Sums,
}

/// One model before and after.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Repriced {
    /// The model that was called.
    model: String,
    /// The model whose prices were taken.
    as_model: String,
    /// Calls that have both prices.
    calls: i64,
    /// What they cost.
    before: Money,
    /// What they would have cost.
    after: Money,
    /// After less before.
    difference: Money,
}

/// Calls without one of the two prices.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NotRepriced {
    /// The model.
    model: String,
    /// How many.
    calls: i64,
    /// What they cost, where that is known; it is in no sum.
    cost: Money,
    /// Why.
    reason: String,
}

/// The same use at other prices.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reprice {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
    /// The catalogue.
    catalogue: String,
    /// What the repriced calls cost.
    before: Money,
    /// What they would have cost.
    after: Money,
    /// After less before, exact.
    difference: Money,
    /// By model, the largest difference first.
    models: Vec<Repriced>,
    /// What could not be repriced, and why.
    not_repriced: Vec<NotRepriced>,
}

/// Reprices the calls of a time. Nothing that is stored changes.
pub async fn handle(
    caller: Caller<CostsRead>,
    Valid(input): Valid<RepriceInput>,
) -> Result<Json<Reprice>, Problem> {
    let window = window(Some(&input.from), Some(&input.to), ["/from", "/to"])?;
    let book = catalogue();
    let args = json!({"org_id": caller.org_id(), "from_us": window.from_us, "to_us": window.to_us,
        "filter": input.filter.checked()?, "thresholds": book.thresholds(), "by_hour": book.hourly()});
    let heaps: Vec<Heap> = caller.call("cost_heaps", &args).await?;
    if heaps.len() > MOST_HEAPS {
        return Err(Problem::does_not_fit(
            "the time has too many kinds of calls: shorten or filter it",
        ));
    }
    let own = match input.overrides.unwrap_or(true) {
        true => own_prices(&caller).await?,
        false => Overrides::default(),
    };
    let mut reprice = repriced(&heaps, &input, &own);
    reprice.from = clock::rfc3339(window.from_us);
    reprice.to = clock::rfc3339(window.to_us);
    Ok(Json::ok(reprice))
}

/// The model whose prices are taken.
fn substitute(models: &BTreeMap<String, String>, reference: &str) -> String {
    let id = catalogue()
        .find(reference)
        .map_or(reference, |entry| entry.id.as_str());
    if let Some(to) = models.get(reference).or_else(|| models.get(id)) {
        return to.clone();
    }
    let (provider, model) = reference.split_once('/').unwrap_or(("", reference));
    match models.get(&format!("{provider}/*")) {
        Some(to) => to.replace('*', model),
        None => reference.to_owned(),
    }
}

fn repriced(heaps: &[Heap], input: &RepriceInput, own: &Overrides) -> Reprice {
    let mut done: BTreeMap<(String, String), (i64, i128, i128)> = BTreeMap::new();
    let mut left: BTreeMap<(String, String), (i64, i128)> = BTreeMap::new();
    let fixed = input.prices_of.as_deref().and_then(day_of_date);
    for heap in heaps {
        let reference = reference_of(heap.provider.as_deref().unwrap_or_default(), &heap.model);
        let as_model = substitute(&input.models, &reference);
        let day = fixed.or_else(|| day_of_date(&heap.day)).unwrap_or(0);
        let terms = Terms {
            at_us: day * MICROS_PER_DAY + heap.slot * 30 * 60_000_000,
            tier: input.tier.as_deref().or(heap.tier.as_deref()),
            region: input.region.as_deref(),
        };
        let (tokens, calls) = (heap.sums.tokens(), heap.sums.calls);
        let priced = catalogue().price_heap(own, &as_model, &tokens, &terms, heap.longest, calls);
        let reason = match (&priced, heap.unpriced) {
            (Err(why), _) => Some(why.to_string()),
            (Ok(_), true) => Some("what these calls cost was not known".to_owned()),
            (Ok(_), false) => None,
        };
        match (priced, reason) {
            (Ok(priced), None) => {
                let sum = done.entry((reference, as_model)).or_default();
                *sum = (
                    sum.0 + calls,
                    sum.1 + heap.sums.pusd(),
                    sum.2 + i128::from(priced.pusd),
                );
            }
            (_, reason) => {
                let sum = left
                    .entry((reference, reason.unwrap_or_default()))
                    .or_default();
                *sum = (sum.0 + calls, sum.1 + heap.sums.pusd());
            }
        }
    }
    shown(done, left)
}

fn shown(
    done: BTreeMap<(String, String), (i64, i128, i128)>,
    left: BTreeMap<(String, String), (i64, i128)>,
) -> Reprice {
    let before: i128 = done.values().map(|sum| sum.1).sum();
    let after: i128 = done.values().map(|sum| sum.2).sum();
    let mut models: Vec<_> = done.into_iter().collect();
    models.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.2 - sum.1).abs()));
    let models = models
        .into_iter()
        .map(|((model, as_model), (calls, before, after))| Repriced {
            model,
            as_model,
            calls,
            before: before.into(),
            after: after.into(),
            difference: (after - before).into(),
        });
    let not_repriced = left
        .into_iter()
        .map(|((model, reason), (calls, cost))| NotRepriced {
            model,
            calls,
            cost: cost.into(),
            reason,
        });
    Reprice {
        from: String::new(),
        to: String::new(),
        catalogue: catalogue().version.clone(),
        before: before.into(),
        after: after.into(),
        difference: (after - before).into(),
        models: models.collect(),
        not_repriced: not_repriced.collect(),
    }
}
