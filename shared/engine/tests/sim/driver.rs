//! Drives the state machine as a host would, through whatever the dice decide.

use std::collections::VecDeque;
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, CallMeta, CancelReason, Command, Compiled, Event, Illegal, NodeError, Run,
    RunStarted, Status, What,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::{Value, json};

use super::dice::Dice;

/// Which faults there are.
#[derive(PartialEq)]
pub enum Faults {
    None,
    All,
}

/// Something that is under way outside.
#[derive(Clone, Debug)]
enum Pending {
    Attempt { node: String, attempt: u32 },
    Retry { node: String, until_us: i64 },
}

pub struct Driver {
    plan: Arc<Compiled>,
    run: Run,
    dice: Dice,
    faults: Faults,
    commands: VecDeque<Command>,
    pending: Vec<Pending>,
    /// What is safe on disk.
    pub log: Vec<Event>,
    /// Cost of the attempts whose end was recorded, by this driver's own count.
    pub cost_pusd: i64,
    pub crashes: usize,
    now_us: i64,
    spans: u64,
}

impl Driver {
    pub fn new(plan: Arc<Compiled>, dice: Dice, faults: Faults) -> Self {
        Self {
            run: Run::new(plan.clone()),
            plan,
            dice,
            faults,
            commands: VecDeque::new(),
            pending: Vec::new(),
            log: Vec::new(),
            cost_pusd: 0,
            crashes: 0,
            now_us: 1_000_000,
            spans: 0,
        }
    }

    pub fn outputs(&self) -> Value {
        self.run
            .outcome()
            .map_or(Value::Null, |outcome| outcome.outputs.clone())
    }

    pub fn run_to_end(&mut self) -> Result<Status, String> {
        let started = What::RunStarted(Box::new(RunStarted {
            execution_id: "sim".into(),
            trace_id: TraceId::from_random([1; 16]),
            span_id: SpanId::from_random([1; 8]),
            parent_span_id: None,
            name: "sim".into(),
            inputs: json!({}),
            definition_hash: self.plan.hash().to_owned(),
            seed: self.dice.next() as u32,
            max_concurrency: 1 + self.dice.roll(4) as u32,
            max_depth: nodeai_engine::MOST_DEPTH,
            max_steps: nodeai_engine::MOST_STEPS,
            rules: nodeai_engine::RULES,
            reused: Default::default(),
            labels: Default::default(),
        }));
        self.take(started)?;
        for _ in 0..100_000 {
            if let Some(outcome) = self.run.outcome() {
                let status = outcome.status;
                self.late_results()?;
                return Ok(status);
            }
            self.act()?;
        }
        Err("the run does not end".into())
    }

    /// One thing happens.
    fn act(&mut self) -> Result<(), String> {
        self.now_us += self.dice.roll(5_000) as i64;
        if self.faults == Faults::All {
            match self.dice.roll(200) {
                0..3 => return self.crash(),
                3 => {
                    return self.take(What::RunCancelRequested {
                        reason: CancelReason::Requested,
                    });
                }
                _ => {}
            }
        }
        if !self.commands.is_empty() && (self.pending.is_empty() || self.dice.percent(60)) {
            return self.perform();
        }
        if self.pending.is_empty() {
            return Err("nothing is under way and the run has not ended".into());
        }
        let at = self.dice.roll(self.pending.len());
        match self.pending.swap_remove(at) {
            Pending::Retry { node, until_us } => {
                self.now_us = self.now_us.max(until_us);
                self.take(What::RetryDue { node })
            }
            Pending::Attempt { node, attempt } => self.finish(node, attempt),
        }
    }

