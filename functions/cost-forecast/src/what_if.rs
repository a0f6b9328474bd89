//! `POST /api/v1/cost-forecast/what-if`

use crate::ForecastsRead;
use crate::model::Forecast;
use crate::spend::{By, Filter, HISTORY, Series, after, read, today};
use chrono::Days;
use nodeai_app::{Caller, Valid};
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_llm::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Days whose tokens say what another model would have cost.
const MIX: u64 = 28;

/// One model in place of another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The model whose calls move, as spans name it.
    from: String,
    /// Where to, `provider/model` of the catalogue. This or `ratio`.
    #[serde(default)]
    to: Option<String>,
    /// What a call costs of what it cost before, such as 0.5.
    #[serde(default)]
    ratio: Option<f64>,
}

/// What would change from today on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Days from today on: 1 to 92, 30 unless given.
    #[serde(default)]
    horizon: Option<u32>,
    /// Percent more or fewer calls: -100 to 1000.
    #[serde(default)]
    traffic_percent: Option<f64>,
    /// Up to 5 models that others take the place of.
    #[serde(default)]
    swaps: Vec<Swap>,
    /// Whose spend.
    #[serde(default)]
    filter: Filter,
}

impl Check for WhatIf {
    fn check(&self, c: &mut Checker) {
        let horizon = self.horizon.is_none_or(|days| (1..=92).contains(&days));
        c.require(horizon, "/horizon", "out_of_range", "must be from 1 to 92");
        let traffic = self
            .traffic_percent
            .is_none_or(|p| (-100.0..=1000.0).contains(&p));
        c.require(
            traffic,
            "/traffic_percent",
            "out_of_range",
            "must be from -100 to 1000",
        );
        let few = self.swaps.len() <= 5;
        c.require(few, "/swaps", "too_many", "at most 5 swaps");
        for (i, swap) in self.swaps.iter().enumerate() {
            let at = |field: &str| format!("/swaps/{i}/{field}");
            c.length(&swap.from, 1, 200, &at("from"));
            let first = self.swaps[..i].iter().all(|other| other.from != swap.from);
            c.require(first, &at("from"), "repeated", "a model moves once");
            let one = swap.to.is_some() != swap.ratio.is_some();
            c.require(one, &at("to"), "required", "give to or ratio");
            let ratio = swap.ratio.is_none_or(|r| (0.0..=1000.0).contains(&r));
            c.require(
                ratio,
                &at("ratio"),
                "out_of_range",
                "must be from 0 to 1000",
            );
        }
        let wrong = self.filter.wrong();
        let at = format!("/filter/{}", wrong.unwrap_or_default());
        c.require(wrong.is_none(), &at, "format", "must be a UUID");
    }
}

/// What a swap does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swapped {
    /// The model whose calls move.
    from: String,
    /// Where to.
    to: Option<String>,
    /// What they cost of what they cost before: the prices of both over the tokens of the last 28 days.
    ratio: f64,
}

/// Both forecasts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Compared {
    /// As it goes on.
    baseline: Forecast,
    /// As it would be: the forecast of the history as it would have been.
    changed: Forecast,
    /// The difference of the horizon's sums, micro-USD; null without a forecast.
    difference_usd_micros: Option<i64>,
    /// What each swap does.
    swaps: Vec<Swapped>,
}

#[derive(Deserialize)]
struct Mix {
    model: Option<String>,
    calls: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_tokens: i64,
    cost_pusd: f64,
}

/// Nothing is stored.
pub async fn handle(
    caller: Caller<ForecastsRead>,
    Valid(ask): Valid<WhatIf>,
) -> Result<Json<Compared>, Problem> {
    let total = read(&caller, HISTORY, By::Total, &ask.filter, 1).await?;
    let mut moved = Vec::new();
    let mix = mix(&caller, &ask.filter).await?;
    for (i, swap) in ask.swaps.iter().enumerate() {
        let ratio = ratio(swap, &mix).map_err(|detail| {
            let pointer = format!("/swaps/{i}/to");
            Problem::fields(vec![FieldError::body(pointer, "unpriced", detail)])
        })?;
        let filter = Filter {
            model: Some(swap.from.clone()),
            ..ask.filter.clone()
        };
        let spend = read(&caller, HISTORY, By::Total, &filter, 1).await?;
        moved.push((ratio, spend.series.into_iter().next()));
    }
    caller.session.release();
    let horizon = ask.horizon.unwrap_or(30) as usize;
    let traffic = 1.0 + ask.traffic_percent.unwrap_or(0.0) / 100.0;
    let nothing = || Series {
        key: None,
        days: Vec::new(),
        today: 0.0,
    };
    let before = total.series.into_iter().next().unwrap_or_else(nothing);
    let baseline = Forecast::of(&before, total.today, horizon);
    let after = Forecast::of(&changed(&before, &moved, traffic), total.today, horizon);
    Ok(Json::ok(compared(baseline, after, ask.swaps, &moved)))
}

