//! Runs as areas make them: whoever calls says what is to run, and gets the answer or the stream.
//!
//! - [`run`] is the whole of it: [`start`] → drive → commit → [`Reply`].
//! - [`Ask`] says what to run and which SQL function starts it.
//! - [`drain`] takes up queued runs, [`kick`] after the response; [`follow`] tells of a run from its log.
//! - [`plan`] compiles a definition and checks its inputs.
//! - [`model`] is a run as the API shows it.

mod commit;
mod drive;
mod events;
pub mod model;
pub mod plan;
mod ports;
mod queue;
mod reply;
mod signals;
pub mod start;
mod stream;

pub use events::follow;
pub use plan::plan;
pub use queue::{Drain, Left, Slice, drain, kick};
pub use reply::{Reply, run};
pub use start::{Ask, Mode, Queued};
