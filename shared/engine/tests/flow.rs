//! What single constructs do, step by step, where the model test does not look: time limits of
//! loops, late branches, what the loops' names mean, limits of a run, keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, CallMeta, Command, Due, Effect, NodeError, Run, RunStarted, Status, WaitKind,
    What, compile,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::{Value, json};

/// A run that is driven by hand.
struct Hand {
    run: Run,
    commands: Vec<Command>,
    now_us: i64,
}

impl Hand {
    fn start(document: &Value, inputs: Value) -> Self {
        Self::start_within(document, inputs, 1_000)
    }

    fn start_within(document: &Value, inputs: Value, max_steps: u64) -> Self {
        let plan = compile(document).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let definition_hash = plan.hash().to_owned();
        let mut hand = Self {
            run: Run::new(Arc::new(plan)),
            commands: Vec::new(),
            now_us: 0,
        };
        hand.take(What::RunStarted(Box::new(RunStarted {
            execution_id: "by-hand".into(),
            trace_id: TraceId::from_random([1; 16]),
            span_id: SpanId::from_random([1; 8]),
            parent_span_id: None,
            name: String::new(),
            inputs,
            definition_hash,
            seed: 1,
            max_concurrency: 8,
            max_depth: 3,
            max_steps,
            rules: nodeai_engine::RULES,
            reused: Default::default(),
            labels: Default::default(),
        })));
        hand
    }

    fn take(&mut self, fact: What) {
        self.now_us += 1_000;
        let step = self.run.accept(fact, self.now_us).expect("legal");
        self.commands.extend(step.commands);
    }

    fn begin(&mut self, node: &str) -> u32 {
        let starts = |command: &Command| matches!(command, Command::StartAttempt { node: of, .. } if of == node);
        let at = self.commands.iter().position(starts);
        let command = self
            .commands
            .remove(at.unwrap_or_else(|| panic!("{node}: {:?}", self.commands)));
        let Command::StartAttempt { attempt, .. } = command else {
            unreachable!()
        };
        self.take(What::AttemptStarted {
            node: node.into(),
            attempt,
            span_id: SpanId::from_random([2; 8]),
            input: None,
            most: None,
            recalled: Vec::new(),
        });
        attempt
    }

    fn end(&mut self, node: &str, attempt: u32, result: AttemptResult) {
        self.take(What::AttemptFinished {
            node: node.into(),
            attempt,
            result,
            call: Box::<CallMeta>::default(),
        });
    }

    /// Does what the node itself decides.
    fn step(&mut self, node: &str) -> Value {
        let effect = self.run.decide(node, &BTreeMap::new()).expect("decided");
        let attempt = self.begin(node);
        let result = match effect {
            Effect::Done(outcome) | Effect::Passed(outcome, _) => AttemptResult::Ok {
                output: outcome.output,
                handle: outcome.handle,
            },
            Effect::Enter(items) => AttemptResult::Enter { items },
            Effect::Wait(wait) => AttemptResult::Wait {
                wait: Box::new(wait.begin(self.now_us)),
            },
            other => panic!("{other:?}"),
        };
        let output = match &result {
            AttemptResult::Ok { output, .. } => output.clone(),
            _ => Value::Null,
        };
        self.end(node, attempt, result);
        output
    }

    fn outcome(&self) -> (Status, Value, String) {
        let outcome = self.run.outcome().expect("an end");
        let kind = outcome.error.as_ref().map(|error| error.kind.clone());
        (
            outcome.status,
            outcome.outputs.clone(),
            kind.unwrap_or_default(),
        )
    }
}

fn edge(source: &str, target: &str) -> Value {
    json!({"source": source, "target": target})
}

/// input → these → output of `value`.
fn around(nodes: &[Value], edges: &[Value], value: &str) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input"})];
    all.extend(nodes.iter().cloned());
    all.push(json!({"id": "out", "type": "output", "data": {"value": value}}));
    json!({"nodes": all, "edges": edges})
}

fn nested() -> Value {
    around(
        &[
            json!({"id": "rows", "type": "for_each", "data": {"items": "{{ inputs.rows }}"}}),
            json!({"id": "cells", "type": "for_each", "parentId": "rows", "data": {"items": "{{ item }}", "concurrency": 9}}),
            json!({"id": "cell", "type": "transform", "parentId": "cells",
                "data": {"expression": "[loops.rows.index, index, item, loops.rows.item | length]"}}),
        ],
        &[edge("in", "rows"), edge("rows", "out")],
        "{{ nodes.rows.output }}",
    )
}

