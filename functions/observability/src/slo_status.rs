//! `GET /api/v1/observability/slos/{id}/status`
//!
//! Error budget and burn rate as in Google's Site Reliability Workbook, chapters 2 and 5: the budget is the share of runs
//! that may be bad, and a burn rate of 1 uses it up exactly when the window is over.

use crate::SlosRead;
use nodeai_app::{Caller, PathId, clock};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const DAY_US: f64 = 86_400_000_000.0;

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Runs {
    total: i64,
    good: i64,
}

#[derive(Debug, Deserialize)]
struct Recent {
    #[serde(rename = "1h")]
    hour: Runs,
    #[serde(rename = "6h")]
    six_hours: Runs,
    #[serde(rename = "3d")]
    three_days: Runs,
}

#[derive(Debug, Deserialize)]
struct Counted {
    at_us: i64,
    since_us: i64,
    objective: f64,
    window_days: i64,
    total: i64,
    good: i64,
    recent: Recent,
}

/// How fast the budget goes; null without runs in that time.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct BurnRates {
    /// In the last hour.
    #[serde(rename = "1h")]
    hour: Option<f64>,
    /// In the last six hours.
    #[serde(rename = "6h")]
    six_hours: Option<f64>,
    /// In the last three days.
    #[serde(rename = "3d")]
    three_days: Option<f64>,
}

/// Where an objective stands.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct SloStatus {
    /// Runs since then are counted, RFC 3339: whole hours.
    since: String,
    /// Good runs. Those of a latency are off where a run took up to 2 % more than the threshold: it counts as good.
    good: i64,
    /// All runs.
    total: i64,
    /// Good of all, 0 to 1; null without runs.
    attainment: Option<f64>,
    /// Share of the budget that is left: 1 when no run was bad, below 0 when the objective is missed.
    error_budget_remaining: f64,
    /// Counted run by run, up to now.
    burn_rates: BurnRates,
    /// When nothing is left if the last six hours go on, RFC 3339. Null when they use less than comes back, or when
    /// nothing is left already.
    exhausts_at: Option<String>,
}

/// Counts in one call.
pub async fn handle(
    caller: Caller<SlosRead>,
    PathId(id): PathId,
) -> Result<Json<SloStatus>, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id});
    let counted: Option<Counted> = caller.call("slo_status", &args).await?;
    let counted = counted.ok_or_else(|| Problem::not_found("there is no such objective"))?;
    Ok(Json::ok(status(&counted)))
}

fn status(counted: &Counted) -> SloStatus {
    let budget = 1.0 - counted.objective;
    let bad_share = |runs: Runs| {
        let bad = (runs.total - runs.good) as f64;
        (runs.total > 0).then(|| bad / runs.total as f64)
    };
    let burn = |runs: Runs| bad_share(runs).map(|share| share / budget);
    let all = Runs {
        total: counted.total,
        good: counted.good,
    };
    let left = 1.0 - burn(all).unwrap_or(0.0);
    let burn_rates = BurnRates {
        hour: burn(counted.recent.hour),
        six_hours: burn(counted.recent.six_hours),
        three_days: burn(counted.recent.three_days),
    };
    // At a rate of 1 or less, as much comes back at the window's other end.
    let rate = burn_rates
        .six_hours
        .filter(|rate| *rate > 1.0 && left > 0.0);
    let exhausts_us = rate.map(|rate| {
        let window_us = counted.window_days as f64 * DAY_US;
        counted.at_us + (left / rate * window_us) as i64
    });
    SloStatus {
        since: clock::rfc3339(counted.since_us),
        good: counted.good,
        total: counted.total,
        attainment: bad_share(all).map(|share| 1.0 - share),
        error_budget_remaining: left,
        burn_rates,
        exhausts_at: exhausts_us.map(clock::rfc3339),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(total: i64, good: i64, recent: [(i64, i64); 3]) -> SloStatus {
        let runs = |(total, good)| Runs { total, good };
        status(&Counted {
            at_us: 0,
            since_us: 0,
            objective: 0.75,
            window_days: 4,
            total,
            good,
            recent: Recent {
                hour: runs(recent[0]),
                six_hours: runs(recent[1]),
                three_days: runs(recent[2]),
            },
        })
    }

    #[test]
    fn a_budget_that_is_half_used_lasts_as_long_as_the_rate_says() {
        // A quarter of the runs may be bad; an eighth was, half of the last six hours' are.
        let status = counted(80, 70, [(0, 0), (10, 5), (80, 70)]);
        assert_eq!(status.attainment, Some(0.875));
        assert_eq!(status.error_budget_remaining, 0.5);
        assert_eq!(
            (status.burn_rates.hour, status.burn_rates.six_hours),
            (None, Some(2.0))
        );
        // Half of the budget at twice the rate: a quarter of four days.
        assert_eq!(status.exhausts_at, Some(clock::rfc3339(86_400_000_000)));
    }

    #[test]
    fn without_runs_all_of_it_is_left() {
        let status = counted(0, 0, [(0, 0); 3]);
        assert_eq!((status.attainment, status.exhausts_at), (None, None));
        assert_eq!(status.error_budget_remaining, 1.0);
    }

    #[test]
    fn what_is_used_up_or_comes_back_has_no_end() {
        let used = counted(8, 4, [(8, 4); 3]);
        assert_eq!(used.error_budget_remaining, -1.0);
        assert_eq!(used.exhausts_at, None);
        let slow = counted(8, 8, [(8, 8), (8, 6), (8, 8)]);
        assert_eq!(slow.burn_rates.six_hours, Some(1.0));
        assert_eq!(slow.exhausts_at, None);
    }
}
