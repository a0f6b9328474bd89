//! How an attempt starts: its secrets are opened, what it does is decided, and it is done at once or becomes a task.

use std::collections::BTreeMap;
use std::rc::Rc;

use nodeai_engine::{AttemptResult, CallMeta, Effect, NodeError, Turn, What, turns_of};
use nodeai_telemetry::SpanId;

use super::{Done, Driver};
use crate::attempt::{Which, unreadable};
use crate::secrets::Held;
use crate::{CachePort, Clock, Entropy, HttpPort, SecretPort, Sink};

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Driver<'_, H, C, E, S, L, K>
{
    /// Decides what the node does; a value is reported at once, a call becomes a task.
    pub(super) async fn start_attempt(&mut self, mut which: Which) {
        let now_us = self.shared.ports.clock.now_us();
        if let Some(journaling) = &self.journal
            && now_us >= journaling.slice_end_us
        {
            // Whoever takes the run up next starts it: what is to be started follows from the log.
            return;
        }
        let opened = self.open_secrets(&which.node).await;
        let mut effect = opened.and_then(|held| {
            which.held = held;
            let mut values = which.held.values();
            values.extend(self.addresses(&which.node));
            let effect = self.run.decide(&which.node, &values)?;
            if !effect.sends() {
                which.held.check_unsent()?;
            }
            Ok(effect)
        });
        let recalled = self.recall(effect.as_mut().ok()).await;
        let input = self.run.input_of(&which.node, effect.as_ref().ok());
        let input = input.map(|input| self.shared.redactor.borrow().value(input));
        // Whoever goes on with the run, should this host be lost, has to know.
        let most = match (&self.journal, &effect) {
            (Some(_), Ok(effect)) => self.shared.most_of(effect),
            _ => None,
        };
        let (effect, recalled) = match recalled {
            Ok(recalled) => (effect, recalled),
            Err(error) => (Err(error), Vec::new()),
        };
        let (node, attempt) = (which.node.clone(), which.attempt);
        let span_id = self.span_id();
        let started = self.accept(What::AttemptStarted {
            node: node.clone(),
            attempt,
            span_id,
            input,
            most,
            recalled,
        });
        if !started.await {
            // Its loop has failed meanwhile.
            return;
        }
        let (call, result) = match self.at_once(effect) {
            Ok((call, result)) => (call, result),
            Err(effect) => {
                let shared = self.shared;
                self.calls += 1;
                which.idempotency_key = self.run.idempotency_key(&node);
                which.traceparent = self.traceparent(span_id);
                which.cache = self.run.cache_key(&node, &effect, shared.user_id);
                let keep = effect.memory().and_then(|memory| memory.keep());
                return self.spawn(&node, true, async move {
                    let (mut call, result) = shared.perform(&which, effect).await;
                    if let AttemptResult::Ok { .. } = result {
                        call.keep = keep.map(|keep| Box::new(shared.blank_keep(keep)));
                    }
                    Done::Attempt {
                        node: which.node,
                        attempt: which.attempt,
                        call: Box::new(call),
                        result,
                    }
                });
            }
        };
        let done = Done::Attempt {
            node,
            attempt,
            call: Box::new(call),
            result,
        };
        self.report(done).await;
    }

    /// The earlier turns of the node's conversation, without secrets; the model is told of them.
    async fn recall(&self, effect: Option<&mut Effect>) -> Result<Vec<Turn>, NodeError> {
        let Some(effect) = effect else {
            return Ok(Vec::new());
        };
        let Some(memory) = effect.memory() else {
            return Ok(Vec::new());
        };
        let session = [&memory.session.session, &memory.session.name];
        let redactor = self.shared.redactor.borrow().clone();
        if session.iter().any(|text| redactor.text(text) != **text) {
            let message = "/memory: a session is not named by a secret";
            return Err(NodeError::config(message.to_owned()));
        }
        let port = self.shared.ports.memory;
        let stored = port.recall(&memory.session, memory.most_turns()).await?;
        let turns = memory.window(stored, &turns_of(&self.log));
        // As it is recorded, so that a replay asks the same.
        let turns: Vec<Turn> = turns
            .into_iter()
            .map(|turn| self.shared.blank_turn(turn))
            .collect();
        effect.remember(&turns);
        Ok(turns)
    }

    /// The addresses of waits that a node refers to, by their names among its secrets: they are blanked as those are, from
    /// the run's beginning.
    fn addresses(&self, node: &str) -> Vec<(String, String)> {
        let waits = self.run.addresses_of(node).into_iter();
        let found = waits.filter_map(|(name, way)| {
            let address = self.shared.ports.addresses.address(&way)?;
            Some((name, address.url))
        });
        found.collect()
    }

    /// What needs no call; a call is given back.
    fn at_once(
        &self,
        effect: Result<Effect, NodeError>,
    ) -> Result<(CallMeta, AttemptResult), Effect> {
        let shared = self.shared;
        let (call, result) = match effect {
            Err(error) => (CallMeta::default(), shared.blank_result(Err(error))),
            Ok(Effect::Done(outcome)) => (CallMeta::default(), shared.blank_result(Ok(outcome))),
            Ok(Effect::Passed(outcome, shortcut)) => {
                let call = CallMeta {
                    shortcut: Some(shortcut),
                    ..CallMeta::default()
                };
                (call, shared.blank_result(Ok(outcome)))
            }
            Ok(Effect::Enter(items)) => {
                let redactor = shared.redactor.borrow();
                let items = items.into_iter().map(|item| redactor.value(item));
                let items = items.collect();
                (CallMeta::default(), AttemptResult::Enter { items })
            }
            Ok(Effect::Wait(wait)) => {
                let redactor = shared.redactor.borrow();
                let mut wait = Box::new(wait.begin(shared.ports.clock.now_us()));
                wait.title = wait.title.map(|text| redactor.text(&text));
                wait.description = wait.description.map(|text| redactor.text(&text));
                wait.respond = wait.respond.map(|value| redactor.value(value));
                (CallMeta::default(), AttemptResult::Wait { wait })
            }
            Ok(effect) => return Err(effect),
        };
        Ok((call, result))
    }

    /// Opens the secrets that a node refers to, just before its first attempt.
    async fn open_secrets(&mut self, node: &str) -> Result<Rc<Held>, NodeError> {
        let names = self.run.secrets_of(node);
        let key = without_iterations(node);
        if let Some(held) = self.held.get(&key) {
            return Ok(held.clone());
        }
        let opened = match names.is_empty() {
            true => BTreeMap::new(),
            false => {
                let found = self.shared.ports.secrets.open(node, &names).await;
                found.map_err(unreadable)?
            }
        };
        let mut redactor = self.shared.redactor.borrow_mut();
        opened
            .values()
            .for_each(|secret| redactor.add(&secret.value));
        let held = Rc::new(Held::new(opened));
        self.held.insert(key, held.clone());
        Ok(held)
    }

    /// What continues the run's trace under one of its spans.
    fn traceparent(&self, span_id: SpanId) -> String {
        match self.log.first().map(|event| &event.what) {
            Some(What::RunStarted(started)) => format!("00-{}-{span_id}-01", started.trace_id),
            _ => String::new(),
        }
    }

    fn span_id(&self) -> SpanId {
        let mut random = [0; 8];
        self.shared.ports.entropy.fill(&mut random);
        SpanId::from_random(random)
    }
}

/// The way to a node in the document, whatever the iteration.
fn without_iterations(way: &str) -> String {
    let steps = way.split('/').map(|step| step.split('[').next());
    steps.flatten().collect::<Vec<_>>().join("/")
}
