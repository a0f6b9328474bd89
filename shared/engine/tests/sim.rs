//! The simulator: from a seed it draws a workflow and a script of faults (late, doubled and
//! lost results, crashes between commit and act, cancellation), drives the real state machine
//! through them, and has an independent auditor judge the log. `SIM_SEED=n` repeats one run,
//! `SIM_RUNS=n` says how many there are.

mod sim {
    pub mod auditor;
    pub mod dice;
    pub mod driver;
    pub mod workflow;
}

use std::sync::Arc;

use nodeai_engine::{Status, compile};
use sim::dice::Dice;
use sim::driver::{Driver, Faults};
use sim::{auditor, workflow};

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_RUNS").unwrap_or(2_000),
    }
}

#[test]
fn every_run_ends_well_audited_whatever_happens_to_it() {
    let mut ends = [0; 3];
    let mut crashes = 0;
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let document = workflow::draw(&mut dice, true);
        let plan = compile(&document).unwrap_or_else(|faults| panic!("seed {seed}: {faults:#?}"));
        let mut driver = Driver::new(Arc::new(plan), dice, Faults::All);
        let end = driver
            .run_to_end()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        crashes += driver.crashes;
        ends[end as usize] += 1;
        if let Err(finding) = auditor::audit(&document, &driver) {
            panic!("seed {seed}: {finding}\n{:#?}", driver.log);
        }
    }
    // The script must reach what it is for.
    if seeds().end - seeds().start >= 1_000 {
        assert!(
            ends.iter().all(|count| *count > 50) && crashes > 100,
            "{ends:?} {crashes}"
        );
    }
}

#[test]
fn the_order_in_which_results_come_does_not_change_them() {
    for seed in seeds().take(300) {
        let results: Vec<_> = (0..4)
            .map(|order| {
                let mut dice = Dice::new(seed);
                let document = workflow::draw(&mut dice, false);
                let plan = Arc::new(compile(&document).expect("a valid document"));
                let mut driver = Driver::new(plan, dice.fork(order), Faults::None);
                assert_eq!(driver.run_to_end(), Ok(Status::Succeeded), "seed {seed}");
                (driver.outputs(), auditor::ends(&driver.log))
            })
            .collect();
        assert!(
            results.iter().all(|result| *result == results[0]),
            "seed {seed}: {results:#?}"
        );
    }
}