    fn perform(&mut self) -> Result<(), String> {
        match self.commands.pop_front() {
            Some(Command::StartAttempt { node, attempt, .. }) => {
                self.spans += 1;
                let span_id = SpanId::from_random(self.spans.to_be_bytes());
                self.take(What::AttemptStarted {
                    node: node.clone(),
                    attempt,
                    span_id,
                    input: None,
                    most: None,
                    recalled: Vec::new(),
                })?;
                self.pending.push(Pending::Attempt { node, attempt });
            }
            Some(Command::Wait { node, until_us, .. }) => {
                self.pending.push(Pending::Retry { node, until_us });
            }
            Some(Command::Stop) => self.pending.clear(),
            Some(Command::Drop { node }) => return Err(format!("{node} is dropped")),
            None => {}
        }
        Ok(())
    }

    fn finish(&mut self, node: String, attempt: u32) -> Result<(), String> {
        let cost = self.dice.roll(1_000) as i64;
        let call = Box::new(CallMeta {
            cost_pusd: Some(cost),
            ..CallMeta::default()
        });
        let result = self.result(&node);
        let fact = What::AttemptFinished {
            node,
            attempt,
            result,
            call,
        };
        self.cost_pusd += cost;
        self.take(fact.clone())?;
        if self.faults == Faults::All && self.dice.percent(10) {
            self.must_refuse(fact)?;
        }
        Ok(())
    }

    /// The value depends on the node alone, so that order cannot matter.
    fn result(&mut self, node: &str) -> AttemptResult {
        if self.faults == Faults::All && self.dice.percent(25) {
            let retryable = self.dice.percent(60);
            return AttemptResult::Error {
                error: NodeError::new("sim", "failed", retryable),
            };
        }
        let handle = match self.plan.kind_of(node) {
            Some("condition") if node.len().is_multiple_of(2) => "true",
            Some("condition") => "false",
            _ => "output",
        };
        AttemptResult::Ok {
            output: json!({"from": node}),
            handle: handle.to_owned(),
        }
    }

    /// Takes a fact: what follows is committed whole or, in a crash, in part.
    fn take(&mut self, fact: What) -> Result<(), String> {
        let step = self
            .run
            .accept(fact, self.now_us)
            .map_err(|error| error.to_string())?;
        self.log.extend(step.events);
        self.commands.extend(step.commands);
        Ok(())
    }

    fn must_refuse(&mut self, fact: What) -> Result<(), String> {
        match self.run.accept(fact.clone(), self.now_us) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("taken twice: {fact:?}")),
        }
    }

    /// Results that come after the end.
    fn late_results(&mut self) -> Result<(), String> {
        for pending in std::mem::take(&mut self.pending) {
            if let Pending::Attempt { node, attempt } = pending {
                let result = self.result(&node);
                let call = Box::<CallMeta>::default();
                let late = What::AttemptFinished {
                    node,
                    attempt,
                    result,
                    call,
                };
                if self.run.accept(late, self.now_us) != Err(Illegal::RunIsOver) {
                    return Err("a result was taken after the end".into());
                }
            }
        }
        Ok(())
    }

    /// Everything but the log is gone, perhaps also the last decisions; a new driver takes
    /// over.
    fn crash(&mut self) -> Result<(), String> {
        self.crashes += 1;
        let last_fact = self
            .log
            .iter()
            .rposition(|event| event.what.is_fact())
            .unwrap_or(0);
        let kept = last_fact + 1 + self.dice.roll(self.log.len() - last_fact);
        self.log.truncate(kept);
        let replayed = Run::replay(self.plan.clone(), &self.log);
        let (run, missing) = replayed.map_err(|error| format!("replay: {error}"))?;
        self.log.extend(missing);
        self.commands = run.outstanding().into();
        self.pending.clear();
        let lost = run.in_flight();
        self.run = run;
        for (node, attempt) in lost {
            let result = AttemptResult::Error {
                error: NodeError::lost(),
            };
            let call = Box::<CallMeta>::default();
            let fact = What::AttemptFinished {
                node,
                attempt,
                result,
                call,
            };
            // An earlier loss may have ended the run.
            if self.run.outcome().is_none() {
                self.take(fact)?;
            }
        }
        Ok(())
    }
}
