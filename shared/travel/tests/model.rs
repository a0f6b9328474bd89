//! Random workflows with random failures, delays, cancellations and crashes, by the engine's own model: their recordings
//! play again byte for byte, and a fork of one that is not edited gives what it gave. `MODEL_RUNS=100000` is the whole of it.

// The engine's own tests use all of them.
#[allow(dead_code)]
#[path = "../../engine/tests/sim/dice.rs"]
mod dice;
#[path = "../../engine/tests/model/draw.rs"]
mod draw;
#[path = "../../engine/tests/model/fate.rs"]
mod fate;
#[allow(dead_code)]
#[path = "../../engine/tests/model/reference.rs"]
mod reference;
#[allow(dead_code)]
#[path = "../../engine/tests/model/world.rs"]
mod world;

use std::sync::Arc;

use dice::Dice;
use draw::{Drawn, draw};
use fate::Fate;
use nodeai_engine::{AttemptResult, Event, Shortcut, Status, What, compile_with};
use nodeai_travel::{Recording, fork, replay, written};
use reference::{Expected, MOST_ITERATIONS, Reference};
use serde_json::{Map, Value};
use world::{MAX_DEPTH, World};

fn runs() -> u64 {
    let number = std::env::var("MODEL_RUNS").ok();
    number.and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// A run that has ended, with what it ran; none when it would be too long.
fn drive(seed: u64, failures: u64) -> Option<(World, Drawn, Status)> {
    let mut dice = Dice::new(seed);
    let drawn = draw(&mut dice);
    let fate = Fate { seed, failures };
    let reference = Reference {
        library: &drawn.library,
        fate,
        max_depth: MAX_DEPTH,
        expected: Expected::default(),
    };
    if reference.run(&drawn.document).iterations > MOST_ITERATIONS {
        return None;
    }
    let plan = compile_with(&drawn.document, &drawn.library).expect("a valid document");
    let mut world = World::new(Arc::new(plan), dice, fate);
    let status = world.run_to_end().expect("an end");
    Some((world, drawn, status))
}

/// Whether fate made an attempt fail: then the engine, asked again, says otherwise.
fn is_fate(event: &Event) -> bool {
    let What::AttemptFinished {
        result: AttemptResult::Error { error },
        ..
    } = &event.what
    else {
        return false;
    };
    matches!(error.kind.as_str(), "flaky" | "broken")
}

#[test]
fn a_recording_plays_again_byte_for_byte() {
    let (mut whole, mut events) = (0, 0);
    for seed in 0..runs() {
        let failures = [0, 0, 5, 15, 40][seed as usize % 5];
        let Some((world, _, status)) = drive(seed, failures) else {
            continue;
        };
        let text = serde_json::to_string(&world.log).unwrap();
        let recording = Recording::read(written(&world.log)).unwrap();
        assert_eq!(recording.events(), world.log);
        let replayed = replay(world.run.plan().clone(), &recording);
        assert_eq!(
            serde_json::to_string(&replayed.events).unwrap(),
            text,
            "seed {seed}"
        );
        assert_eq!(replayed.status, Some(status), "seed {seed}");
        let outcome = world.run.outcome().unwrap();
        assert_eq!(replayed.outputs, outcome.outputs, "seed {seed}");
        let fates = world.log.iter().filter(|event| is_fate(event)).count() as u64;
        assert_eq!(
            replayed.differences, fates,
            "seed {seed}: {:?}",
            replayed.divergence
        );
        assert_eq!(replayed.identical, fates == 0, "seed {seed}");
        assert_eq!(replayed.attempts.unverified, 0);
        whole += u64::from(replayed.identical);
        events += world.log.len();
    }
    assert!(whole * 4 > runs(), "only {whole} runs without failures");
    println!("{events} events played again");
}

/// Any change of a recording is found, and said where it is.
#[test]
fn a_recording_that_was_changed_is_another() {
    let mut found = 0;
    for seed in 0..runs().min(300) {
        let Some((world, _, _)) = drive(seed, 0) else {
            continue;
        };
        let mut dice = Dice::new(seed ^ 0xdead);
        let at = dice.roll(world.log.len());
        let mut log = world.log.clone();
        match &mut log[at].what {
            What::AttemptFinished {
                result: AttemptResult::Ok { handle, .. },
                ..
            } => handle.push('!'),
            What::NodeFinished { handle, .. } => handle.push('!'),
            What::RunFinished { outputs, .. } => *outputs = Value::from("other"),
            What::NodeSkipped { node } | What::NodeScheduled { node } => node.push('!'),
            _ => continue,
        }
        let recording = Recording::read(written(&log)).unwrap();
        let replayed = replay(world.run.plan().clone(), &recording);
        assert!(!replayed.identical, "seed {seed}");
        let divergence = replayed.divergence.expect("a place");
        assert_eq!(divergence.seq, at as u64, "seed {seed}: {divergence:?}");
        found += 1;
    }
    assert!(found > 50, "only {found} recordings were changed");
}

#[test]
fn a_fork_without_edits_gives_what_the_run_gave() {
    let (mut forks, mut reused) = (0, 0);
    for seed in 0..runs() {
        let Some((first, drawn, Status::Succeeded)) = drive(seed, 0) else {
            continue;
        };
        let definition = first.run.plan().definition();
        let mut dice = Dice::new(seed ^ 0xf0f0);
        let nodes: Vec<&str> = definition
            .nodes
            .iter()
            .map(|node| node.id.as_str())
            .collect();
        let from = nodes[dice.roll(nodes.len())];
        let none = Map::new();
        let forked = fork(definition, definition, &first.log, from, &none).expect("a node of it");
        assert!(!forked.reused.contains_key(&forked.from), "seed {seed}");
        assert!(forked.runs.contains(&forked.from), "seed {seed}");
        let plan = compile_with(&drawn.document, &drawn.library).expect("a valid document");
        let plan = plan.reusing(forked.reused.clone());
        let fate = Fate { seed, failures: 0 };
        let mut second = World::new(Arc::new(plan), dice, fate);
        let Ok(Status::Succeeded) = second.run_to_end() else {
            continue; // somebody cancelled this one
        };
        if !depends_on_timing(&drawn) {
            let (was, is) = (first.run.outcome(), second.run.outcome());
            assert_eq!(
                was.unwrap().outputs,
                is.unwrap().outputs,
                "seed {seed} from {from}"
            );
        }
        for event in &second.log {
            if let What::AttemptFinished {
                node,
                call,
                result: AttemptResult::Ok { .. },
                ..
            } = &event.what
                && forked.reused.contains_key(node)
            {
                assert_eq!(call.shortcut, Some(Shortcut::Reused), "seed {seed}: {node}");
                reused += 1;
            }
            if let What::IterationStarted { node, .. } = &event.what {
                assert!(
                    !forked.reused.contains_key(node),
                    "seed {seed}: {node} runs again"
                );
            }
        }
        let recording = Recording::read(written(&second.log)).unwrap();
        let replayed = replay(second.run.plan().clone(), &recording);
        assert!(replayed.identical, "seed {seed}: {:?}", replayed.divergence);
        forks += 1;
    }
    assert!(forks > runs() / 4, "only {forks} forks");
    assert!(reused > forks, "only {reused} results were taken over");
}

/// Joins that do not wait for all give what comes first.
fn depends_on_timing(drawn: &Drawn) -> bool {
    let documents = drawn.library.values().chain([&drawn.document]);
    documents.into_iter().any(|document| {
        let nodes = document["nodes"].as_array().into_iter().flatten();
        nodes
            .filter_map(|node| node["data"].get("join"))
            .any(|join| join != "all")
    })
}
