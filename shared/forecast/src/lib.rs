//! Daily series, pure: what will they be, how sure is that, when is a budget crossed, which days were not normal.
//!
//! - [`holt_winters`], [`theta`], [`naive`] are the methods; [`method`] is what they have in common, and their combination.
//! - [`backtest`] forecasts the past from every day of it (rolling origin) and gives the errors.
//! - [`conformal`] makes intervals of these errors; [`outlook`] puts it together.
//! - [`budget`] gives the day and the probability of crossing a limit, [`anomaly`] the days that were not normal.
//!
//! Everything is deterministic. Values are in whatever unit comes in; the season is given, 7 for days of the week.

pub mod anomaly;
pub mod backtest;
pub mod budget;
pub mod conformal;
pub mod decompose;
pub mod holt_winters;
mod linear;
pub mod method;
pub mod naive;
pub mod outlook;
mod simplex;
pub mod stats;
pub mod theta;
