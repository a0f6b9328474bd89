//! Forecasts as the API shows them: money in micro-USD, rounded, since they are estimates.

use crate::spend::{Series, after};
use chrono::{Datelike, NaiveDate};
use nodeai_forecast::backtest::Score;
use nodeai_forecast::conformal::Level;
use nodeai_forecast::outlook::{FEWEST, Interval, Outlook};
use schemars::JsonSchema;
use serde::Serialize;

/// An amount that is to come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Estimate {
    /// Micro-USD.
    pub usd_micros: i64,
    /// Lower and upper end of the interval that holds in 80 of 100 cases; null with fewer than 4 residuals.
    pub p80: Option<[i64; 2]>,
    /// The one that holds in 95 of 100 cases; null with fewer than 19 residuals.
    pub p95: Option<[i64; 2]>,
    /// Errors of past forecasts over the same time that the intervals are made of (split conformal); of sums, those over
    /// times that do not overlap.
    pub residuals: usize,
    /// Why an interval is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Estimate {
    /// Of an interval and what was spent already; nothing ends below `at_least`.
    pub fn new(interval: &Interval, already: f64, at_least: f64) -> Self {
        let amount = |value: f64| (value + already).max(at_least).round() as i64;
        let ends = |ends: Option<(f64, f64)>| ends.map(|(low, high)| [amount(low), amount(high)]);
        let missing = match (interval.p80, interval.p95) {
            (None, _) => Some(("80 % and 95 %", Level::P80)),
            (_, None) => Some(("95 %", Level::P95)),
            _ => None,
        };
        let reason = missing.map(|(which, level)| {
            let (needs, has) = (level.needs(), interval.errors);
            format!(
                "no interval of {which}: the history allows {has} residuals, {needs} are needed"
            )
        });
        Self {
            usd_micros: amount(interval.value),
            p80: ends(interval.p80),
            p95: ends(interval.p95),
            residuals: interval.errors,
            reason,
        }
    }
}

/// A day that is to come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Day {
    /// `YYYY-MM-DD`, UTC.
    #[schemars(with = "String")]
    pub day: NaiveDate,
    /// Its spend.
    #[serde(flatten)]
    pub spend: Estimate,
}

/// How a method did in the backtest.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MethodScore {
    /// `mean`, `seasonal_naive`, `holt_winters`, `theta` or `combination` (the median of the three before).
    pub method: &'static str,
    /// Mean absolute scaled error over up to 7 days ahead; below 1 is better than last week's value. Null where spend did
    /// not vary.
    pub mase: Option<f64>,
    /// Mean absolute error, micro-USD a day.
    pub mae_usd_micros: i64,
    /// Forecasts that were compared with what came.
    pub forecasts: usize,
}

impl From<&Score> for MethodScore {
    fn from(score: &Score) -> Self {
        Self {
            method: score.method.as_str(),
            mase: score.mase,
            mae_usd_micros: score.mae.round() as i64,
            forecasts: score.forecasts,
        }
    }
}

/// A series and its forecast.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Forecast {
    /// Which model, provider, workflow, node or user; null for the total, or for spend that has none.
    pub key: Option<String>,
    /// The method that did best; null where there is no forecast.
    pub method: Option<&'static str>,
    /// Days of history, from the first spend to yesterday.
    pub history_days: usize,
    /// From today on.
    pub days: Vec<Day>,
    /// All days of the horizon together, today as a whole.
    pub sum: Option<Estimate>,
    /// This month: what was spent and what is to come.
    pub month_end: Option<Estimate>,
    /// How the methods did in the backtest, best first.
    pub backtest: Vec<MethodScore>,
    /// Why there is no forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Days from `today` to the end of its month, both included.
pub fn days_left(today: NaiveDate) -> usize {
    let next = match today.month() {
        12 => NaiveDate::from_ymd_opt(today.year() + 1, 1, 1),
        month => NaiveDate::from_ymd_opt(today.year(), month + 1, 1),
    };
    let left = next.map_or(1, |next| (next - today).num_days());
    usize::try_from(left).unwrap_or(1)
}

impl Forecast {
    /// Forecasts `series` for `horizon` days from `today` on.
    pub fn of(series: &Series, today: NaiveDate, horizon: usize) -> Self {
        let left = days_left(today);
        let Some(outlook) = Outlook::of(&series.days, horizon.max(left)) else {
            return Self::none(series.key.clone());
        };
        let days = outlook.days.iter().take(horizon).enumerate();
        let days = days.map(|(step, interval)| Day {
            day: after(today, step),
            spend: Estimate::new(interval, 0.0, if step == 0 { series.today } else { 0.0 }),
        });
        let past = today.day0() as usize;
        let month: f64 = series.days.iter().rev().take(past).sum();
        Self {
            key: series.key.clone(),
            method: Some(outlook.method.as_str()),
            history_days: outlook.history_days(),
            days: days.collect(),
            sum: Some(Estimate::new(&outlook.sum(horizon), 0.0, series.today)),
            month_end: Some(Estimate::new(
                &outlook.sum(left),
                month,
                month + series.today,
            )),
            backtest: outlook.scores.iter().map(MethodScore::from).collect(),
            reason: None,
        }
    }

    fn none(key: Option<String>) -> Self {
        Self {
            key,
            method: None,
            history_days: 0,
            days: Vec::new(),
            sum: None,
            month_end: None,
            backtest: Vec::new(),
            reason: Some(format!(
                "fewer than {FEWEST} whole days since the first spend"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_ends_on_its_last_day() {
        assert_eq!(days_left(date("2028-02-28")), 2);
        assert_eq!(days_left(date("2026-12-31")), 1);
        assert_eq!(days_left(date("2026-11-01")), 30);
    }

    #[test]
    fn a_month_is_what_was_spent_and_what_is_to_come() {
        let series = Series {
            key: None,
            days: vec![10.0; 100],
            today: 4.0,
        };
        let made = Forecast::of(&series, date("2026-11-26"), 7);
        assert_eq!(made.days.len(), 7);
        assert_eq!(made.days[0].day, date("2026-11-26"));
        assert_eq!(made.sum.unwrap().usd_micros, 70);
        assert_eq!(made.month_end.unwrap().usd_micros, 300);
    }

    #[test]
    fn today_is_never_less_than_what_it_has_cost_already() {
        let series = Series {
            key: None,
            days: vec![10.0; 100],
            today: 25.0,
        };
        let made = Forecast::of(&series, date("2026-11-26"), 2);
        assert_eq!(
            (made.days[0].spend.usd_micros, made.days[1].spend.usd_micros),
            (25, 10)
        );
    }

    #[test]
    fn what_is_missing_has_its_reason() {
        let series = Series {
            key: None,
            days: vec![0.0, 0.0, 1.0],
            today: 0.0,
        };
        assert!(
            Forecast::of(&series, date("2026-11-26"), 2)
                .reason
                .is_some()
        );
        let series = Series {
            key: None,
            days: vec![5.0; 40],
            today: 0.0,
        };
        let day = &Forecast::of(&series, date("2026-11-26"), 2).days[0].spend;
        assert!(day.p80.is_some() && day.p95.is_none());
        assert!(day.reason.as_deref().unwrap().contains("12 residuals, 19"));
    }
}
