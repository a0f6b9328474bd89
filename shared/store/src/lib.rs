//! The storage port: typed reads and function calls, over Postgres or over Supabase's REST interface.
//!
//! - [`config`] decides which backend the configuration means.
//! - [`port`] holds what callers say: [`Select`], [`Column`], [`Error`].
//! - `postgres` and `supabase` render the same query twice; every write is one SQL function call on both.
//! - [`admission`] is what admission is asked and answers.
//! - [`claim`] takes up a queued run as whoever asked for it.
//! - [`session`] is one request's admitted session; without admission there is nothing to read with.
//! - `service` calls as the application itself, for background work.
//! - [`tables`] names the tables' columns.

pub mod admission;
pub mod claim;
pub mod config;
pub mod port;
mod postgres;
mod service;
pub mod session;
mod supabase;
pub mod tables;

pub use admission::{Admission, Credential, Outcome, Policy, Principal, Rate, Refusal};
pub use claim::{Claim, Claimed, TakenUp};
pub use config::{Backend, Config, Misconfigured};
pub use port::{Column, Error, Filter, Order, Select, Ty};
pub use session::{Session, Store};
