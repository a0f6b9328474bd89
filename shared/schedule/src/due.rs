//! What runs now: instants that have come, and those that nobody was there for.

use crate::table::Timetable;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// How late an instant may be fired and still count as on time, µs: somebody may look every few minutes only.
pub const GRACE_US: i64 = 300_000_000;
/// Most instants that run at once under [`Missed::RunAll`].
pub const MOST_RUNS: usize = 100;
/// Most instants that are counted as missed.
pub const MOST_COUNTED: usize = 1_000;

const DAY_US: i64 = 86_400_000_000;

/// What becomes of instants that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    Skip,
    /// The newest runs, for all of them.
    RunOnce,
    /// Each runs, the newest [`MOST_RUNS`] of them.
    RunAll,
}

/// What [`due()`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Instants that run, oldest first, µs.
    pub runs: Vec<i64>,
    /// How many do not, at most [`MOST_COUNTED`].
    pub missed: usize,
    /// The newest of those.
    pub newest_missed: Option<i64>,
    /// The instant that comes next.
    pub next: Option<i64>,
}

/// Which instants from `pending_us` on have come at `now_us`, each with its jitter, and what becomes of them.
pub fn due(
    table: &Timetable,
    policy: Missed,
    jitter: impl Fn(i64) -> i64,
    pending_us: i64,
    now_us: i64,
) -> Due {
    let (come, next) = come(table, &jitter, pending_us, now_us);
    let late = |at: &i64| now_us.saturating_sub(at.saturating_add(jitter(*at))) > GRACE_US;
    let some_late = come.iter().any(late);
    let from = match policy {
        Missed::Skip => come.partition_point(late),
        Missed::RunOnce if some_late => come.len().saturating_sub(1),
        Missed::RunOnce => 0,
        Missed::RunAll => come.len().saturating_sub(MOST_RUNS),
    };
    let (missed, runs) = come.split_at(from);
    Due {
        runs: runs.to_vec(),
        missed: missed.len(),
        newest_missed: missed.last().copied(),
        next,
    }
}

/// The newest instants that have come, oldest first, and the first that has not. The pending one was announced, and comes
/// whatever the table says meanwhile. After a long absence the walk begins shortly before now, and further back only when
/// little is found there.
fn come(
    table: &Timetable,
    jitter: impl Fn(i64) -> i64,
    pending_us: i64,
    now_us: i64,
) -> (Vec<i64>, Option<i64>) {
    let mut back = DAY_US;
    loop {
        let begin = pending_us.max(now_us.saturating_sub(back));
        let mut found = VecDeque::new();
        let mut at = match begin == pending_us {
            true => Some(pending_us),
            false => table.after(begin.saturating_sub(1)),
        };
        while let Some(instant) = at.filter(|i| i.saturating_add(jitter(*i)) <= now_us) {
            if found.len() == MOST_COUNTED {
                found.pop_front();
            }
            found.push_back(instant);
            at = table.after(instant);
        }
        if begin == pending_us || found.len() >= MOST_RUNS {
            return (found.into(), at);
        }
        back = back.saturating_mul(4);
    }
}

/// How much later than its instant a schedule fires, µs: from 0 to `jitter_ms`, always the same for the same schedule and
/// instant, so that whoever looks finds the same.
pub fn jitter_us(schedule_id: &str, instant_us: i64, jitter_ms: u32) -> i64 {
    if jitter_ms == 0 {
        return 0;
    }
    let hash = Sha256::new()
        .chain_update(schedule_id)
        .chain_update(instant_us.to_be_bytes())
        .finalize();
    let drawn = hash[..8]
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    let span = u64::from(jitter_ms) * 1_000 + 1;
    i64::try_from(drawn % span).unwrap_or(0)
}
