//! Drives the state machine as a host would, in an order that the dice choose, and forgets
//! everything but the log after every single transition.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use nodeai_engine::{
    AttemptResult, CallMeta, CancelReason, Command, Compiled, Due, Effect, Event, NodeError, Run,
    RunStarted, Status, WaitKind, What,
};
use nodeai_telemetry::{SpanId, TraceId};
use serde_json::json;

use super::fate::{Answer, Fate};
use crate::dice::Dice;

pub const MAX_DEPTH: u32 = 3;

enum Pending {
    Attempt {
        node: String,
        attempt: u32,
    },
    Timer {
        node: String,
        until_us: i64,
        due: Due,
    },
}

pub struct World {
    plan: Arc<Compiled>,
    pub run: Run,
    dice: Dice,
    fate: Fate,
    commands: VecDeque<Command>,
    pending: Vec<Pending>,
    pub log: Vec<Event>,
    /// Attempts that ended and those that were lost, by node.
    pub ended: BTreeMap<String, u64>,
    pub lost: BTreeMap<String, u64>,
    pub crashes: u64,
    /// The step at which somebody cancels.
    cancels_at: Option<usize>,
    pub cap: u32,
    now_us: i64,
    spans: u64,
}

type Done = Result<(), String>;

impl World {
    pub fn new(plan: Arc<Compiled>, mut dice: Dice, fate: Fate) -> Self {
        let cancels_at = dice.percent(8).then(|| dice.roll(60));
        let cap = 1 + dice.roll(5) as u32;
        Self {
            run: Run::new(plan.clone()),
            plan,
            dice,
            fate,
            commands: VecDeque::new(),
            pending: Vec::new(),
            log: Vec::new(),
            ended: BTreeMap::new(),
            lost: BTreeMap::new(),
            crashes: 0,
            cancels_at,
            cap,
            now_us: 10_000_000,
            spans: 0,
        }
    }

    pub fn run_to_end(&mut self) -> Result<Status, String> {
        let started = What::RunStarted(Box::new(RunStarted {
            execution_id: "model".into(),
            trace_id: TraceId::from_random([1; 16]),
            span_id: SpanId::from_random([1; 8]),
            parent_span_id: None,
            name: "model".into(),
            inputs: json!({}),
            definition_hash: self.plan.hash().to_owned(),
            seed: self.dice.next() as u32,
            max_concurrency: self.cap,
            max_depth: MAX_DEPTH,
            max_steps: nodeai_engine::MOST_STEPS,
            rules: nodeai_engine::RULES,
            reused: self.plan.reused().clone(),
            labels: Default::default(),
        }));
        self.take(started)?;
        for step in 0..20_000 {
            if let Some(outcome) = self.run.outcome() {
                return Ok(outcome.status);
            }
            self.now_us += self.dice.roll(5_000) as i64;
            match self.cancels_at == Some(step) {
                true => self.take(What::RunCancelRequested {
                    reason: CancelReason::Requested,
                })?,
                false => self.act()?,
            }
        }
        Err("the run does not end".into())
    }

    /// One thing happens outside.
    fn act(&mut self) -> Done {
        if self.dice.percent(2) && self.may_crash() {
            return self.crash();
        }
        if !self.commands.is_empty() && self.dice.percent(60) {
            return self.perform();
        }
        let ready: Vec<usize> = (0..self.pending.len())
            .filter(|&at| self.may_happen(&self.pending[at]))
            .collect();
        let people = self.people();
        let choices = ready.len() + people.len();
        if choices == 0 {
            return match self.commands.is_empty() {
                true => Err("nothing is under way and the run has not ended".into()),
                false => self.perform(),
            };
        }
        let choice = self.dice.roll(choices);
        let Some(&at) = ready.get(choice) else {
            let (node, answer) = people[choice - ready.len()].clone();
            return self.answer(node, answer);
        };
        match self.pending.swap_remove(at) {
            Pending::Timer {
                node,
                until_us,
                due,
            } => {
                self.now_us = self.now_us.max(until_us);
                let fact = due.fact(node.clone());
                // The timer of a wait or a loop may ring when that has just ended.
                let dropped = Command::Drop { node };
                let may_be_late = due == Due::Wait || self.commands.contains(&dropped);
                let late = self.run.clone().accept(fact.clone(), self.now_us).is_err();
                if late && may_be_late {
                    return Ok(());
                }
                self.take(fact)
            }
            Pending::Attempt { node, attempt } => self.finish(node, attempt),
        }
    }

    /// A wait that somebody answers does not run out first.
    fn may_happen(&self, pending: &Pending) -> bool {
        match pending {
            Pending::Timer {
                node,
                due: Due::Wait,
                ..
            } => !self.people().iter().any(|(of, _)| of == node),
            _ => true,
        }
    }

    fn people(&self) -> Vec<(String, Answer)> {
        let waits = self.run.waits().into_iter();
        let asked = waits.filter(|(_, wait)| wait.kind != WaitKind::Timer);
        let answers = asked.map(|(node, wait)| {
            let answer = self.fate.answer(&node, wait.until_us.is_some());
            (node, answer)
        });
        answers
            .filter(|(_, answer)| *answer != Answer::Never)
            .collect()
    }

