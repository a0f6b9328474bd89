//! Rolling origin: the past is forecast from each of its days, with nothing but what was known on that day.

use crate::holt_winters::{HoltWinters, Smoothing};
use crate::method::{Method, forecasts};
use crate::stats::mean;

/// Most forecasts of each horizon that are kept.
pub const MOST: usize = 239;
/// Days between two fits of Holt-Winters' parameters. In between its states alone are found anew.
const REFIT: usize = 28;

/// What a method said at one origin, and what came.
#[derive(Debug, Clone)]
pub struct Origin {
    /// How many values were known.
    pub known: usize,
    /// What was said, by method.
    pub forecasts: Vec<(Method, Vec<f64>)>,
}

/// The forecasts of the past.
#[derive(Debug, Clone)]
pub struct Backtest {
    /// Oldest first.
    pub origins: Vec<Origin>,
    /// Mean error of the seasonal-naive forecast one step ahead before the first origin: MASE is in units of it.
    pub scale: f64,
    /// Holt-Winters' parameters at the last origin that fitted them.
    pub smoothing: Option<Smoothing>,
    horizon: usize,
}

/// How a method did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Which.
    pub method: Method,
    /// Mean absolute error over all origins and steps, in units of the seasonal-naive one (Hyndman and Koehler,
    /// International Journal of Forecasting 22, 2006). `None` where the past did not vary.
    pub mase: Option<f64>,
    /// Mean absolute error in the series' unit.
    pub mae: f64,
    /// How many forecasts it is made of.
    pub forecasts: usize,
}

impl Backtest {
    /// Forecasts `y` from its past, up to `horizon` steps ahead. No origins where `y` has less than four seasons.
    pub fn run(y: &[f64], m: usize, horizon: usize) -> Self {
        let first = (4 * m).max(y.len().saturating_sub(MOST + horizon));
        let mut smoothing: Option<Smoothing> = None;
        let mut origins = Vec::new();
        for (i, known) in (first..y.len()).enumerate() {
            let past = &y[..known];
            if i % REFIT == 0 {
                let fit = match smoothing {
                    Some(near) => HoltWinters::fit(past, m, Some(near)),
                    None => HoltWinters::fit_quickly(past, m),
                };
                smoothing = Some(fit.smoothing);
            }
            let ahead = horizon.min(y.len() - known);
            origins.push(Origin {
                known,
                forecasts: forecasts(past, m, ahead, smoothing),
            });
        }
        let before = &y[..first.min(y.len())];
        let steps = before.iter().zip(before.get(m..).unwrap_or_default());
        let changes: Vec<f64> = steps.map(|(a, b)| (b - a).abs()).collect();
        Self {
            origins,
            scale: mean(&changes),
            smoothing,
            horizon,
        }
    }

    /// The methods by their error over up to one season ahead, best first.
    pub fn scores(&self, y: &[f64], m: usize) -> Vec<Score> {
        let Some(origin) = self.origins.first() else {
            return Vec::new();
        };
        let methods = origin.forecasts.iter().map(|(method, _)| *method);
        let mut scores: Vec<Score> = methods
            .enumerate()
            .map(|(place, method)| {
                let errors: Vec<f64> = self
                    .origins
                    .iter()
                    .flat_map(|o| {
                        let said = o.forecasts[place].1.iter().zip(&y[o.known..]);
                        said.take(m).map(|(f, v)| (v - f).abs())
                    })
                    .collect();
                let mae = mean(&errors);
                Score {
                    method,
                    mase: (self.scale > 0.0).then(|| mae / self.scale),
                    mae,
                    forecasts: errors.len(),
                }
            })
            .collect();
        scores.sort_by(|a, b| a.mae.total_cmp(&b.mae).then(a.method.cmp(&b.method)));
        scores
    }

    /// The paths of errors (what came less what was said) of `method` over whole `horizon`s, newest last.
    pub fn paths(&self, y: &[f64], method: Method, horizon: usize) -> Vec<Vec<f64>> {
        if horizon == 0 || horizon > self.horizon {
            return Vec::new();
        }
        let whole = self.origins.iter().filter_map(|origin| {
            let (_, said) = origin.forecasts.iter().find(|(m, _)| *m == method)?;
            let came = y[origin.known..].iter();
            (said.len() >= horizon).then(|| {
                let errors = said[..horizon].iter().zip(came).map(|(f, v)| v - f);
                errors.collect()
            })
        });
        let mut paths: Vec<Vec<f64>> = whole.collect();
        if paths.len() > MOST {
            paths.drain(..paths.len() - MOST);
        }
        paths
    }
}