/// The tokens of each model in the last days.
async fn mix(caller: &Caller<ForecastsRead>, filter: &Filter) -> Result<Vec<Mix>, Problem> {
    let today = today();
    let from = today.checked_sub_days(Days::new(MIX)).unwrap_or(today);
    let args =
        json!({"org_id": caller.org_id(), "from": from, "to": after(today, 1), "filter": filter});
    caller.call("forecast_mix", &args).await
}

/// What calls of the model cost at `to` of what they cost now, from the average call. Errors: why it is not known.
fn ratio(swap: &Swap, mix: &[Mix]) -> Result<f64, String> {
    if let Some(ratio) = swap.ratio {
        return Ok(ratio);
    }
    let to = swap.to.as_deref().unwrap_or_default();
    let used = mix
        .iter()
        .find(|used| used.model.as_deref() == Some(&swap.from));
    let used = used.filter(|used| used.calls > 0 && used.cost_pusd > 0.0);
    let used = used.ok_or_else(|| format!("{} cost nothing in the last {MIX} days", swap.from))?;
    let each = |tokens: i64| tokens / used.calls;
    // Read as JSON: buckets that are not named here stay empty.
    let usage = json!({"prompt_tokens": each(used.prompt_tokens),
        "completion_tokens": each(used.completion_tokens), "cached_tokens": each(used.cache_read_tokens)});
    let usage: Usage = serde_json::from_value(usage).map_err(|error| error.to_string())?;
    let price = nodeai_llm::cost(to, &usage);
    let price = price.ok_or_else(|| format!("the price of {to} is not known; give ratio"))?;
    Ok(price as f64 * used.calls as f64 / used.cost_pusd)
}

/// The history as it would have been.
fn changed(total: &Series, moved: &[(f64, Option<Series>)], traffic: f64) -> Series {
    let day = |value: f64, part: &dyn Fn(&Series) -> f64| {
        let gains = moved.iter().map(|(ratio, series)| {
            series
                .as_ref()
                .map_or(0.0, |series| (ratio - 1.0) * part(series))
        });
        ((value + gains.sum::<f64>()) * traffic).max(0.0)
    };
    let days = total.days.iter().enumerate();
    let days = days.map(|(i, value)| day(*value, &|s| s.days.get(i).copied().unwrap_or(0.0)));
    Series {
        key: None,
        days: days.collect(),
        today: total.today,
    }
}

fn compared(
    baseline: Forecast,
    changed: Forecast,
    swaps: Vec<Swap>,
    moved: &[(f64, Option<Series>)],
) -> Compared {
    let sums = baseline.sum.as_ref().zip(changed.sum.as_ref());
    let difference = sums.map(|(before, after)| after.usd_micros - before.usd_micros);
    let swaps = swaps
        .into_iter()
        .zip(moved)
        .map(|(swap, (ratio, _))| Swapped {
            from: swap.from,
            to: swap.to,
            ratio: *ratio,
        });
    Compared {
        swaps: swaps.collect(),
        difference_usd_micros: difference,
        baseline,
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: f64) -> Series {
        Series {
            key: None,
            days: vec![value; 50],
            today: 0.0,
        }
    }

    #[test]
    fn a_swap_changes_the_models_part_and_traffic_all_of_it() {
        let made = changed(&series(100.0), &[(0.5, Some(series(40.0)))], 1.1);
        assert!((made.days[0] - 88.0).abs() < 1e-9);
        let made = changed(&series(100.0), &[], 0.0);
        assert_eq!(made.days[0], 0.0);
    }

    #[test]
    fn the_ratio_is_of_prices_over_the_tokens_that_were_used() {
        let used = Mix {
            model: Some("gpt-4o".to_owned()),
            calls: 10,
            prompt_tokens: 10_000,
            completion_tokens: 1_000,
            cache_read_tokens: 0,
            // 2.50 and 10.00 USD per million tokens.
            cost_pusd: 10_000.0 * 2_500_000.0 + 1_000.0 * 10_000_000.0,
        };
        let swap = |to: &str| Swap {
            from: "gpt-4o".to_owned(),
            to: Some(to.to_owned()),
            ratio: None,
        };
        let found = ratio(&swap("openai/gpt-4o-mini"), &[used]).unwrap();
        // 0.15 and 0.60.
        assert!((found - 0.06).abs() < 1e-9, "{found}");
        assert!(ratio(&swap("acme/unknown"), &[]).is_err());
    }
}
