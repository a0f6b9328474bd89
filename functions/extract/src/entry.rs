//! The component's entry: one file, one answer, also when reading it has to be stopped from within an allocation.

use std::alloc::System;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use nodeai_once::{Exceeded, Meter};
use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use crate::{MOST_MEMORY, MOST_MS, MOST_REQUEST, answer, problem};

#[global_allocator]
static METER: Meter<System> = Meter::new(System, MOST_MEMORY, late, stop);

/// When reading is to be stopped, in ns of the monotonic clock; 0 before it begins.
static DEADLINE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Where the answer goes, until it has gone.
    static OUT: Cell<Option<ResponseOutparam>> = const { Cell::new(None) };
}

struct Extract;
wasip2::http::proxy::export!(Extract);

impl Guest for Extract {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        OUT.set(Some(out));
        std::panic::set_hook(Box::new(|_| {
            send(
                422,
                &problem(422, "the document is broken: its reader gave up"),
            );
        }));
        let target = request.path_with_query().unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let (status, body) = match nodeai_once::read(&request, MOST_REQUEST) {
            Ok(content) => {
                let deadline = monotonic_clock::now().saturating_add(MOST_MS * 1_000_000);
                DEADLINE.store(deadline, Ordering::Relaxed);
                answer(&content, query)
            }
            Err(unread) => (unread.status(), problem(unread.status(), unread.detail())),
        };
        DEADLINE.store(0, Ordering::Relaxed);
        send(status, &body);
    }
}

fn late() -> bool {
    let deadline = DEADLINE.load(Ordering::Relaxed);
    deadline != 0 && monotonic_clock::now() > deadline
}

/// The end from within an allocation: the answer goes out, then the instance does.
fn stop(exceeded: Exceeded) {
    let detail = match exceeded {
        Exceeded::Memory(most) => {
            format!(
                "the document is refused: reading it needs more than {} MiB of memory",
                most >> 20
            )
        }
        Exceeded::Time => {
            format!("the document is refused: reading it takes longer than {MOST_MS} ms")
        }
    };
    send(422, &problem(422, &detail));
    std::process::abort();
}

/// Sends the answer, once.
fn send(status: u16, body: &str) {
    if let Some(out) = OUT.take() {
        nodeai_once::send(out, status, body);
    }
}
