//! Days that were not normal: by a robust z of what the day of the week does not explain, and by a control chart of
//! exponentially weighted means (Roberts, Technometrics 1, 1959) for shifts that are small and stay. Each with its cause:
//! what the values of a dimension add to the difference.

use crate::stats::{mad, median};

/// Days of a week.
const WEEK: usize = 7;
/// Weeks before a day that say what is normal.
const WEEKS: usize = 8;
/// Fewest such days.
const FEWEST: usize = 14;
/// The median absolute deviation of a normal distribution, in standard deviations.
const MAD: f64 = 0.6745;
/// How much the newest value weighs in the chart.
const LAMBDA: f64 = 0.2;
/// Widths of the chart's limits, in standard deviations.
const LIMIT: f64 = 3.0;

/// What made a day stand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The day by itself.
    RobustZ,
    /// The days up to it together.
    Ewma,
}

/// A day that was not normal.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Its place in the series.
    pub day: usize,
    /// What it was.
    pub value: f64,
    /// What a day like it is.
    pub expected: f64,
    /// Robust standard deviations between them.
    pub z: f64,
    /// The chart's value, in units of its limit: beyond 1 or below -1 it is out of control.
    pub ewma: f64,
    /// By what it was found.
    pub signs: Vec<Sign>,
}

/// What one value of a dimension adds to an anomaly.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// Place of the value's series.
    pub key: usize,
    /// What it was that day.
    pub value: f64,
    /// What it is on such a day.
    pub expected: f64,
    /// Its share of the difference; can be negative or above 1 where values went different ways.
    pub share: f64,
}

/// The days of `y` from `from` on whose robust z is `threshold` or more, or at which the chart leaves its limits. A day is
/// compared with the eight weeks before it; it needs two.
pub fn anomalies(y: &[f64], from: usize, threshold: f64) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let (mut chart, mut steps) = (0.0, 0_i32);
    let mut out = false;
    for day in FEWEST..y.len() {
        let Some((expected, spread)) = normal(y, day) else {
            continue;
        };
        let z = (y[day] - expected) / spread;
        // One wild day is the other sign's; the chart is for those that stay.
        chart = LAMBDA * z.clamp(-LIMIT, LIMIT) + (1.0 - LAMBDA) * chart;
        steps += 1;
        let decay = (1.0 - LAMBDA).powi(2 * steps);
        let limit = LIMIT * (LAMBDA / (2.0 - LAMBDA) * (1.0 - decay)).sqrt();
        let ewma = chart / limit;
        let left = ewma.abs() > 1.0;
        let signs = [
            (z.abs() >= threshold, Sign::RobustZ),
            // The day on which it leaves the limits, not all that it stays outside.
            (left && !out, Sign::Ewma),
        ];
        out = left;
        let signs: Vec<Sign> = signs.into_iter().filter(|s| s.0).map(|s| s.1).collect();
        if day >= from && !signs.is_empty() {
            let value = y[day];
            found.push(Anomaly {
                day,
                value,
                expected,
                z,
                ewma,
                signs,
            });
        }
    }
    found
}

/// What a day like `day` is and how much such days differ, from the days before it. `None` where nothing was spent.
fn normal(y: &[f64], day: usize) -> Option<(f64, f64)> {
    let first = day.saturating_sub(WEEKS * WEEK);
    let before = &y[first..day];
    let middle = median(before);
    let effect = |weekday: usize| {
        let same = before
            .iter()
            .enumerate()
            .filter(|(i, _)| (first + i) % WEEK == weekday);
        let same: Vec<f64> = same.map(|(_, v)| v - middle).collect();
        median(&same)
    };
    let effects: Vec<f64> = (0..WEEK).map(effect).collect();
    let rest = before.iter().enumerate();
    let rest: Vec<f64> = rest
        .map(|(i, v)| v - middle - effects[(first + i) % WEEK])
        .collect();
    let expected = middle + effects[day % WEEK];
    // Days that were all the same still may differ a little: 5 % of what is normal.
    let spread = (mad(&rest) / MAD)
        .max(0.05 * expected.abs())
        .max(0.05 * middle.abs());
    (spread > 0.0).then_some((expected, spread))
}

/// What the series of each value of a dimension add to the day, largest part first. Expected is what the series of that
/// value leads to; what no value explains is not shared out.
pub fn contributions(series: &[Vec<f64>], anomaly: &Anomaly) -> Vec<Contribution> {
    let difference = anomaly.value - anomaly.expected;
    let part = |(key, y): (usize, &Vec<f64>)| {
        let expected = normal(y, anomaly.day).map_or(0.0, |(expected, _)| expected);
        let value = y[anomaly.day];
        let share = if difference == 0.0 {
            0.0
        } else {
            (value - expected) / difference
        };
        Contribution {
            key,
            value,
            expected,
            share,
        }
    };
    let mut parts: Vec<Contribution> = series.iter().enumerate().map(part).collect();
    parts.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.key.cmp(&b.key)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(days: usize) -> Vec<f64> {
        let week = [10.0, 11.0, 10.5, 10.0, 9.5, 4.0, 3.0];
        let noise = |d: usize| ((d * 7919) % 13) as f64 / 13.0 - 0.5;
        (0..days).map(|d| week[d % 7] + noise(d)).collect()
    }

    #[test]
    fn weekends_are_normal_and_a_jump_is_not() {
        let mut y = quiet(80);
        assert_eq!(anomalies(&y, 28, 6.0), []);
        y[70] += 15.0;
        let found = anomalies(&y, 28, 6.0);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].day, found[0].signs[0]), (70, Sign::RobustZ));
        assert!((found[0].expected - 10.0).abs() < 1.0);
    }

    #[test]
    fn a_small_shift_that_stays_is_seen_by_the_chart_alone() {
        let mut y = quiet(80);
        y[70..].iter_mut().for_each(|v| *v += 0.9);
        let found = anomalies(&y, 28, 6.0);
        assert_eq!(found[0].signs, [Sign::Ewma]);
        assert!((71..77).contains(&found[0].day), "{found:?}");
    }

    #[test]
    fn the_cause_is_the_value_that_jumped() {
        let (calm, mut wild) = (quiet(80), quiet(80));
        wild[70] += 15.0;
        let total: Vec<f64> = calm.iter().zip(&wild).map(|(a, b)| a + b).collect();
        let found = anomalies(&total, 28, 6.0);
        let parts = contributions(&[calm, wild], &found[0]);
        assert_eq!(parts[0].key, 1);
        assert!(
            parts[0].share > 0.9 && parts[1].share.abs() < 0.1,
            "{parts:?}"
        );
    }
}