    fn answer(&mut self, node: String, answer: Answer) -> Done {
        let handle = match answer {
            Answer::Approves => "approved",
            _ => "rejected",
        };
        self.take(What::NodeResumed {
            node,
            output: json!({"decision": handle}),
            handle: handle.into(),
        })
    }

    fn perform(&mut self) -> Done {
        match self.commands.pop_front() {
            Some(Command::StartAttempt { node, attempt, .. }) => {
                self.spans += 1;
                let fact = What::AttemptStarted {
                    node: node.clone(),
                    attempt,
                    span_id: SpanId::from_random(self.spans.to_be_bytes()),
                    input: None,
                    most: None,
                    recalled: Vec::new(),
                };
                if self.run.clone().accept(fact.clone(), self.now_us).is_err() {
                    // Its loop has failed meanwhile.
                    return Ok(());
                }
                self.take(fact)?;
                self.pending.push(Pending::Attempt { node, attempt });
                let under_way = self.run.in_flight().len() as u32;
                if under_way > self.cap {
                    return Err(format!("{under_way} attempts at the same time"));
                }
            }
            Some(Command::Wait {
                node,
                until_us,
                due,
            }) => self.pending.push(Pending::Timer {
                node,
                until_us,
                due,
            }),
            Some(Command::Drop { node }) => self.pending.retain(|pending| match pending {
                Pending::Attempt { node: of, .. } | Pending::Timer { node: of, .. } => *of != node,
            }),
            Some(Command::Stop) => self.pending.clear(),
            None => {}
        }
        Ok(())
    }

    fn finish(&mut self, node: String, attempt: u32) -> Done {
        let dropped = Command::Drop { node: node.clone() };
        if self.commands.contains(&dropped) {
            // It ends before the driver comes to drop it: too late all the same.
            return Ok(());
        }
        let ended = self.ended.entry(node.clone()).or_default();
        *ended += 1;
        let kind = self.plan.kind_of(&node).unwrap_or_default();
        let mut call = Box::<CallMeta>::default();
        let result = match self.fate.failure(&node, kind, *ended) {
            Some(error) => AttemptResult::Error {
                error: self.run.judge(&node, attempt, error),
            },
            None => self.work(&node, &mut call)?,
        };
        let fact = What::AttemptFinished {
            node,
            attempt,
            result,
            call,
        };
        self.take(fact.clone())?;
        match self.dice.percent(10) && self.run.accept(fact, self.now_us).is_ok() {
            true => Err("a result was taken twice".into()),
            false => Ok(()),
        }
    }

    fn work(&self, node: &str, call: &mut CallMeta) -> Result<AttemptResult, String> {
        let effect = self.run.decide(node, &BTreeMap::new());
        let effect = effect.map_err(|error| format!("{node}: {error}"))?;
        if let Effect::Passed(_, shortcut) = &effect {
            call.shortcut = Some(*shortcut);
        }
        match effect {
            Effect::Done(outcome) | Effect::Passed(outcome, _) => Ok(AttemptResult::Ok {
                output: outcome.output,
                handle: outcome.handle,
            }),
            Effect::Enter(items) => Ok(AttemptResult::Enter { items }),
            Effect::Wait(wait) => Ok(AttemptResult::Wait {
                wait: Box::new(wait.begin(self.now_us)),
            }),
            other => Err(format!("{node} wants {other:?}")),
        }
    }

    /// Takes a fact. What follows is stored, perhaps only in part; then everything else is
    /// forgotten and built again from the log.
    fn take(&mut self, fact: What) -> Done {
        let step = self
            .run
            .accept(fact, self.now_us)
            .map_err(|error| error.to_string())?;
        let kept = self.log.len() + 1 + self.dice.roll(step.events.len());
        self.log.extend(step.events);
        self.commands.extend(step.commands);
        let whole = self.log.clone();
        self.log.truncate(kept);
        let (run, missing) = Run::replay(self.plan.clone(), &self.log)
            .map_err(|error| format!("replay: {error}"))?;
        self.log.extend(missing);
        if self.log != whole {
            return Err("the decisions are not those that were lost".into());
        }
        if run != self.run {
            return Err("the state is not the one that was lost".into());
        }
        self.run = run;
        Ok(())
    }

    fn rebuild(&mut self) {
        if let Ok((run, _)) = Run::replay(self.plan.clone(), &self.log) {
            self.run = run;
        }
    }

    /// Whether no attempt would be lost more often than the engine puts up with.
    fn may_crash(&self) -> bool {
        let mut lost = self.run.in_flight().into_iter();
        lost.all(|(node, _)| self.lost.get(&node).copied().unwrap_or(0) < 3)
    }

    /// The driver dies too: what was under way is lost, and another takes over.
    fn crash(&mut self) -> Done {
        self.crashes += 1;
        self.rebuild();
        self.pending.clear();
        self.commands = self.run.outstanding().into();
        for (node, attempt) in self.run.in_flight() {
            *self.lost.entry(node.clone()).or_default() += 1;
            self.take(What::AttemptFinished {
                node,
                attempt,
                result: AttemptResult::Error {
                    error: NodeError::lost(),
                },
                call: Box::<CallMeta>::default(),
            })?;
        }
        Ok(())
    }
}