#[test]
fn loops_in_loops_see_all_loops_around_them_and_keep_the_order() {
    let mut hand = Hand::start(&nested(), json!({"rows": [["a", "b"], ["c"]]}));
    for node in ["in", "rows", "rows[0]/cells"] {
        hand.step(node);
    }
    // The second comes first, its result second.
    hand.step("rows[0]/cells[1]/cell");
    hand.step("rows[0]/cells[0]/cell");
    hand.step("rows[1]/cells");
    hand.step("rows[1]/cells[0]/cell");
    hand.step("out");
    let rows = json!([[[0, 0, "a", 2], [0, 1, "b", 2]], [[1, 0, "c", 1]]]);
    assert_eq!(
        hand.outcome(),
        (Status::Succeeded, json!({"out": rows}), String::new())
    );
}

#[test]
fn an_empty_list_gives_an_empty_list() {
    let mut hand = Hand::start(&nested(), json!({"rows": []}));
    for node in ["in", "rows", "out"] {
        hand.step(node);
    }
    assert_eq!(hand.outcome().1, json!({"out": []}));
}

#[test]
fn a_loop_has_a_time_limit_for_all_of_it() {
    let mut document = nested();
    document["nodes"][1]["data"]["timeout_ms"] = 50.into();
    let mut hand = Hand::start(&document, json!({"rows": [[1]]}));
    for node in ["in", "rows", "rows[0]/cells"] {
        hand.step(node);
    }
    hand.begin("rows[0]/cells[0]/cell");
    let waits = |command: &&Command| matches!(command, Command::Wait { due: Due::Wait, node, .. } if node == "rows");
    let Some(Command::Wait { until_us, .. }) = hand.commands.iter().find(waits).cloned() else {
        panic!("{:?}", hand.commands)
    };
    assert_eq!(hand.run.next_due_us(), Some(until_us));
    hand.now_us = until_us;
    hand.commands.clear();
    hand.take(What::WaitDue {
        node: "rows".into(),
    });
    assert_eq!(
        (hand.outcome().0, hand.outcome().2.as_str()),
        (Status::Failed, "timeout")
    );
}

#[test]
fn a_failed_iteration_drops_what_is_at_work_beside_it() {
    let mut document = nested();
    document["nodes"][2]["data"]["on_error"] = "continue".into();
    let mut hand = Hand::start(&document, json!({"rows": [[1, 2, 3]]}));
    for node in ["in", "rows", "rows[0]/cells"] {
        hand.step(node);
    }
    let first = hand.begin("rows[0]/cells[0]/cell");
    hand.begin("rows[0]/cells[2]/cell");
    let error = NodeError::new("broken", "no", false);
    hand.commands.clear();
    hand.end(
        "rows[0]/cells[0]/cell",
        first,
        AttemptResult::Error { error },
    );
    let dropped = hand
        .commands
        .iter()
        .filter(|command| matches!(command, Command::Drop { .. }));
    // One was running, one was about to.
    assert_eq!(dropped.count(), 2, "{:?}", hand.commands);
    assert!(hand.run.in_flight().is_empty());
    let late = What::AttemptFinished {
        node: "rows[0]/cells[2]/cell".into(),
        attempt: 1,
        result: AttemptResult::Ok {
            output: json!(1),
            handle: "output".into(),
        },
        call: Box::<CallMeta>::default(),
    };
    assert!(hand.run.accept(late, 1).is_err(), "it came too late");
    hand.step("out");
    assert_eq!(hand.outcome().1["out"][0]["error"]["kind"], "broken");
}

#[test]
fn a_run_has_a_limit_of_steps() {
    let forever = around(
        &[
            json!({"id": "again", "type": "while", "data": {"condition": "true", "max_iterations": 9_999}}),
            json!({"id": "step", "type": "transform", "parentId": "again", "data": {"expression": "index"}}),
        ],
        &[edge("in", "again"), edge("again", "out")],
        "x",
    );
    let mut hand = Hand::start_within(&forever, json!({}), 6);
    hand.step("in");
    for index in 0.. {
        hand.step("again");
        if hand.run.outcome().is_some() {
            break;
        }
        assert!(index < 10, "no limit");
        hand.step(&format!("again[{index}]/step"));
    }
    assert_eq!(
        (hand.outcome().0, hand.outcome().2.as_str()),
        (Status::Failed, "too_many_steps")
    );
}

