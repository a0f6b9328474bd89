//! The standard Theta method (Assimakopoulos and Nikolopoulos, International Journal of Forecasting 16, 2000) as a model
//! in state space (Fiorucci et al., International Journal of Forecasting 32, 2016, "STM"): exponential smoothing with the
//! drift of a straight line through the whole series, θ = 2, after the season was taken out.
//!
//! ```text
//! forecast at i  μ = l + (1 - 1/θ) (A (1-α)^i + B (1 - (1-α)^(i+1)) / α)
//! l' = α y + (1 - α) l
//! ```
//!
//! The sum of squared errors leaves the first three out, as the reference does. It is a parabola in the first level, so
//! this is found exactly; only α is looked for.

use crate::decompose::{Form, is_seasonal, season};
use crate::stats::mean;

/// Where α may lie.
const ALPHA: (f64, f64) = (0.1, 0.99);
/// `1 - 1/θ` for θ = 2.
const WEIGHT: f64 = 0.5;
/// Errors at the start that do not count.
const BURN_IN: usize = 3;
/// Points of the grid over α before the best of them is refined.
const GRID: usize = 12;

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Theta {
    /// Smoothing of the level.
    pub alpha: f64,
    /// The level before the first value.
    pub initial: f64,
    /// Sum of squared errors of the series without its season, from the fourth on.
    pub sse: f64,
    level: f64,
    line: (f64, f64),
    steps: usize,
    season: Option<(Form, Vec<f64>)>,
}

/// How the season is taken out, and what is left.
struct Adjusted {
    y: Vec<f64>,
    season: Option<(Form, Vec<f64>)>,
}

impl Theta {
    /// Fits `y` (four values at least) with the season `m`.
    pub fn fit(y: &[f64], m: usize, form: Form) -> Self {
        let adjusted = adjust(y, m, form);
        let loss = |alpha: f64| pass(&adjusted.y, alpha, None).2;
        let (low, high) = ALPHA;
        let step = (high - low) / GRID as f64;
        let grid = (0..=GRID).map(|i| low + step * i as f64);
        let start = best(grid, loss);
        let ends = ((start - step).max(low), (start + step).min(high));
        // A golden section comes near its ends and never gets there.
        let alpha = best([golden(ends, loss), ends.0, ends.1].into_iter(), loss);
        Self::build(adjusted, alpha, None)
    }

    /// The model with given parameters.
    pub fn with(y: &[f64], m: usize, form: Form, alpha: f64, initial: Option<f64>) -> Self {
        Self::build(adjust(y, m, form), alpha, initial)
    }

    fn build(adjusted: Adjusted, alpha: f64, initial: Option<f64>) -> Self {
        let (initial, level, sse) = pass(&adjusted.y, alpha, initial);
        Self {
            alpha,
            initial,
            sse,
            level,
            line: line(&adjusted.y),
            steps: adjusted.y.len(),
            season: adjusted.season,
        }
    }

    /// The next `horizon` steps.
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        let mut level = self.level;
        let mut power = (1.0 - self.alpha).powi(i32::try_from(self.steps).unwrap_or(i32::MAX));
        let step = |h: usize| {
            let at = self.steps + h;
            let value = level + drift(self.line, self.alpha, power);
            power *= 1.0 - self.alpha;
            level = self.alpha * value + (1.0 - self.alpha) * level;
            match &self.season {
                None => value,
                Some((Form::Additive, season)) => value + season[at % season.len()],
                Some((Form::Multiplicative, season)) => value * season[at % season.len()],
            }
        };
        (0..horizon).map(step).collect()
    }
}

/// Takes the season out where there is one: as a factor only where everything is positive and no factor is near 0.
fn adjust(y: &[f64], m: usize, form: Form) -> Adjusted {
    if !is_seasonal(y, m) {
        let y = y.to_vec();
        return Adjusted { y, season: None };
    }
    let positive = y.iter().all(|v| *v > 0.0);
    let mut form = if positive { form } else { Form::Additive };
    let mut places = season(y, m, form);
    if form == Form::Multiplicative && places.iter().any(|s| *s < 0.01) {
        form = Form::Additive;
        places = season(y, m, form);
    }
    let without = |(i, v): (usize, &f64)| match form {
        Form::Additive => v - places[i % m],
        Form::Multiplicative => v / places[i % m],
    };
    let y = y.iter().enumerate().map(without).collect();
    Adjusted {
        y,
        season: Some((form, places)),
    }
}

/// Intercept (at 0, the first value being at 1) and slope of the straight line through `y`.
fn line(y: &[f64]) -> (f64, f64) {
    let n = y.len() as f64;
    let average = mean(y);
    let weighted: f64 = y.iter().enumerate().map(|(i, v)| v * (i + 1) as f64).sum();
    let slope = 6.0 * (2.0 * weighted / n - (n + 1.0) * average) / (n * n - 1.0);
    (average - (n + 1.0) * slope / 2.0, slope)
}

/// What the line adds to the level where `(1 - α)^i` is `power`.
fn drift((intercept, slope): (f64, f64), alpha: f64, power: f64) -> f64 {
    WEIGHT * (intercept * power + slope * (1.0 - power * (1.0 - alpha)) / alpha)
}

/// First level (given, or the best), last level, and the sum of squared errors after the burn-in.
fn pass(y: &[f64], alpha: f64, initial: Option<f64>) -> (f64, f64, f64) {
    let line = line(y);
    let mut level = 0.0;
    let mut power = 1.0;
    // Each error is `e - power · initial`.
    let mut parts = Vec::with_capacity(y.len());
    for value in y {
        let ahead = drift(line, alpha, power);
        parts.push((value - level - ahead, power));
        level = alpha * value + (1.0 - alpha) * level;
        power *= 1.0 - alpha;
    }
    let counted = parts.get(BURN_IN..).unwrap_or_default();
    let initial = initial.unwrap_or_else(|| {
        let (top, below) = counted.iter().fold((0.0, 0.0), |(top, below), (e, p)| {
            (top + e * p, below + p * p)
        });
        if below > 0.0 { top / below } else { 0.0 }
    });
    let sse = counted.iter().map(|(e, p)| (e - p * initial).powi(2)).sum();
    (initial, level + power * initial, sse)
}

/// The point at which `f` is smallest.
fn best(points: impl Iterator<Item = f64>, f: impl Fn(f64) -> f64) -> f64 {
    let valued = points.map(|point| (point, f(point)));
    let smallest = valued.min_by(|a, b| a.1.total_cmp(&b.1));
    smallest.map_or(ALPHA.0, |(point, _)| point)
}

/// The minimum between two points (Kiefer, Proceedings of the AMS 4, 1953).
fn golden((mut low, mut high): (f64, f64), f: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (f(a), f(b));
    for _ in 0..40 {
        if high - low < 1e-5 {
            break;
        }
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = f(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = f(b);
        }
    }
    (low + high) / 2.0
}
