//! Recorded runs must replay for ever: `histories/*.json` hold a document and its log. Add one
//! with each engine bug; `RECORD_HISTORIES=1` writes those scripted below that are missing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, CallMeta, CancelReason, Command, Event, NodeError, Run, RunStarted, What,
    compile, spans_of,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories"))
}

#[test]
fn recorded_runs_replay() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let history: Value = serde_json::from_str(&text).expect("JSON");
        let plan =
            Arc::new(compile(&history["definition"]).unwrap_or_else(|f| panic!("{path:?}: {f:?}")));
        let log: Vec<Event> = serde_json::from_value(history["log"].clone()).expect("a log");
        let (run, missing) =
            Run::replay(plan, &log).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(missing.is_empty() && run.outcome().is_some(), "{path:?}");
        // What is written again is what was read: no field has been lost.
        assert_eq!(
            serde_json::to_value(&log).expect("JSON"),
            history["log"],
            "{path:?}"
        );
        assert_eq!(
            spans_of(&log, |_| None).len() as u64,
            history["spans"],
            "{path:?}"
        );
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn scripted_runs_are_as_recorded() {
    for (name, document, script) in scripts() {
        let log = play(&document, script);
        let spans = spans_of(&log, |_| None).len();
        let history = json!({"definition": document, "log": log, "spans": spans});
        let path = folder().join(format!("{name}.json"));
        if std::env::var_os("RECORD_HISTORIES").is_some() && !path.exists() {
            let text = serde_json::to_string_pretty(&history).expect("JSON");
            std::fs::write(&path, text + "\n").expect("written");
        }
        let recorded = std::fs::read_to_string(&path).expect("a recorded history");
        let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
        assert_eq!(history, recorded, "{name}");
    }
}

/// What each attempt gives, in the order in which attempts start.
type Script = Vec<Turn>;

enum Turn {
    Gives(&'static str),
    Fails(&'static str, bool),
    Crashes,
    IsCancelled,
}

fn scripts() -> Vec<(&'static str, Value, Script)> {
    let edge = |source: &str, handle: &str, target: &str| json!({"source": source, "sourceHandle": handle, "target": target});
    let node = |id: &str, kind: &str, data: Value| json!({"id": id, "type": kind, "data": data});
    let branch = json!({
        "nodes": [
            node("in", "input", json!({})),
            node("which", "condition", json!({"expression": "inputs.x"})),
            node("yes", "transform", json!({"expression": "1"})),
            node("no", "transform", json!({"expression": "2"})),
            node("out", "output", json!({"value": "{{ nodes.yes.output }}"})),
        ],
        "edges": [
            edge("in", "output", "which"), edge("which", "true", "yes"), edge("which", "false", "no"),
            edge("yes", "output", "out"), edge("no", "output", "out"),
        ],
    });
    let call = json!({"url": "https://example.com", "retry": {"max_attempts": 2, "backoff_ms": 100}, "on_error": "error_edge"});
    let errors = json!({
        "nodes": [
            node("in", "input", json!({})),
            node("call", "http", call),
            node("good", "output", json!({"value": 1})),
            node("bad", "output", json!({"value": 2, "name": "problem"})),
        ],
        "edges": [edge("in", "output", "call"), edge("call", "output", "good"), edge("call", "error", "bad")],
    });
    use Turn::{Crashes, Fails, Gives, IsCancelled};
    vec![
        (
            "branch",
            branch.clone(),
            vec![
                Gives("output"),
                Gives("true"),
                Gives("output"),
                Gives("output"),
            ],
        ),
        (
            "retry-then-error-edge",
            errors.clone(),
            vec![
                Gives("output"),
                Fails("http_status", true),
                Fails("http_status", true),
                Gives("output"),
            ],
        ),
        (
            "crash-and-resume",
            branch.clone(),
            vec![
                Gives("output"),
                Crashes,
                Gives("false"),
                Gives("output"),
                Gives("output"),
            ],
        ),
        (
            "failure-ends-the-run",
            branch.clone(),
            vec![Gives("output"), Fails("expression", false)],
        ),
        ("cancelled", errors, vec![Gives("output"), IsCancelled]),
    ]
}

fn play(document: &Value, script: Script) -> Vec<Event> {
    let plan = Arc::new(compile(document).expect("a valid document"));
    let mut player = Player {
        run: Run::new(plan.clone()),
        log: Vec::new(),
        commands: VecDeque::new(),
        now_us: 1_700_000_000_000_000,
    };
    player.take(What::RunStarted(Box::new(RunStarted {
        execution_id: "0190d5f0-0000-7000-8000-000000000000".into(),
        trace_id: TraceId::from_random([0xab; 16]),
        span_id: SpanId::from_random([0xcd; 8]),
        parent_span_id: None,
        name: "history".into(),
        inputs: json!({"x": true}),
        definition_hash: plan.hash().to_owned(),
        seed: 7,
        max_concurrency: 4,
        max_depth: nodeai_engine::MOST_DEPTH,
        max_steps: nodeai_engine::MOST_STEPS,
        // By the rules of when they were recorded.
        rules: 0,
        reused: Default::default(),
        labels: Default::default(),
    })));
    let mut script = script.into_iter();
    let mut span = 0u8;
    while player.run.outcome().is_none() {
        match player.commands.pop_front().expect("a command") {
            Command::StartAttempt { node, attempt, .. } => {
                span += 1;
                let span_id = SpanId::from_random([span; 8]);
                player.take(What::AttemptStarted {
                    node: node.clone(),
                    attempt,
                    span_id,
                    input: None,
                    most: None,
                    recalled: Vec::new(),
                });
                player.act(node, attempt, script.next().expect("a turn"));
            }
            Command::Wait {
                node,
                until_us,
                due,
            } => {
                player.now_us = player.now_us.max(until_us);
                player.take(due.fact(node));
            }
            Command::Drop { .. } | Command::Stop => {}
        }
    }
    player.log
}

struct Player {
    run: Run,
    log: Vec<Event>,
    commands: VecDeque<Command>,
    now_us: i64,
}

impl Player {
    fn take(&mut self, fact: What) {
        self.now_us += 1_000;
        let step = self.run.accept(fact, self.now_us).expect("legal");
        self.log.extend(step.events);
        self.commands.extend(step.commands);
    }

    fn act(&mut self, node: String, attempt: u32, turn: Turn) {
        let result = match turn {
            Turn::Gives(handle) => AttemptResult::Ok {
                output: json!({"from": node}),
                handle: handle.into(),
            },
            Turn::Fails(kind, retryable) => AttemptResult::Error {
                error: NodeError::new(kind, "failed", retryable),
            },
            Turn::IsCancelled => {
                return self.take(What::RunCancelRequested {
                    reason: CancelReason::Requested,
                });
            }
            Turn::Crashes => {
                let (run, _) = Run::replay(self.run.plan().clone(), &self.log).expect("replays");
                assert_eq!(run.in_flight(), [(node.clone(), attempt)]);
                self.commands = run.outstanding().into();
                self.run = run;
                AttemptResult::Error {
                    error: NodeError::lost(),
                }
            }
        };
        let call = Box::new(CallMeta {
            cost_pusd: Some(5),
            ..CallMeta::default()
        });
        self.take(What::AttemptFinished {
            node,
            attempt,
            result,
            call,
        });
    }
}