#[test]
fn two_of_three_go_on_and_the_third_is_left_out() {
    let branch = |id: &str| json!({"id": id, "type": "transform", "data": {"expression": "1"}});
    let document = around(
        &[
            branch("a"),
            branch("b"),
            branch("c"),
            json!({"id": "two", "type": "merge", "data": {"join": 2}}),
        ],
        &[
            edge("in", "a"),
            edge("in", "b"),
            edge("in", "c"),
            edge("a", "two"),
            edge("b", "two"),
            edge("c", "two"),
            edge("two", "out"),
        ],
        "{{ nodes.two.output }}",
    );
    let mut hand = Hand::start(&document, json!({}));
    for node in ["in", "c", "a", "b"] {
        hand.step(node);
    }
    assert_eq!(hand.step("two"), json!({"a": 1, "c": 1}));
    hand.step("out");
    assert_eq!(hand.outcome().0, Status::Succeeded);
}

#[test]
fn an_approval_is_answered_by_its_handles_only() {
    let document = around(
        &[
            json!({"id": "ask", "type": "wait", "data": {"approval": {"title": "Pay {{ inputs.sum }}?"}, "expires_ms": 1_000}}),
        ],
        &[
            edge("in", "ask"),
            json!({"source": "ask", "sourceHandle": "approved", "target": "out"}),
        ],
        "{{ nodes.ask.output.decision }}",
    );
    let mut hand = Hand::start(&document, json!({"sum": 5}));
    hand.step("in");
    hand.step("ask");
    let waits = hand.run.waits();
    assert_eq!(
        (waits.len(), waits[0].1.kind, waits[0].1.title.as_deref()),
        (1, WaitKind::Approval, Some("Pay 5?"))
    );
    assert!(hand.run.is_idle());
    let answer = |handle: &str| What::NodeResumed {
        node: "ask".into(),
        output: json!({"decision": handle}),
        handle: handle.into(),
    };
    for wrong in ["output", "timeout", "error"] {
        assert!(hand.run.accept(answer(wrong), 1).is_err(), "{wrong}");
    }
    hand.take(answer("approved"));
    assert!(
        hand.run.accept(answer("approved"), 1).is_err(),
        "answered twice"
    );
    hand.step("out");
    assert_eq!(hand.outcome().1, json!({"out": "approved"}));
}

#[test]
fn keys_are_those_of_the_call_not_of_the_attempt() {
    let mut hand = Hand::start(&nested(), json!({"rows": [[1, 2]]}));
    for node in ["in", "rows", "rows[0]/cells"] {
        hand.step(node);
    }
    let key = |way: &str| hand.run.idempotency_key(way);
    assert_eq!(key("rows[0]/cells[0]/cell"), key("rows[0]/cells[0]/cell"));
    assert_ne!(key("rows[0]/cells[0]/cell"), key("rows[0]/cells[1]/cell"));
    assert_eq!(key("x").len(), 32);
}

#[test]
fn a_call_is_kept_under_what_it_sends() {
    let call = |url: &str, cache: bool| {
        let mut data = json!({"url": url});
        if cache {
            data["cache"] = json!({"ttl_ms": 60_000});
        }
        around(
            &[json!({"id": "get", "type": "http", "data": data})],
            &[edge("in", "get"), edge("get", "out")],
            "x",
        )
    };
    let key = |document: Value| {
        let mut hand = Hand::start(&document, json!({}));
        hand.step("in");
        let effect = hand.run.decide("get", &BTreeMap::new()).expect("decided");
        hand.run.cache_key("get", &effect, None)
    };
    assert_eq!(key(call("https://example.com/a", false)), None);
    let kept = key(call("https://example.com/a", true)).expect("kept");
    assert_eq!((kept.0.len(), kept.1), (64, 60_000));
    assert_eq!(key(call("https://example.com/a", true)), Some(kept.clone()));
    assert_ne!(key(call("https://example.com/b", true)), Some(kept));
}

#[test]
fn a_node_that_costs_host_after_host_is_left_to_the_queue() {
    let document = around(
        &[json!({"id": "get", "type": "http", "data": {"url": "https://example.com/"}})],
        &[edge("in", "get"), edge("get", "out")],
        "{{ nodes.get.output }}",
    );
    let mut hand = Hand::start(&document, json!({}));
    hand.step("in");
    let lose = |hand: &mut Hand| {
        let attempt = hand.begin("get");
        let error = NodeError::lost();
        hand.end("get", attempt, AttemptResult::Error { error });
        // The next attempt comes at once.
        let due = What::RetryDue { node: "get".into() };
        if hand.run.outcome().is_none() {
            hand.take(due);
        }
    };
    // A dead letter, given back, and one again: five hosts each time.
    (0..10).for_each(|_| lose(&mut hand));
    assert!(hand.run.outcome().is_none());
    // What no queue ends, ends all the same.
    (10..26).for_each(|_| lose(&mut hand));
    assert_eq!(hand.outcome().2, "lost");
}

