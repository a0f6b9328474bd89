//! Schedules: when a cron expression in a time zone is due, what was missed meanwhile, how a jitter spreads it.
//!
//! - [`Timetable`] gives the instants of an expression, one after the other.
//! - [`due()`] says which of them run now and which were missed.
//! - [`jitter_us`] spreads schedules that ask for the same instant.
//!
//! Pure: the time is always an argument, µs since the Unix epoch.

pub mod due;
pub mod table;

pub use due::{Due, Missed, due, jitter_us};
pub use table::{Error, Timetable};
