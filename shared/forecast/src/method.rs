//! The methods as one: which there are, what each needs, what each says.

use crate::decompose::Form;
use crate::holt_winters::{HoltWinters, Smoothing};
use crate::naive::{mean_forecast, seasonal_naive};
use crate::stats::median;
use crate::theta::Theta;

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The mean of all days: for series that are too short for anything else.
    Mean,
    /// As in the season before.
    SeasonalNaive,
    /// Damped additive trend, additive season.
    HoltWinters,
    /// The standard Theta method.
    Theta,
    /// The median of seasonal-naive, Holt-Winters and Theta, step by step.
    Combination,
}

impl Method {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::SeasonalNaive => "seasonal_naive",
            Self::HoltWinters => "holt_winters",
            Self::Theta => "theta",
            Self::Combination => "combination",
        }
    }

    /// The methods for a series of `n` steps with the season `m`: Theta and Holt-Winters from three seasons on, the
    /// seasonal-naive one from two, below that the mean alone.
    pub fn for_length(n: usize, m: usize) -> &'static [Self] {
        match n {
            n if n >= 3 * m => &[
                Self::SeasonalNaive,
                Self::HoltWinters,
                Self::Theta,
                Self::Combination,
            ],
            n if n >= 2 * m => &[Self::SeasonalNaive],
            _ => &[Self::Mean],
        }
    }
}

/// Forecasts of all methods that fit the length of `y`, in the order of [`Method::for_length`]. With `smoothing`
/// Holt-Winters takes these parameters, else it fits its own. Nothing is below 0: what is forecast is spend.
pub fn forecasts(
    y: &[f64],
    m: usize,
    horizon: usize,
    smoothing: Option<Smoothing>,
) -> Vec<(Method, Vec<f64>)> {
    let methods = Method::for_length(y.len(), m);
    let mut made: Vec<(Method, Vec<f64>)> = Vec::with_capacity(methods.len());
    for &method in methods {
        let mut steps = match method {
            Method::Mean => mean_forecast(y, horizon),
            Method::SeasonalNaive => seasonal_naive(y, m, horizon),
            Method::HoltWinters => match smoothing {
                Some(smoothing) => HoltWinters::with_smoothing(y, m, smoothing),
                None => HoltWinters::fit_quickly(y, m),
            }
            .forecast(horizon),
            Method::Theta => Theta::fit(y, m, Form::Additive).forecast(horizon),
            Method::Combination => middle(&made, horizon),
        };
        for step in &mut steps {
            *step = if step.is_finite() { step.max(0.0) } else { 0.0 };
        }
        made.push((method, steps));
    }
    made
}

fn middle(made: &[(Method, Vec<f64>)], horizon: usize) -> Vec<f64> {
    let at = |step: usize| {
        let values: Vec<f64> = made.iter().map(|(_, steps)| steps[step]).collect();
        median(&values)
    };
    (0..horizon).map(at).collect()
}
