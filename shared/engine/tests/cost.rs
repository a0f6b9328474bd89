//! The cost per node stays the same as the graph grows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nodeai_engine::{
    AttemptResult, CallMeta, Command, Compiled, Effect, Run, RunStarted, Status, What, compile,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::{Value, json};

/// Most growth of the cost per node from the small to the large graph. Quadratic work shows as 100.
const MOST_GROWTH: f64 = 1.3;

fn document(inner: Vec<Value>, edges: Vec<Value>) -> Compiled {
    let mut nodes = vec![json!({"id": "in", "type": "input"})];
    nodes.extend(inner);
    nodes.push(json!({"id": "out", "type": "output", "data": {"value": 1}}));
    compile(&json!({"nodes": nodes, "edges": edges})).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn edge(source: impl ToString, target: impl ToString) -> Value {
    json!({"source": source.to_string(), "target": target.to_string()})
}

/// Each node uses the one before.
fn chain(count: usize) -> Compiled {
    let name = |at: usize| {
        if at == 0 {
            "in".into()
        } else {
            format!("n{at}")
        }
    };
    let nodes = (1..=count).map(|at| {
        let value = format!("{{{{ nodes['{}'].state }}}}", name(at - 1));
        json!({"id": name(at), "type": "transform", "data": {"fields": {"x": value}}})
    });
    let mut edges: Vec<Value> = (1..=count).map(|at| edge(name(at - 1), name(at))).collect();
    edges.push(edge(name(count), "out"));
    document(nodes.collect(), edges)
}

/// Every node hangs on the input, and the output on every node.
fn fan(count: usize) -> Compiled {
    let nodes = (0..count).map(|at| json!({"id": format!("n{at}"), "type": "transform", "data": {"fields": {"x": "{{ run.id }}"}}}));
    let edges =
        (0..count).flat_map(|at| [edge("in", format!("n{at}")), edge(format!("n{at}"), "out")]);
    document(nodes.collect(), edges.collect())
}

/// A loop whose body uses its item and what is outside.
fn each(count: usize) -> Compiled {
    let items: Vec<usize> = (0..count).collect();
    let nodes = vec![
        json!({"id": "list", "type": "transform", "data": {"fields": {"items": items}}}),
        json!({"id": "each", "type": "for_each", "data": {"items": "{{ nodes.list.output['items'] }}", "concurrency": 8}}),
        json!({"id": "one", "type": "transform", "parentId": "each", "data": {"fields": {"x": "{{ item + nodes.list.output['items'][index] }}"}}}),
    ];
    let edges = vec![
        edge("in", "list"),
        edge("list", "each"),
        edge("each", "out"),
    ];
    document(nodes, edges)
}

/// What this thread has spent on the processor, where the system says so: the machine may have
/// other things to do.
fn spent() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let begun = BEGUN.get_or_init(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    first.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

/// Runs to the end.
fn drive(plan: &Arc<Compiled>) {
    let mut run = Run::new(plan.clone());
    let mut commands = VecDeque::new();
    let mut at_us = 0;
    let mut take = |run: &mut Run, commands: &mut VecDeque<Command>, fact: What| {
        at_us += 1;
        commands.extend(run.accept(fact, at_us).expect("legal").commands);
    };
    let started = What::RunStarted(Box::new(RunStarted {
        execution_id: "cost".into(),
        trace_id: TraceId::from_random([1; 16]),
        span_id: SpanId::from_random([1; 8]),
        parent_span_id: None,
        name: String::new(),
        inputs: json!({}),
        definition_hash: plan.hash().to_owned(),
        seed: 1,
        max_concurrency: 16,
        max_depth: 1,
        max_steps: 1_000_000,
        rules: nodeai_engine::RULES,
        reused: Default::default(),
        labels: Default::default(),
    }));
    take(&mut run, &mut commands, started);
    while let Some(command) = commands.pop_front() {
        let Command::StartAttempt { node, attempt, .. } = command else {
            continue;
        };
        let effect = run.decide(&node, &BTreeMap::new()).expect("decided");
        let fact = What::AttemptStarted {
            node: node.clone(),
            attempt,
            span_id: SpanId::from_random([2; 8]),
            input: run.input_of(&node, Some(&effect)),
            most: None,
            recalled: Vec::new(),
        };
        take(&mut run, &mut commands, fact);
        let result = match effect {
            Effect::Enter(items) => AttemptResult::Enter { items },
            Effect::Done(outcome) => AttemptResult::Ok {
                output: outcome.output,
                handle: outcome.handle,
            },
            other => panic!("{other:?}"),
        };
        let call = Box::<CallMeta>::default();
        let fact = What::AttemptFinished {
            node,
            attempt,
            result,
            call,
        };
        take(&mut run, &mut commands, fact);
    }
    assert_eq!(
        run.outcome().map(|outcome| outcome.status),
        Some(Status::Succeeded)
    );
}

/// Nodes of the large graph, and of all runs of the small one in a round.
const NODES: usize = 9_000;
/// The best of so many rounds counts. The graphs take turns, so that a busy moment of the machine is not one graph's alone.
const ROUNDS: usize = 7;

/// µs per node of a graph of 10 and of one of [`NODES`], over so many runs that the clock's grain does not matter.
fn per_node(make: fn(usize) -> Compiled) -> (f64, f64) {
    let plans = [10, NODES].map(|count| (count, Arc::new(make(count))));
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for ((count, plan), best) in plans.iter().zip(&mut best) {
            let begun = spent();
            (0..NODES / count).for_each(|_| drive(plan));
            *best = (*best).min(spent() - begun);
        }
    }
    let [small, large] = best.map(|spent| spent.as_secs_f64() * 1e6 / NODES as f64);
    (small, large)
}

#[test]
fn a_node_costs_the_same_in_a_large_graph() {
    for (name, make) in [
        ("chain", chain as fn(usize) -> Compiled),
        ("fan", fan),
        ("for_each", each),
    ] {
        let (small, large) = per_node(make);
        println!(
            "{name}: {small:.1} µs per node of 10, {large:.1} of {NODES}, {:.2} ×",
            large / small
        );
        assert!(
            large < small * MOST_GROWTH,
            "{name}: {small:.1} µs, then {large:.1} µs"
        );
    }
}
