//! Time travel, pure: what a run has recorded is played again, forked, and compared with another run.
//!
//! - [`Recording`] is a run's log as it is stored: exact text, so that a replay can be compared byte for byte.
//! - [`replay`] re-runs a recording without anything outside, and decides every attempt anew.
//! - [`fork`] says which results of a run another one may take over when it starts from one of its nodes.
//! - [`Step`] and [`pair`] lay two runs beside each other, node by node; [`changes`] is a bounded diff of two values.
//! - [`as_stored`] is a document as the store gives it back, so that it runs the same before and after.

mod agree;
mod changes;
mod decided;
mod fork;
mod recording;
mod replay;
mod steps;
mod stored;

pub use changes::{Changes, changes};
pub use fork::{Forked, edited, fork};
pub use recording::{Recording, Unreadable, written};
pub use replay::{Attempts, Divergence, Replayed, replay};
pub use steps::{Pair, Step, StepDiff, pair, steps};
pub use stored::as_stored;
