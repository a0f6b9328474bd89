//! A replay: the facts of a recording go through the engine again, and nothing outside is asked. The decisions have to be
//! those of the recording, and every attempt is decided anew: its input is rendered from the state that the facts give, and what
//! needs no call has to give the same.
//!
//! What came from outside is a fact and stays one: results of calls, times, answers of people, failures of the vault.
//! Secrets are not needed: where one was, there is a blank.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, BLANK, CallMeta, Compiled, Effect, Event, Illegal, NodeError, Run, RunError,
    Status, What,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::agree::{Twice, agrees, same_text};
use crate::changes::short;
use crate::decided::{
    Decided, RETRY_IF, Verdict, is_call, is_from_outside, kind, told, value_of, waits_as,
};
use crate::recording::Recording;

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Whether the replayed log is the recorded one, byte for byte, and every attempt does again what it did.
    pub identical: bool,
    /// How the run ended; none when the replay could not be brought to its end.
    pub status: Option<Status>,
    /// The output nodes' values by name.
    pub outputs: Value,
    /// Why it did not succeed.
    pub error: Option<RunError>,
    /// The replayed log.
    pub events: Vec<Event>,
    /// What was compared.
    pub attempts: Attempts,
    /// The first difference.
    pub divergence: Option<Divergence>,
    /// How many there are, as far as the replay went.
    pub differences: u64,
}

/// How attempts at nodes compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempts {
    /// In all.
    pub total: u64,
    /// Whose inputs and results were made again.
    pub verified: u64,
    /// Whose results came from outside; their inputs were made again.
    pub calls: u64,
    /// That depend on secrets, which a replay does not have, so that nothing can be said of them.
    pub unverified: u64,
}

/// A difference between what was recorded and what is so now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Divergence {
    /// The event of the recording.
    pub seq: u64,
    /// The node, by its way.
    pub node: Option<String>,
    /// `document` (another one than the recorded), `fact` (it cannot happen there), `decision`, `input`, `result`, or
    /// `bytes` (the same, but written otherwise).
    pub what: &'static str,
    /// As recorded; cut where it is long.
    pub recorded: Value,
    /// As it is now; cut where it is long.
    pub replayed: Value,
}

/// Plays a recording again. Where it diverges in a decision, it ends; where an attempt would do something else, it goes on
/// with what was recorded.
pub fn replay(plan: Arc<Compiled>, recording: &Recording) -> Replayed {
    let mut player = Player {
        run: Run::new(plan),
        events: Vec::with_capacity(recording.events().len()),
        expected: VecDeque::new(),
        decided: BTreeMap::new(),
        ends: ends(recording.events()),
        attempts: Attempts::default(),
        first: None,
        differences: 0,
    };
    player.play(recording.events());
    if player.first.is_none()
        && let Some(at) = recording.differs_at(&player.events)
    {
        let recorded = recording.events().get(at).map(|event| json!(event));
        let replayed = player.events.get(at).map(|event| json!(event));
        let replayed = replayed.unwrap_or_default();
        player.differs(
            at as u64,
            None,
            "bytes",
            recorded.unwrap_or_default(),
            replayed,
        );
    }
    player.finish()
}

/// How the attempts of a log ended, by node and number.
fn ends(log: &[Event]) -> HashMap<(String, u32), AttemptResult> {
    let ended = log.iter().filter_map(|event| match &event.what {
        What::AttemptFinished {
            node,
            attempt,
            result,
            ..
        } => Some(((node.clone(), *attempt), result.clone())),
        _ => None,
    });
    ended.collect()
}

struct Player {
    run: Run,
    events: Vec<Event>,
    /// Decisions that have to follow.
    expected: VecDeque<Event>,
    decided: BTreeMap<String, Decided>,
    ends: HashMap<(String, u32), AttemptResult>,
    attempts: Attempts,
    first: Option<Divergence>,
    differences: u64,
}

impl Player {
    fn play(&mut self, log: &[Event]) {
        for event in log {
            let goes_on = match event.what.is_fact() {
                true => self.take(event),
                false => self.follow(event),
            };
            if !goes_on {
                return;
            }
        }
        if let Some(next) = self.expected.pop_front() {
            let node = node_of(&next.what);
            self.differs(next.seq, node, "decision", Value::Null, json!(next));
            self.events.push(next);
            self.events.extend(std::mem::take(&mut self.expected));
        }
    }

