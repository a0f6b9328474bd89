//! Holt and Winters' exponential smoothing with a damped additive trend and an additive season (Winters, Management
//! Science 6, 1960; Gardner and McKenzie, Management Science 31, 1985), in the form of Hyndman and Athanasopoulos,
//! Forecasting: Principles and Practice, 8.3:
//!
//! ```text
//! forecast  l + φ b + s
//! l' = α (y - s) + (1 - α) (l + φ b)
//! b' = β (l' - l) + (1 - β) φ b
//! s' = γ (y - l - φ b) + (1 - γ) s
//! ```
//!
//! For given α, β, γ, φ every error is an affine function of the initial states, so these are found exactly, by least
//! squares; only the four parameters are looked for.

use crate::linear::least_squares;
use crate::simplex::{Effort, minimise};

/// Where the damping φ may lie.
const DAMPING: (f64, f64) = (0.8, 0.995);
/// Points in the box of parameters from which a thorough fit starts.
const STARTS: [[f64; 4]; 5] = [
    [0.3, 0.2, 0.2, 0.9],
    [0.05, 0.1, 0.05, 0.95],
    [0.8, 0.05, 0.5, 0.3],
    [0.5, 0.7, 0.1, 0.05],
    [0.1, 0.9, 0.6, 0.5],
];

/// What smooths: `0 <= β <= α <= 1`, `0 <= γ <= 1 - α`, `0.8 <= φ <= 0.995`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothing {
    /// Of the level.
    pub alpha: f64,
    /// Of the trend.
    pub beta: f64,
    /// Of the season.
    pub gamma: f64,
    /// How much of the trend a step keeps.
    pub phi: f64,
}

/// Where the smoothing begins or stands.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// Level.
    pub level: f64,
    /// Trend per step.
    pub trend: f64,
    /// The season, beginning with the place of the next step.
    pub season: Vec<f64>,
}

/// A series that was smoothed.
#[derive(Debug, Clone, PartialEq)]
pub struct HoltWinters {
    /// With what.
    pub smoothing: Smoothing,
    /// From where.
    pub initial: States,
    /// Where it ended.
    pub last: States,
    /// Errors of the forecasts one step ahead.
    pub errors: Vec<f64>,
}

impl HoltWinters {
    /// Smooths `y` with given parameters from given states.
    pub fn run(y: &[f64], smoothing: Smoothing, initial: States) -> Self {
        let mut errors = vec![0.0; y.len()];
        let last = pass(Some(y), smoothing, initial.clone(), &mut errors);
        Self {
            smoothing,
            initial,
            last,
            errors,
        }
    }

    /// Smooths `y` with given parameters from those states of a season of `m` that give the smallest sum of squares.
    pub fn with_smoothing(y: &[f64], m: usize, smoothing: Smoothing) -> Self {
        Self::run(y, smoothing, best_states(y, m, smoothing))
    }

    /// Fits all of it. `near` is where to look first, such as what fitted a shorter part of the series; without it the
    /// whole box is looked through.
    pub fn fit(y: &[f64], m: usize, near: Option<Smoothing>) -> Self {
        let loss = |point: &[f64; 4]| Self::with_smoothing(y, m, smoothing_at(point)).sse();
        let quick = Effort {
            tolerance: 1e-4,
            evaluations: 80,
            descents: 1,
        };
        let found = match near {
            Some(smoothing) => minimise(point_of(smoothing), quick, loss),
            None => thorough(loss),
        };
        Self::with_smoothing(y, m, smoothing_at(&found.0))
    }

    /// A fit that is good enough to judge the method by: one descent.
    pub fn fit_quickly(y: &[f64], m: usize) -> Self {
        Self::fit(y, m, Some(smoothing_at(&STARTS[0])))
    }

    /// Sum of squared errors.
    pub fn sse(&self) -> f64 {
        self.errors.iter().map(|e| e * e).sum()
    }

