//! Runs that outlive their driver: the log is kept as it grows, and whoever comes next goes on from there.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use nodeai_engine::{Compiled, Event, Illegal, Run, Wait};

use crate::drive::{Driver, shared};
use crate::run::{Finished, Options, Start, began};
use crate::{CachePort, Clock, Entropy, HttpPort, Ports, SecretPort, Signals, Sink};

/// The run is somebody else's now, or cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run is not this driver's any more")]
pub struct Lost;

/// Where a log is kept.
pub trait Journal {
    /// Keeps events that follow on those kept before; all or nothing. A call begins only after the start of its
    /// attempt is kept, and what follows from its end begins only after the end is.
    ///
    /// # Errors
    /// When the run is somebody else's: this driver stops at once.
    fn append<'a>(&'a self, events: &'a [Event]) -> LocalBoxFuture<'a, Result<(), Lost>>;
}

/// A journal, and how long a driver stays with the run.
#[derive(Clone, Copy)]
pub struct Journaling<'a> {
    /// Where the log is kept.
    pub journal: &'a dyn Journal,
    /// When this driver starts nothing more, µs since the Unix epoch; calls that are under way end.
    pub slice_end_us: i64,
    /// How long it stays with a run that only waits, µs.
    pub patience_us: i64,
}

/// Where a driver begins.
pub enum Begin {
    /// A new run.
    New(Box<Start>),
    /// The log of one that was begun.
    Log(Vec<Event>),
}

/// How a driver's work ended.
#[derive(Debug)]
pub enum Ended {
    /// With the run.
    Finished {
        /// The run.
        finished: Box<Finished>,
        /// How many events of its log are kept already.
        kept: usize,
    },
    /// The run goes on later.
    Resting {
        /// When at the latest, µs since the Unix epoch; none when only somebody outside can make it go on.
        until_us: Option<i64>,
        /// What it waits for.
        waits: Vec<(String, Wait)>,
        /// The end of its log, still to be kept.
        events: Vec<Event>,
    },
    /// The run is somebody else's.
    Lost,
}

/// Begins a run or takes one up, and goes on until it ends or rests. Its time limit counts from the run's beginning.
///
/// # Errors
/// When the log is not one of this document.
pub async fn work<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>(
    plan: Arc<Compiled>,
    begin: Begin,
    options: Options,
    ports: &Ports<'_, H, C, E, S, L, K>,
    signals: &impl Signals,
    journaling: Journaling<'_>,
) -> Result<Ended, Illegal> {
    let log = match &begin {
        Begin::New(_) => &[],
        Begin::Log(log) => log.as_slice(),
    };
    // What it has spent before counts.
    let shared = shared(ports, &options, &plan, log);
    let now_us = ports.clock.now_us();
    let (driver, began_us) = match begin {
        Begin::New(start) => {
            let began = began(&plan, *start, &options, ports.entropy);
            let run = Run::new(plan);
            let mut driver = Driver::new(&shared, run, Vec::new(), Some(journaling));
            driver.accept(began).await;
            (driver, now_us)
        }
        Begin::Log(log) => {
            let (run, missing) = Run::replay(plan, &log)?;
            let began_us = log.first().map_or(now_us, |event| event.at_us);
            let mut driver = Driver::new(&shared, run, log, Some(journaling));
            driver.take_over(missing).await;
            (driver, began_us)
        }
    };
    let timeout_ms = options.timeout_ms;
    let limit_us = timeout_ms.saturating_mul(1_000);
    let deadline_us = began_us.saturating_add_unsigned(limit_us);
    Ok(driver.drive(deadline_us, timeout_ms, signals).await)
}
