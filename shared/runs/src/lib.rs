//! Runs as areas make them: whoever calls says what is to run, and gets the answer or the stream.
//!
//! - [`run`] is the whole of it: [`start`] → drive → commit → [`Reply`]; [`finish`] is the same for areas that go on with its outputs.
//! - [`Ask`] says what to run and which SQL function starts it.
//! - [`drain`] takes up queued runs, [`kick`] after the response; [`follow`] tells of a run from its log.
//! - [`plan`] compiles a definition and checks its inputs.
//! - [`budget`] is what a run may cost, and the port to what it shares with others.
//! - [`model`] is a run as the API shows it.
//! - [`address`] is where somebody without a credential answers a node that waits.

pub mod address;
mod areas;
pub mod budget;
mod commit;
mod databases;
mod drive;
mod events;
mod labels;
mod memory;
pub mod model;
pub mod plan;
mod ports;
mod queue;
mod reply;
mod signals;
pub mod start;
mod stream;

pub use budget::{BudgetInput, Unpriced};
pub use events::{Starter, Watcher, follow};
pub use labels::TraceInput;
pub use plan::plan;
pub use queue::{Drain, Left, Slice, drain, kick};
pub use reply::{Reply, finish, run};
pub use start::{Ask, Mode, Queued};
