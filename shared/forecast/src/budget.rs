//! When a budget is crossed, and how likely: each path of errors of the past, laid over the forecast, is one future.

use crate::outlook::Outlook;

/// What becomes of a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Breach {
    /// The day, counted from 0, on which the forecast itself crosses it.
    pub expected_day: Option<usize>,
    /// The first day up to which half of the futures have crossed it.
    pub median_day: Option<usize>,
    /// The chance of crossing it within the days asked for; `None` with fewer than four futures.
    pub probability: Option<f64>,
    /// The chance of having crossed it by the end of each day; empty with fewer than four futures.
    pub by_day: Vec<f64>,
    /// How many futures it is made of.
    pub futures: usize,
}

/// Fewest futures that give a chance.
const FEWEST: usize = 4;

/// Crossing `left` (what the budget still allows) within `days` days. A budget with nothing left is crossed already: on
/// day 0, with certainty.
pub fn breach(outlook: &Outlook, left: f64, days: usize) -> Breach {
    let days = days.min(outlook.days.len());
    let said: Vec<f64> = outlook.days[..days].iter().map(|day| day.value).collect();
    let futures = outlook.paths(days);
    let crossings: Vec<Option<usize>> = futures
        .iter()
        .map(|path| crossing(said.iter().zip(path).map(|(f, e)| (f + e).max(0.0)), left))
        .collect();
    let crossed_by = |day: usize| crossings.iter().flatten().filter(|at| **at <= day).count();
    let n = crossings.len();
    // As ranks in the conformal intervals: what comes is one more than the n that were seen, and counts half here.
    let chance = |day: usize| match left <= 0.0 {
        true => 1.0,
        false => (crossed_by(day) as f64 + 0.5) / (n as f64 + 1.0),
    };
    let by_day: Vec<f64> = match n >= FEWEST {
        true => (0..days).map(chance).collect(),
        false => Vec::new(),
    };
    Breach {
        expected_day: crossing(said.iter().copied(), left),
        median_day: by_day.iter().position(|chance| *chance >= 0.5),
        probability: by_day.last().copied(),
        by_day,
        futures: n,
    }
}

fn crossing(days: impl Iterator<Item = f64>, left: f64) -> Option<usize> {
    let mut sum = 0.0;
    for (day, value) in days.enumerate() {
        sum += value;
        if sum > left || left <= 0.0 {
            return Some(day);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook() -> Outlook {
        let history: Vec<f64> = (0..100)
            .map(|d| 10.0 + ((d * 29) % 7) as f64 - 3.0)
            .collect();
        Outlook::of(&history, 20).unwrap()
    }

    #[test]
    fn a_budget_is_crossed_when_its_days_are_up() {
        let found = breach(&outlook(), 95.0, 20);
        let day = found.expected_day.unwrap();
        assert!((8..=10).contains(&day), "{found:?}");
        assert!(found.probability.unwrap() > 0.95);
        assert!(found.by_day.windows(2).all(|w| w[0] <= w[1]));
        assert!(found.median_day.unwrap().abs_diff(day) <= 1);
    }

    #[test]
    fn a_budget_that_is_large_or_used_up_is_no_question() {
        let found = breach(&outlook(), 10_000.0, 20);
        assert_eq!((found.expected_day, found.median_day), (None, None));
        assert!(found.probability.unwrap() < 0.02);
        let found = breach(&outlook(), 0.0, 20);
        assert_eq!(
            (found.expected_day, found.probability),
            (Some(0), Some(1.0))
        );
    }

    #[test]
    fn few_days_give_a_day_and_no_chance() {
        let short = Outlook::of(&[10.0; 10], 20).unwrap();
        let found = breach(&short, 35.0, 20);
        assert_eq!((found.expected_day, found.probability), (Some(3), None));
    }
}
