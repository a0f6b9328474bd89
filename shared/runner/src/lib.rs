//! Drives one run of the engine behind ports for HTTP, time, randomness, secrets and live
//! events. Futures need not be `Send`: guests run on one thread.

mod attempt;
mod drive;
mod live;
mod ports;
mod secrets;

pub use drive::{Finished, Options, Start, resume, run};
pub use live::Live;
pub use nodeai_guard::{Refused, UrlGuard};
pub use ports::{
    Body, Clock, Closed, Entropy, HttpPort, NoSecrets, NoSink, Ports, SecretError, SecretPort,
    Sink, TransportError,
};
pub use secrets::Secret;