    /// A fact.
    fn take(&mut self, event: &Event) -> bool {
        if let Some(next) = self.expected.pop_front() {
            self.differs(
                event.seq,
                node_of(&next.what),
                "decision",
                json!(event),
                json!(next),
            );
            self.events.push(next);
            return false;
        }
        self.look_at(event);
        let step = match self.run.accept(event.what.clone(), event.at_us) {
            Ok(step) => step,
            Err(illegal) => {
                let what = match illegal {
                    Illegal::OtherDocument => "document",
                    _ => "fact",
                };
                let why = Value::String(illegal.to_string());
                self.differs(event.seq, node_of(&event.what), what, json!(event), why);
                return false;
            }
        };
        self.expected = step.events.into();
        self.follow(event)
    }

    /// What has to come next in the log.
    fn follow(&mut self, event: &Event) -> bool {
        let next = self.expected.pop_front();
        let same = next.as_ref() == Some(event);
        if !same {
            let replayed = next.as_ref().map(|next| json!(next)).unwrap_or_default();
            self.differs(
                event.seq,
                node_of(&event.what),
                "decision",
                json!(event),
                replayed,
            );
        }
        self.events.extend(next);
        same
    }

    fn look_at(&mut self, event: &Event) {
        match &event.what {
            What::AttemptStarted {
                node,
                attempt,
                input,
                recalled,
                ..
            } => {
                self.attempts.total += 1;
                let mut decided = self.decide(node, event.at_us);
                decided.remember(recalled);
                let verdict = self.input(node, *attempt, &decided, input.as_ref());
                if let Verdict::Differs(replayed) = verdict {
                    let recorded = input.clone().unwrap_or_default();
                    self.differs(event.seq, Some(node.clone()), "input", recorded, replayed);
                }
                self.decided.insert(node.clone(), decided);
            }
            What::AttemptFinished {
                node,
                attempt,
                result,
                call,
            } => {
                let Some(decided) = self.decided.remove(node) else {
                    return;
                };
                match self.result(node, *attempt, &decided, result, call, event.at_us) {
                    Verdict::Differs(replayed) => {
                        let node = Some(node.clone());
                        self.differs(event.seq, node, "result", json!(result), replayed);
                    }
                    Verdict::Unknown => self.attempts.unverified += 1,
                    Verdict::Same if is_call(&decided.one) => self.attempts.calls += 1,
                    Verdict::Same => self.attempts.verified += 1,
                }
            }
            _ => {}
        }
    }

    fn decide(&self, node: &str, started_us: i64) -> Decided {
        let mut names = self.run.secrets_of(node);
        let addresses = self.run.addresses_of(node).into_iter();
        names.extend(addresses.map(|(name, _)| name));
        let with = |stand_in: &dyn Fn(&str) -> String| -> Result<Effect, NodeError> {
            let secrets = names.iter().map(|name| (name.clone(), stand_in(name)));
            self.run.decide(node, &secrets.collect())
        };
        let one = with(&|_| BLANK.to_owned());
        let other = (!names.is_empty()).then(|| with(&|name| format!("the-other-{name}")));
        Decided {
            one,
            other,
            started_us,
        }
    }

    /// Whether the attempt's input is what it was.
    fn input(&self, node: &str, attempt: u32, decided: &Decided, was: Option<&Value>) -> Verdict {
        let Some(was) = was else {
            // Not every driver keeps inputs.
            return Verdict::Same;
        };
        let of = |effect: &Result<Effect, NodeError>| {
            self.run
                .input_of(node, effect.as_ref().ok())
                .unwrap_or_default()
        };
        let (one, other) = (of(&decided.one), decided.other.as_ref().map(of));
        let rendered = Twice {
            one: &one,
            other: other.as_ref(),
        };
        if agrees(was, rendered) {
            return Verdict::Same;
        }
        // A secret that was not there kept the config from being rendered.
        let ended = self.ends.get(&(node.to_owned(), attempt));
        let not_rendered = ended.is_some_and(is_from_outside);
        let incoming = self.run.input_of(node, None).unwrap_or_default();
        let (one_only, other) = (&incoming, None);
        if not_rendered
            && agrees(
                was,
                Twice {
                    one: one_only,
                    other,
                },
            )
        {
            return Verdict::Same;
        }
        match decided.other.is_some() && decided.one.is_err() {
            true => Verdict::Unknown,
            false => Verdict::Differs(one),
        }
    }