#[test]
fn what_a_connection_gave_is_kept_for_its_user_alone() {
    let key = |more: Value, user: Option<&str>| {
        let mut data = json!({"url": "https://example.com/me", "cache": {"ttl_ms": 60_000}});
        data.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let document = around(
            &[json!({"id": "get", "type": "http", "data": data})],
            &[edge("in", "get"), edge("get", "out")],
            "x",
        );
        let mut hand = Hand::start(&document, json!({}));
        hand.step("in");
        let effect = hand.run.decide("get", &BTreeMap::new()).expect("decided");
        hand.run.cache_key("get", &effect, user)
    };
    let by_connection = || json!({"auth": {"connection": "mail"}});
    assert_eq!(
        key(by_connection(), Some("ada")),
        key(by_connection(), Some("ada"))
    );
    assert_ne!(
        key(by_connection(), Some("ada")),
        key(by_connection(), Some("bob"))
    );
    assert_eq!(key(by_connection(), None), None);
    // What anybody would have got counts for anybody.
    assert_eq!(key(json!({}), Some("ada")), key(json!({}), Some("bob")));
}

#[test]
fn remarks_in_loops_neither_run_nor_count_and_items_of_nodes_hide_those_of_loops() {
    let document = around(
        &[
            json!({"id": "each", "type": "for_each", "data": {"items": "{{ inputs.rows }}"}}),
            json!({"id": "why", "type": "note", "parentId": "each", "data": {"text": "why"}}),
            json!({"id": "keep", "type": "filter", "parentId": "each",
                "data": {"items": "{{ item }}", "expression": "item > loops.each.index"}}),
        ],
        &[edge("in", "each"), edge("each", "out")],
        "{{ nodes.each.output }}",
    );
    let mut hand = Hand::start(&document, json!({"rows": [[0, 1], [1, 2]]}));
    for node in ["in", "each", "each[0]/keep", "each[1]/keep", "out"] {
        hand.step(node);
    }
    assert_eq!(hand.outcome().1, json!({"out": [[1], [2]]}));

    let mut empty = document;
    empty["nodes"][3] = json!({"id": "keep", "type": "note", "parentId": "each"});
    let faults = compile(&empty).expect_err("nothing in it runs");
    assert!(
        faults.iter().any(|fault| fault.code == "empty_loop"),
        "{faults:?}"
    );
}

#[test]
fn agents_are_kept_under_what_their_tools_see() {
    let key = |of: &str, item: i64| {
        let tool = json!({"name": "t", "node": {"type": "transform", "data": {"expression": of}}});
        let document = around(
            &[
                json!({"id": "each", "type": "for_each", "data": {"items": "{{ inputs.all }}"}}),
                json!({"id": "ask", "type": "agent", "parentId": "each",
                    "data": {"model": "builtin/echo", "prompt": "p", "tools": [tool], "cache": {"ttl_ms": 1}}}),
            ],
            &[edge("in", "each"), edge("each", "out")],
            "x",
        );
        let mut hand = Hand::start(&document, json!({"all": [item]}));
        hand.step("in");
        hand.step("each");
        let effect = hand.run.decide("each[0]/ask", &BTreeMap::new());
        let effect = effect.expect("decided");
        let key = hand.run.cache_key("each[0]/ask", &effect, Some("ada"));
        key.expect("kept").0
    };
    assert_eq!(key("{{ 1 }}", 1), key("{{ 1 }}", 2));
    assert_ne!(key("{{ item }}", 1), key("{{ item }}", 2));
    assert_eq!(key("{{ item }}", 1), key("{{ item }}", 1));
    assert_ne!(key("{{ 1 }}", 1), key("{{ 2 }}", 1));
}

#[test]
fn further_calls_of_an_attempt_have_keys_of_their_own() {
    let key = |at: u32, parts: &[&[u8]]| Run::further_key("first", at, parts);
    assert_eq!(key(1, &[b"GET", b"/a"]), key(1, &[b"GET", b"/a"]));
    assert_ne!(key(1, &[b"GET", b"/a"]), key(2, &[b"GET", b"/a"]));
    assert_ne!(key(1, &[b"GET", b"/a"]), key(1, &[b"GET/", b"a"]));
}
