//! The allocator that counts: what no interpreter bounds ends here. Each case is a process of its own, since it ends with it.

use std::alloc::System;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nodeai_js::{Exceeded, Job, Meter};

#[global_allocator]
static METER: Meter<System> = Meter::new(System, 32 << 20, late, end);

/// Whether the time of a case is over, as its own clock has it.
static LATE: AtomicBool = AtomicBool::new(false);

/// The variable in which a case finds its source.
const SOURCE: &str = "NODEAI_JS_SOURCE";

fn late() -> bool {
    LATE.load(Ordering::Relaxed)
}

fn end(exceeded: Exceeded) {
    std::process::exit(match exceeded {
        Exceeded::Memory(_) => 41,
        Exceeded::Time => 42,
    });
}

/// What a case runs; as a test of its own it has nothing to do.
#[test]
fn case() {
    let Ok(source) = std::env::var(SOURCE) else {
        return;
    };
    if source.contains("// late") {
        LATE.store(true, Ordering::Relaxed);
    }
    let job = Job {
        source,
        globals: serde_json::Map::new(),
        now_ms: 0,
        seed: String::new(),
        limits: nodeai_js::Limits::default(),
    };
    let ended = nodeai_js::run(&job);
    std::process::exit(if ended.result.is_ok() { 40 } else { 43 });
}

fn case_of(source: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["case", "--exact", "--nocapture"]);
    command.env(SOURCE, source).output().expect("a process")
}

#[test]
fn what_takes_too_much_memory_ends() {
    for source in [
        "let s = 'xxxxxxxx'; while (true) s += s",
        "const all = []; while (true) all.push(new Array(1000).fill(7))",
        "const all = []; while (true) all.push({ a: 'text', b: all.length })",
        "const all = new Map(); for (let i = 0; ; i++) all.set('key' + i, [i])",
        "return [...(function* () { while (true) yield 'x'.repeat(1000) + Math.random() })()]",
        "const all = []; while (true) all.push(new ArrayBuffer(1 << 20))",
    ] {
        let begun = Instant::now();
        let output = case_of(source);
        assert_eq!(output.status.code(), Some(41), "{source}: {output:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{source}");
    }
}

#[test]
fn what_takes_too_long_ends_at_an_allocation() {
    let output =
        case_of("// late\nlet s = []; for (let i = 0; i < 1e6; i++) s = [i, s.length]; return 1");
    assert_eq!(output.status.code(), Some(42), "{output:?}");
}

#[test]
fn what_stays_within_its_bounds_does_not_notice() {
    let output =
        case_of("let n = 0; for (let i = 0; i < 2000; i++) n += 'x'.repeat(1000).length; return n");
    assert_eq!(output.status.code(), Some(40), "{output:?}");
}