    /// Whether the attempt's result is what it was.
    fn result(
        &self,
        node: &str,
        attempt: u32,
        decided: &Decided,
        was: &AttemptResult,
        call: &CallMeta,
        finished_us: i64,
    ) -> Verdict {
        if is_from_outside(was) {
            return Verdict::Same;
        }
        let same = match (&decided.one, was) {
            (Ok(effect), AttemptResult::Ok { .. }) if effect.is_call() => true,
            (Ok(effect), AttemptResult::Error { error }) if effect.is_call() => {
                self.is_judged(node, attempt, error)
            }
            (Ok(_), AttemptResult::Ok { output, handle }) => {
                let other = decided.other.as_ref().and_then(value_of);
                value_of(&decided.one).is_some_and(|(outcome, shortcut)| {
                    let rendered = Twice {
                        one: &outcome.output,
                        other: other.map(|(outcome, _)| &outcome.output),
                    };
                    outcome.handle == *handle
                        && shortcut == call.shortcut
                        && agrees(output, rendered)
                })
            }
            (Ok(Effect::Enter(one)), AttemptResult::Enter { items }) => {
                let one = Value::Array(one.clone());
                let other = match &decided.other {
                    Some(Ok(Effect::Enter(other))) => Some(Value::Array(other.clone())),
                    _ => None,
                };
                let other = other.as_ref();
                agrees(&Value::Array(items.clone()), Twice { one: &one, other })
            }
            (Ok(Effect::Wait(now)), AttemptResult::Wait { wait }) => {
                let other = match &decided.other {
                    Some(Ok(Effect::Wait(other))) => Some(&**other),
                    _ => None,
                };
                waits_as(now, other, wait, (decided.started_us, finished_us))
            }
            (Err(now), AttemptResult::Error { error }) => {
                let now = self.run.judge(node, attempt, now.clone());
                now.kind == error.kind
                    && now.retryable == error.retryable
                    && same_text(&error.message, &now.message)
            }
            _ => false,
        };
        match (same, &decided.other) {
            (true, _) => Verdict::Same,
            // Whatever a secret decides cannot be decided without it.
            (false, Some(other)) if kind(other) != kind(&decided.one) => Verdict::Unknown,
            (false, Some(_)) if decided.one.is_err() => Verdict::Unknown,
            (false, _) => Verdict::Differs(told(&decided.one)),
        }
    }

    /// Whether the node's `retry_if` says of an error from outside what it said: what the error itself said is not
    /// recorded.
    fn is_judged(&self, node: &str, attempt: u32, error: &NodeError) -> bool {
        let message = error.message.split(RETRY_IF).next().unwrap_or_default();
        [error.retryable, !error.retryable]
            .into_iter()
            .any(|retryable| {
                let said = NodeError {
                    retryable,
                    message: message.to_owned(),
                    ..error.clone()
                };
                let judged = self.run.judge(node, attempt, said);
                judged.retryable == error.retryable && same_text(&error.message, &judged.message)
            })
    }

    fn differs(
        &mut self,
        seq: u64,
        node: Option<String>,
        what: &'static str,
        recorded: Value,
        replayed: Value,
    ) {
        self.differences += 1;
        self.first.get_or_insert_with(|| Divergence {
            seq,
            node,
            what,
            recorded: short(recorded),
            replayed: short(replayed),
        });
    }

    fn finish(self) -> Replayed {
        let outcome = self.run.outcome().cloned();
        let (status, outputs, error) = match outcome {
            Some(outcome) => (Some(outcome.status), outcome.outputs, outcome.error),
            None => (None, Value::Null, None),
        };
        Replayed {
            identical: self.first.is_none(),
            status,
            outputs,
            error,
            events: self.events,
            attempts: self.attempts,
            divergence: self.first,
            differences: self.differences,
        }
    }
}

/// The node that an event is about.
pub(crate) fn node_of(what: &What) -> Option<String> {
    let node = match what {
        What::NodeScheduled { node }
        | What::AttemptStarted { node, .. }
        | What::AttemptFinished { node, .. }
        | What::RetryScheduled { node, .. }
        | What::RetryDue { node }
        | What::NodeSuspended { node, .. }
        | What::WaitDue { node }
        | What::NodeResumed { node, .. }
        | What::IterationStarted { node, .. }
        | What::IterationFinished { node, .. }
        | What::NodeFinished { node, .. }
        | What::NodeFailed { node, .. }
        | What::NodeSkipped { node }
        | What::NodeCancelled { node } => node,
        What::RunStarted(_)
        | What::ErrorWorkflowStarted
        | What::RunCancelRequested { .. }
        | What::RunFinished { .. } => return None,
    };
    Some(node.clone())
}
