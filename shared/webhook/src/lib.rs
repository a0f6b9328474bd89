//! Webhooks. Outgoing ones are those of [Standard Webhooks 1.0](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//!
//! - [`key`] holds secrets as they are written down (`whsec_`, `whsk_`, `whpk_`).
//! - [`signature`] signs a message, and verifies one as a receiver does.
//! - [`schedule`] says when a delivery is tried again.
//! - [`verdict`] says what an answer means.
//! - [`record`] is what is kept of a request and its answer.
//! - [`fields`] are the header fields that a subscription may add.
//! - [`events`] is the catalogue of events.
//! - [`letter`] is an event as a mail tells it.
//! - [`inbound`] are requests that come in and start runs.
//!
//! Pure: time and randomness come in as arguments.

pub mod events;
pub mod fields;
pub mod inbound;
pub mod key;
pub mod letter;
pub mod record;
pub mod schedule;
pub mod signature;
pub mod verdict;

pub use key::{Key, Verifier};
pub use letter::{Letter, letter};
pub use signature::{ID, SIGNATURE, TIMESTAMP, sign, verify};
pub use verdict::{Verdict, judge};
