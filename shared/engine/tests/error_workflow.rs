//! When a run has its error workflow: whatever it fails of, whether a node or the run itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, CallMeta, CancelReason, Command, Effect, Event, RULES, Run, RunStarted, Status,
    What, WorkflowRef, compile_with,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::{Value, json};

const HANDLER: &str = "0190a000-0000-7000-8000-000000000001";

/// An endless loop, with an error workflow that has these inputs.
fn document() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input"},
            {"id": "turn", "type": "while", "data": {"condition": "true", "max_iterations": 9_999}},
            {"id": "step", "type": "transform", "parentId": "turn", "data": {"expression": "1"}},
            {"id": "out", "type": "output", "data": {"value": "x"}},
        ],
        "edges": [{"source": "in", "target": "turn"}, {"source": "turn", "target": "out"}],
        "settings": {"error_workflow": {"workflow_id": HANDLER, "version": 1}},
    })
}

fn handler(schema: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {"schema": schema}},
            {"id": "tell", "type": "output", "data": {"value": "{{ inputs.error.kind }}"}},
        ],
        "edges": [{"source": "in", "target": "tell"}],
    })
}

/// Runs what decides by itself, and hands the run a fact in place of the `at`th attempt.
fn run(schema: Value, rules: u32, max_steps: u64, at: usize, fact: &What) -> (Run, Vec<Event>) {
    let which = WorkflowRef {
        workflow_id: HANDLER.into(),
        version: 1,
    };
    let library = BTreeMap::from([(which, handler(schema))]);
    let plan = Arc::new(compile_with(&document(), &library).expect("a document"));
    let mut run = Run::new(plan.clone());
    let (mut log, mut commands) = (Vec::new(), Vec::new());
    let mut take = |run: &mut Run, fact: What| {
        let at_us = log.len() as i64;
        let step = run.accept(fact, at_us).expect("legal");
        log.extend(step.events);
        step.commands
    };
    let started = What::RunStarted(Box::new(RunStarted {
        execution_id: "run".into(),
        trace_id: TraceId::from_random([1; 16]),
        span_id: SpanId::from_random([1; 8]),
        parent_span_id: None,
        name: String::new(),
        inputs: json!({}),
        definition_hash: plan.hash().to_owned(),
        seed: 1,
        max_concurrency: 1,
        max_depth: 3,
        max_steps,
        rules,
        reused: Default::default(),
        labels: Default::default(),
    }));
    commands.extend(take(&mut run, started));
    for turn in 0.. {
        if run.outcome().is_some() {
            break;
        }
        if turn == at {
            commands = take(&mut run, fact.clone());
            continue;
        }
        let starts = |command: &Command| matches!(command, Command::StartAttempt { .. });
        let next = commands.iter().position(starts).expect("something to do");
        let Command::StartAttempt { node, attempt, .. } = commands.remove(next) else {
            unreachable!()
        };
        let effect = run.decide(&node, &BTreeMap::new()).expect("decided");
        let result = match effect {
            Effect::Done(outcome) => AttemptResult::Ok {
                output: outcome.output,
                handle: outcome.handle,
            },
            Effect::Enter(items) => AttemptResult::Enter { items },
            other => panic!("{other:?}"),
        };
        let begun = What::AttemptStarted {
            node: node.clone(),
            attempt,
            span_id: SpanId::from_random([2; 8]),
            input: None,
            most: None,
            recalled: Vec::new(),
        };
        commands.extend(take(&mut run, begun));
        let ended = What::AttemptFinished {
            node,
            attempt,
            result,
            call: Box::<CallMeta>::default(),
        };
        commands.extend(take(&mut run, ended));
    }
    (run, log)
}

fn cancelled(reason: CancelReason) -> What {
    What::RunCancelRequested { reason }
}

/// How it ended, and whether its error workflow ran to its end.
fn end(run: &Run, log: &[Event]) -> (Status, String, bool) {
    let outcome = run.outcome().expect("an end");
    let error = outcome.error.as_ref().expect("an error");
    let told = log.iter().any(
        |event| matches!(&event.what, What::NodeFinished { node, .. } if node == "@error/tell"),
    );
    (outcome.status, error.kind.clone(), told)
}

#[test]
fn a_run_that_takes_too_long_or_runs_too_much_has_its_error_workflow() {
    let late = cancelled(CancelReason::Timeout);
    for (rules, max_steps, at, kind, told) in [
        (RULES, 1_000, 20, "run_timeout", true),
        (RULES, 100, usize::MAX, "too_many_steps", true),
        (0, 1_000, 20, "run_timeout", false),
        (0, 100, usize::MAX, "too_many_steps", false),
    ] {
        let (ended, log) = run(json!([]), rules, max_steps, at, &late);
        assert_eq!(end(&ended, &log), (Status::Failed, kind.to_owned(), told));
        let (again, missing) = Run::replay(ended.plan().clone(), &log).expect("its own log");
        assert!(again == ended && missing.is_empty(), "{kind}");
    }
}

#[test]
fn a_run_that_is_cancelled_has_none() {
    let fact = cancelled(CancelReason::Requested);
    let (ended, log) = run(json!([]), RULES, 1_000, 20, &fact);
    let expected = (Status::Cancelled, "cancelled".to_owned(), false);
    assert_eq!(end(&ended, &log), expected);
}

#[test]
fn an_error_workflow_that_does_not_take_the_error_is_named_in_it() {
    let late = cancelled(CancelReason::Timeout);
    let schema = json!([{"name": "severity", "type": "string", "required": true}]);
    let (ended, log) = run(schema, RULES, 1_000, 20, &late);
    let expected = (Status::Failed, "run_timeout".to_owned(), false);
    assert_eq!(end(&ended, &log), expected);
    let error = ended.outcome().and_then(|outcome| outcome.error.clone());
    let message = error.expect("an error").message;
    assert!(
        message.contains("the error workflow was not run") && message.contains("severity"),
        "{message}"
    );
}
