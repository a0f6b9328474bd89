//! Drives one run of the engine behind ports for HTTP, time, randomness, secrets and live
//! events. Futures need not be `Send`: guests run on one thread.

mod attempt;
mod budget;
mod drive;
mod live;
mod ports;
mod secrets;

pub use budget::{Amount, BudgetPort, Granted, NoBudget, Reservation, exceeded, unpriced};
pub use drive::{Finished, Options, Start, resume, run};
pub use live::Live;
pub use nodeai_guard::{Refused, UrlGuard};
pub use ports::{
    Body, CachePort, CancelOn, Clock, Closed, Entropy, HttpPort, NoCache, NoSecrets, NoSink, Ports,
    SecretError, SecretPort, Signal, Signals, Sink, TransportError, Waits,
};
pub use secrets::Secret;
