//! Drives one run of the engine behind ports for HTTP, time, randomness, secrets and live
//! events. Futures need not be `Send`: guests run on one thread.

mod area;
mod attempt;
mod budget;
mod database;
mod drive;
mod durable;
mod live;
mod memory;
mod ports;
mod run;
mod secrets;

pub use area::{AreaPort, NoAreas};
pub use budget::{Amount, BudgetPort, Granted, NoBudget, Reservation, exceeded, unpriced};
pub use database::{DatabasePort, NoDatabases};
pub use durable::{Begin, Ended, Journal, Journaling, Lost, work};
pub use live::{Live, told};
pub use memory::{Address, AddressPort, MemoryPort, NoAddresses, NoMemory};
pub use nodeai_guard::{Refused, UrlGuard};
pub use ports::{
    Body, CachePort, CancelOn, Clock, Closed, Entropy, HttpPort, NoCache, NoSecrets, NoSink, Ports,
    SecretError, SecretPort, Signal, Signals, Sink, TransportError, Waits,
};
pub use run::{Finished, Options, Start, resume, run};
pub use secrets::Secret;
