//! The forecast of a series as a user sees it: days and their sum, each with intervals, the method and how it did.

use crate::backtest::{Backtest, Score};
use crate::conformal::{Level, independent, radius};
use crate::holt_winters::HoltWinters;
use crate::method::{Method, forecasts};

/// Days of a week: the season of spend.
pub const WEEK: usize = 7;
/// Fewest days of a history that is forecast at all.
pub const FEWEST: usize = 3;

/// A value with what it may become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The forecast.
    pub value: f64,
    /// Lower and upper end at 80 %; `None` with fewer than 4 errors of this horizon.
    pub p80: Option<(f64, f64)>,
    /// Lower and upper end at 95 %; `None` with fewer than 19.
    pub p95: Option<(f64, f64)>,
    /// Errors of the past that it rests on; of sums, those that do not overlap.
    pub errors: usize,
}

impl Interval {
    /// Of a sum over `span` days.
    fn new(value: f64, errors: &[f64], span: usize) -> Self {
        let ends = |level| {
            let radius = radius(errors, span, level)?;
            Some(((value - radius).max(0.0), value + radius))
        };
        Self {
            value,
            p80: ends(Level::P80),
            p95: ends(Level::P95),
            errors: independent(errors.len(), span),
        }
    }
}

/// A forecast.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The method that did best in the backtest; the first that fits where there is none.
    pub method: Method,
    /// The days to come.
    pub days: Vec<Interval>,
    /// How the methods did, best first; empty with less than four weeks and a day.
    pub scores: Vec<Score>,
    history: Vec<f64>,
    backtest: Backtest,
}

/// How often intervals held in the last part of the past, each made of the errors before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Share of intervals that held at 80 %.
    pub p80: Option<f64>,
    /// Share at 95 %.
    pub p95: Option<f64>,
    /// Intervals that were tried.
    pub tried: usize,
}

impl Outlook {
    /// Forecasts `horizon` days after `history` (whole days, oldest first). Days before the first spend do not count.
    /// `None` with fewer than [`FEWEST`] days.
    pub fn of(history: &[f64], horizon: usize) -> Option<Self> {
        let begin = history.iter().position(|v| *v > 0.0).unwrap_or(0);
        let history = history[begin..].to_vec();
        if history.len() < FEWEST {
            return None;
        }
        let backtest = Backtest::run(&history, WEEK, horizon.max(1));
        let scores = backtest.scores(&history, WEEK);
        // Fitted as at the origins of the backtest, so that its errors are those of this forecast.
        let near = backtest.smoothing;
        let smoothing = near.map(|near| HoltWinters::fit(&history, WEEK, Some(near)).smoothing);
        let made = forecasts(&history, WEEK, horizon, smoothing);
        let best = scores.first().map_or(made[0].0, |score| score.method);
        let said = made.into_iter().find(|(method, _)| *method == best)?;
        let days = said.1.iter().enumerate().map(|(step, value)| {
            let paths = backtest.paths(&history, best, step + 1);
            let errors: Vec<f64> = paths.iter().map(|path| path[step]).collect();
            Interval::new(*value, &errors, 1)
        });
        Some(Self {
            method: best,
            days: days.collect(),
            scores,
            backtest,
            history,
        })
    }

    /// The sum of the first `days` days, its interval made of the errors of such sums.
    pub fn sum(&self, days: usize) -> Interval {
        let value = self.days.iter().take(days).map(|day| day.value).sum();
        let errors: Vec<f64> = self
            .paths(days)
            .iter()
            .map(|path| path.iter().sum())
            .collect();
        Interval::new(value, &errors, days.max(1))
    }

    /// The method's errors of the past over `days` days, day by day.
    pub fn paths(&self, days: usize) -> Vec<Vec<f64>> {
        self.backtest.paths(&self.history, self.method, days)
    }

    /// How many days the forecast rests on.
    pub fn history_days(&self) -> usize {
        self.history.len()
    }

    /// How often intervals one day ahead would have held: for each of the last days, from the errors before it alone.
    pub fn coverage(&self) -> Coverage {
        let paths = self.backtest.paths(&self.history, self.method, 1);
        let errors: Vec<f64> = paths.iter().map(|path| path[0]).collect();
        let held = |level: Level| {
            let tried: Vec<bool> = (level.needs()..errors.len())
                .filter_map(|i| Some(errors[i].abs() <= radius(&errors[..i], 1, level)?))
                .collect();
            let share = tried.iter().filter(|held| **held).count() as f64 / tried.len() as f64;
            (!tried.is_empty()).then_some(share)
        };
        Coverage {
            p80: held(Level::P80),
            p95: held(Level::P95),
            tried: errors.len().saturating_sub(Level::P80.needs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekly(days: usize) -> Vec<f64> {
        let week = [10.0, 12.0, 11.0, 10.0, 9.0, 3.0, 2.0];
        (0..days)
            .map(|d| week[d % 7] + ((d * 37) % 11) as f64 / 10.0)
            .collect()
    }

    #[test]
    fn a_short_history_has_a_forecast_and_no_intervals() {
        assert!(Outlook::of(&[1.0, 2.0], 5).is_none());
        let outlook = Outlook::of(&[1.0, 2.0, 3.0], 5).unwrap();
        assert_eq!(outlook.method, Method::Mean);
        assert_eq!(
            outlook.days[4],
            Interval {
                value: 2.0,
                p80: None,
                p95: None,
                errors: 0
            }
        );
        assert!(outlook.scores.is_empty());
    }

    #[test]
    fn intervals_come_with_the_errors_that_they_need() {
        let outlook = Outlook::of(&weekly(28 + 18), 7).unwrap();
        let (tomorrow, week) = (&outlook.days[0], &outlook.days[6]);
        assert_eq!((tomorrow.errors, week.errors), (18, 12));
        assert!(tomorrow.p80.is_some() && tomorrow.p95.is_none());
        let outlook = Outlook::of(&weekly(28 + 19), 7).unwrap();
        assert!(outlook.days[0].p95.is_some() && outlook.sum(7).p95.is_none());
    }

    #[test]
    fn the_pattern_of_the_week_is_forecast() {
        let outlook = Outlook::of(&weekly(140), 14).unwrap();
        assert!(outlook.days[0].value > 9.0 && outlook.days[6].value < 4.0);
        assert!(outlook.scores[0].mase.unwrap() < 1.0);
        let sum = outlook.sum(7);
        assert!((sum.value - 60.5).abs() < 3.0, "{sum:?}");
    }

    #[test]
    fn nothing_was_spent_and_nothing_will_be() {
        let outlook = Outlook::of(&[0.0; 60], 3).unwrap();
        assert_eq!(outlook.days[2].value, 0.0);
        assert_eq!(outlook.scores[0].mase, None);
    }
}