    /// The next `horizon` steps.
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        let States {
            level,
            trend,
            season,
        } = &self.last;
        let mut kept = 0.0;
        let mut power = 1.0;
        let step = |i: usize| {
            power *= self.smoothing.phi;
            kept += power;
            level + kept * trend + season[i % season.len()]
        };
        (0..horizon).map(step).collect()
    }
}

/// The best of several starts, followed until nothing is gained.
fn thorough(loss: impl Fn(&[f64; 4]) -> f64) -> ([f64; 4], f64) {
    let rough = Effort {
        tolerance: 1e-5,
        evaluations: 150,
        descents: 1,
    };
    let fine = Effort {
        tolerance: 1e-10,
        evaluations: 600,
        descents: 8,
    };
    let mut found: Vec<([f64; 4], f64)> = STARTS
        .iter()
        .map(|start| minimise(*start, rough, &loss))
        .collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ends = found.iter().take(2).map(|f| minimise(f.0, fine, &loss));
    ends.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(found[0])
}

/// From the unit box into the admissible parameters.
fn smoothing_at(point: &[f64; 4]) -> Smoothing {
    let [alpha, beta, gamma, phi] = *point;
    Smoothing {
        alpha,
        beta: beta * alpha,
        gamma: gamma * (1.0 - alpha),
        phi: DAMPING.0 + phi * (DAMPING.1 - DAMPING.0),
    }
}

fn point_of(s: Smoothing) -> [f64; 4] {
    let part = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.5 };
    let phi = (s.phi - DAMPING.0) / (DAMPING.1 - DAMPING.0);
    [
        s.alpha,
        part(s.beta, s.alpha),
        part(s.gamma, 1.0 - s.alpha),
        phi,
    ]
    .map(|v| v.clamp(0.0, 1.0))
}

/// One pass; without `y` over zeros. Writes the errors and gives the states after the last step.
fn pass(y: Option<&[f64]>, p: Smoothing, mut at: States, errors: &mut [f64]) -> States {
    let m = at.season.len();
    let mut place = 0;
    for (i, error) in errors.iter_mut().enumerate() {
        let value = y.map_or(0.0, |y| y[i]);
        let season = at.season[place];
        let ahead = at.level + p.phi * at.trend;
        *error = value - ahead - season;
        let level = p.alpha * (value - season) + (1.0 - p.alpha) * ahead;
        at.trend = p.beta * (level - at.level) + (1.0 - p.beta) * p.phi * at.trend;
        at.season[place] = p.gamma * (value - ahead) + (1.0 - p.gamma) * season;
        at.level = level;
        place += 1;
        if place == m {
            place = 0;
        }
    }
    at.season.rotate_left(place);
    at
}

/// The initial states of the smallest sum of squares. The season sums to zero: a level could take up its mean.
fn best_states(y: &[f64], m: usize, p: Smoothing) -> States {
    let zero = || States {
        level: 0.0,
        trend: 0.0,
        season: vec![0.0; m],
    };
    let mut target = vec![0.0; y.len()];
    pass(Some(y), p, zero(), &mut target);
    let effect = |unit: States| {
        let mut errors = vec![0.0; y.len()];
        pass(None, p, unit, &mut errors);
        errors.iter_mut().for_each(|e| *e = -*e);
        errors
    };
    let mut columns = Vec::with_capacity(m + 1);
    columns.push(effect(States {
        level: 1.0,
        ..zero()
    }));
    columns.push(effect(States {
        trend: 1.0,
        ..zero()
    }));
    for place in 0..m - 1 {
        let mut unit = zero();
        unit.season[place] = 1.0;
        unit.season[m - 1] = -1.0;
        columns.push(effect(unit));
    }
    let x = least_squares(columns, target);
    let mut season = x[2..].to_vec();
    season.push(-season.iter().sum::<f64>());
    States {
        level: x[0],
        trend: x[1],
        season,
    }
}
