//! An attempt, decided anew: what it is about, and how it is told.

use nodeai_engine::{
    AttemptResult, Effect, NodeError, NodeOutcome, Shortcut, Turn, Wait, WaitCall,
};
use serde_json::{Value, json};

use crate::agree::{Twice, agrees};

/// Errors that come from outside of the node, before or in place of its own work.
pub(crate) const FROM_OUTSIDE: [&str; 6] = [
    "lost",
    "no_address",
    "cancelled",
    "secret_missing",
    "secrets_unavailable",
    "secret_host_refused",
];
/// What the engine puts between an error's message and that of its `retry_if`.
pub(crate) const RETRY_IF: &str = "; and /retry/retry_if: ";

/// What an attempt does, decided anew.
pub(crate) struct Decided {
    pub(crate) one: Result<Effect, NodeError>,
    /// With other stand-ins, where the node has secrets.
    pub(crate) other: Option<Result<Effect, NodeError>>,
    pub(crate) started_us: i64,
}

impl Decided {
    /// Tells the model what it was told then: what was recalled came from outside.
    pub(crate) fn remember(&mut self, turns: &[Turn]) {
        for effect in [Some(&mut self.one), self.other.as_mut()] {
            if let Some(Ok(effect)) = effect {
                effect.remember(turns);
            }
        }
    }
}

/// How a part of an attempt compares.
pub(crate) enum Verdict {
    Same,
    /// It depends on a secret.
    Unknown,
    /// This is what it is now.
    Differs(Value),
}

pub(crate) fn is_from_outside(result: &AttemptResult) -> bool {
    match result {
        AttemptResult::Error { error } => FROM_OUTSIDE.contains(&error.kind.as_str()),
        _ => false,
    }
}

pub(crate) fn is_call(effect: &Result<Effect, NodeError>) -> bool {
    effect.as_ref().is_ok_and(Effect::is_call)
}

pub(crate) fn kind(effect: &Result<Effect, NodeError>) -> &'static str {
    match effect {
        Ok(Effect::Done(_) | Effect::Passed(..)) => "value",
        Ok(Effect::Enter(_)) => "enter",
        Ok(Effect::Wait(_)) => "wait",
        Ok(_) => "call",
        Err(_) => "error",
    }
}

/// A value that needs no call.
pub(crate) fn value_of(
    effect: &Result<Effect, NodeError>,
) -> Option<(&NodeOutcome, Option<Shortcut>)> {
    match effect {
        Ok(Effect::Done(outcome)) => Some((outcome, None)),
        Ok(Effect::Passed(outcome, shortcut)) => Some((outcome, Some(*shortcut))),
        _ => None,
    }
}

/// Whether a wait is the one that was recorded; it began at some time between these two.
/// What people and services are told may have blanks; `other` is the same with other stand-ins.
pub(crate) fn waits_as(
    now: &WaitCall,
    other: Option<&WaitCall>,
    was: &Wait,
    (started_us, finished_us): (i64, i64),
) -> bool {
    let told = |wait: &WaitCall| json!([wait.title, wait.description, wait.respond]);
    let (one, other) = (told(now), other.map(told));
    let (one, other) = (&one, other.as_ref());
    let rendered = Twice { one, other };
    let recorded = json!([was.title, was.description, was.respond]);
    let earliest = now.clone().begin(started_us);
    let latest = now.clone().begin(finished_us);
    let until = earliest.until_us <= was.until_us && was.until_us <= latest.until_us;
    let until_us = was.until_us;
    until
        && agrees(&recorded, rendered)
        && Wait {
            until_us,
            title: was.title.clone(),
            description: was.description.clone(),
            respond: was.respond.clone(),
            ..earliest
        } == *was
}

/// What an attempt does now, for people.
pub(crate) fn told(effect: &Result<Effect, NodeError>) -> Value {
    match effect {
        Ok(Effect::Done(outcome)) => {
            json!({"status": "ok", "output": outcome.output, "handle": outcome.handle})
        }
        Ok(Effect::Passed(outcome, shortcut)) => {
            json!({"status": "ok", "output": outcome.output, "handle": outcome.handle, "shortcut": shortcut})
        }
        Ok(Effect::Enter(items)) => json!({"status": "enter", "items": items}),
        Ok(Effect::Wait(wait)) => json!({"status": "wait", "wait": wait}),
        Ok(_) => json!({"status": "call"}),
        Err(error) => json!({"status": "error", "error": error}),
    }
}
