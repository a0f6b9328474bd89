//! The component's entry: one request, one job, one answer, also when the job has to be stopped from within an allocation.

use std::alloc::System;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use nodeai_js::answer::{self, Answer};
use nodeai_js::{Exceeded, Failure, Meter};
use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use crate::{MOST_MEMORY, MOST_REQUEST};

#[global_allocator]
static METER: Meter<System> = Meter::new(System, MOST_MEMORY, late, stop);

/// When the job is to be stopped, in ns of the monotonic clock; 0 before it begins.
static DEADLINE: AtomicU64 = AtomicU64::new(0);
/// How long it may take, in ms.
static WALL_MS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Where the answer goes, until it has gone.
    static OUT: Cell<Option<ResponseOutparam>> = const { Cell::new(None) };
}

struct Code;
wasip2::http::proxy::export!(Code);

impl Guest for Code {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        OUT.set(Some(out));
        std::panic::set_hook(Box::new(|_| {
            send(&answer::failed(&Failure::gave_up(), &nodeai_js::written()));
        }));
        let answer = match read(&request) {
            Ok(body) => run(&body),
            Err(answer) => answer,
        };
        DEADLINE.store(0, Ordering::Relaxed);
        send(&answer);
    }
}

fn run(body: &[u8]) -> Answer {
    let job = match answer::read(body) {
        Ok(job) => job,
        Err(answer) => return answer,
    };
    let wall_ms = job.limits.within(nodeai_js::Limits::default()).wall_ms;
    WALL_MS.store(wall_ms, Ordering::Relaxed);
    let deadline = monotonic_clock::now().saturating_add(wall_ms.saturating_mul(1_000_000));
    DEADLINE.store(deadline, Ordering::Relaxed);
    answer::of(&nodeai_js::run(&job))
}

fn late() -> bool {
    let deadline = DEADLINE.load(Ordering::Relaxed);
    deadline != 0 && monotonic_clock::now() > deadline
}

/// The end from within an allocation: the answer goes out, then the instance does.
fn stop(exceeded: Exceeded) {
    let message = match exceeded {
        Exceeded::Memory(most) => {
            let most = most >> 20;
            format!("the code was stopped: it needs more than {most} MiB of memory")
        }
        Exceeded::Time => {
            let most = WALL_MS.load(Ordering::Relaxed);
            format!("the code was stopped: it takes longer than {most} ms")
        }
    };
    send(&answer::failed(
        &Failure::limit(message),
        &nodeai_js::written(),
    ));
    std::process::abort();
}

/// The request's body, up to the limit.
fn read(request: &IncomingRequest) -> Result<Vec<u8>, Answer> {
    nodeai_once::read(request, MOST_REQUEST).map_err(|unread| Answer {
        status: unread.status(),
        body: serde_json::json!({"title": "Not a job", "status": unread.status(), "detail": unread.detail()}),
    })
}

/// Sends the answer, once.
fn send(answer: &Answer) {
    if let Some(out) = OUT.take() {
        nodeai_once::send(out, answer.status, &answer.body.to_string());
    }
}
