//! The model test: random workflows with random failures, delays, cancellations, and a crash
//! after every transition, end as a plain reference interpreter says. Nothing is lost, nothing
//! runs twice without a crash. `MODEL_RUNS=100000` is the whole of it, `MODEL_SEED=n` repeats one.

mod model {
    pub mod draw;
    pub mod fate;
    pub mod reference;
    pub mod world;
}
#[path = "sim/dice.rs"]
mod dice;

use std::collections::BTreeMap;
use std::sync::Arc;

use dice::Dice;
use model::draw::draw;
use model::fate::Fate;
use model::reference::{End, Expected, MOST_ITERATIONS, Reference};
use model::world::{MAX_DEPTH, World};
use nodeai_engine::{AttemptResult, Event, Status, What, compile_with};
use serde_json::Value;

/// What the runs of a thread were.
#[derive(Default, Debug)]
struct Seen {
    runs: u64,
    ends: [u64; 3],
    crashes: u64,
    iterations: u64,
    waits: u64,
    handlers: u64,
    events: u64,
}

#[test]
fn every_run_ends_as_the_reference_says() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_RUNS").unwrap_or(3_000),
    };
    let count = seeds.end - seeds.start;
    let threads = 2;
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let work = (0..threads).map(|first| {
            let seeds = seeds.clone();
            scope.spawn(move || {
                let mut seen = Seen::default();
                for seed in seeds.filter(|seed| seed % threads == first) {
                    if let Err(finding) = one(seed, &mut seen) {
                        panic!("seed {seed}: {finding}");
                    }
                }
                seen
            })
        });
        let work: Vec<_> = work.collect();
        work.into_iter()
            .map(|thread| thread.join().expect("no finding"))
            .collect()
    });
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    println!("{seen:#?}");
    if count >= 1_000 {
        assert_eq!(sum(|seen| seen.runs), count);
        // The script must reach what it is for.
        for end in 0..3 {
            let reached: u64 = seen.iter().map(|seen| seen.ends[end]).sum();
            assert!(reached * 100 > count, "{seen:?}");
        }
        assert!(sum(|seen| seen.crashes) * 10 > count, "{seen:?}");
        assert!(sum(|seen| seen.iterations) > count, "{seen:?}");
        assert!(sum(|seen| seen.waits) * 4 > count, "{seen:?}");
        assert!(sum(|seen| seen.handlers) * 100 > count, "{seen:?}");
    }
}

fn one(seed: u64, seen: &mut Seen) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let fate = Fate {
        seed,
        failures: [0, 0, 5, 15, 40][dice.roll(5)],
    };
    let (drawn, expected) = loop {
        let drawn = draw(&mut dice);
        let reference = Reference {
            library: &drawn.library,
            fate,
            max_depth: MAX_DEPTH,
            expected: Expected::default(),
        };
        let expected = reference.run(&drawn.document);
        if expected.iterations <= MOST_ITERATIONS {
            break (drawn, expected);
        }
    };
    let plan = compile_with(&drawn.document, &drawn.library)
        .map_err(|faults| format!("{faults:#?}\n{:#}", drawn.document))?;
    let mut world = World::new(Arc::new(plan), dice, fate);
    let status = world.run_to_end();
    let judged = status.and_then(|status| judge(status, &world, &expected).map(|()| status));
    let status = judged.map_err(|finding| {
        let log: Vec<String> = world
            .log
            .iter()
            .map(|event| format!("{:?}", event.what))
            .collect();
        format!(
            "{finding}\n{}\n{:#?}\n{}",
            drawn.document,
            drawn.library,
            log.join("\n")
        )
    })?;
    seen.runs += 1;
    seen.ends[status as usize] += 1;
    seen.crashes += world.crashes;
    seen.events += world.log.len() as u64;
    for event in &world.log {
        match event.what {
            What::IterationStarted { .. } => seen.iterations += 1,
            What::NodeSuspended { .. } => seen.waits += 1,
            What::ErrorWorkflowStarted => seen.handlers += 1,
            _ => {}
        }
    }
    Ok(())
}

fn judge(status: Status, world: &World, expected: &Expected) -> Result<(), String> {
    let mut ended = BTreeMap::new();
    for (at, event) in world.log.iter().enumerate() {
        if event.seq != at as u64 {
            return Err(format!("event {at} has the number {}", event.seq));
        }
        judge_event(event, world, expected, &mut ended)?;
    }
    for (node, count) in &world.ended {
        let most = expected.attempts.get(node).copied().unwrap_or(0);
        if *count > most {
            return Err(format!("{node} ran {count} times, {most} were to be"));
        }
    }
    let outcome = world.run.outcome().ok_or("no outcome")?;
    match status {
        Status::Succeeded if !expected.causes.is_empty() => Err("it should have failed".into()),
        Status::Succeeded if outcome.outputs != expected.outputs => Err(format!(
            "outputs {} instead of {}",
            outcome.outputs, expected.outputs
        )),
        Status::Succeeded => {
            let sure = |node: &&String| {
                let mut broken = expected.broken_off.iter();
                !broken.any(|prefix| node.starts_with(prefix.as_str()))
            };
            let mut ends = expected.ends.keys().filter(sure);
            let lost = ends.find(|node| !ended.contains_key(*node));
            let mut attempts = expected.attempts.iter().filter(|(node, _)| sure(node));
            let short = attempts.find(|(node, count)| world.ended.get(*node) != Some(*count));
            match (lost, short) {
                (None, None) => Ok(()),
                wrong => Err(format!("lost: {wrong:?}")),
            }
        }
        Status::Failed => {
            let error = outcome.error.as_ref().ok_or("no error")?;
            let way = error.path.as_ref().or(error.node_id.as_ref());
            let cause = (way.cloned().unwrap_or_default(), error.kind.clone());
            match expected.causes.contains(&cause) {
                true => Ok(()),
                false => Err(format!("{cause:?} is none of {:?}", expected.causes)),
            }
        }
        Status::Cancelled => Ok(()),
    }
}

/// Whatever a node gave, is what the reference has for it; no node ends twice.
fn judge_event(
    event: &Event,
    world: &World,
    expected: &Expected,
    ended: &mut BTreeMap<String, ()>,
) -> Result<(), String> {
    let (node, handle, output) = match &event.what {
        What::NodeFinished {
            node,
            handle,
            output,
        } => (node, handle.as_str(), output.clone()),
        What::NodeSkipped { node } => (node, "skipped", None),
        _ => return Ok(()),
    };
    if ended.insert(node.clone(), ()).is_some() {
        return Err(format!("{node} ends twice"));
    }
    let before = &world.log[..event.seq as usize];
    let output = output.or_else(|| last_output(before, node));
    match expected.ends.get(node) {
        Some(End::Skipped) if handle == "skipped" => Ok(()),
        Some(End::Finished(value, by)) => {
            let same_handle = handle == by || by == "*" && handle == "output";
            let same_value = value.is_none() || *value == output || has_any(value.as_ref());
            match same_handle && same_value {
                true => Ok(()),
                false => Err(format!(
                    "{node}: {handle} {output:?} instead of {by} {value:?}"
                )),
            }
        }
        other => Err(format!("{node}: {handle} instead of {other:?}")),
    }
}

/// Whether a value holds what depends on timing.
fn has_any(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.to_string().contains("{\"any\":true}"))
}

fn last_output(log: &[Event], node: &str) -> Option<Value> {
    log.iter().rev().find_map(|event| match &event.what {
        What::AttemptFinished {
            node: of,
            result: AttemptResult::Ok { output, .. },
            ..
        } if of == node => Some(output.clone()),
        _ => None,
    })
}
