//! What a node whose turn has come wants done: its scope, then its kind's decision.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::graph::DEFAULT_HANDLE;
use crate::log::{LOST, NodeError, RunStarted, Shortcut};
use crate::nodes::{Call, Effect, Flow, Incoming, Outcome, Round};
use crate::plan::Ready;
use crate::scope::{Local, NodeView, Scope, View};
use crate::settings::Settings;
use crate::step::{EVERY_HANDLE, Frame, LinkState, NodeState, Place, Run};
use crate::template::Templates;

/// Most bytes of a node's input that the log keeps.
const LONGEST_INPUT: usize = 8 * 1024;

impl Run {
    /// Decides what a node does. `secrets` holds at least those that the node refers to and
    /// that exist, and the addresses of [`Run::addresses_of`] by the names there.
    ///
    /// # Errors
    /// When the node's config cannot be rendered, or a secret is missing.
    pub fn decide(
        &self,
        node: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Effect, NodeError> {
        let place = self
            .place(node)
            .ok_or_else(|| NodeError::new("internal", "no such node in this run", false))?;
        let ready = self.ready_at(place);
        if let Some(effect) = self.stand_in(node, ready) {
            return Ok(effect);
        }
        let scope = self.scope(place, Some(secrets))?;
        let incoming = self.incoming(place);
        let templates = &self.plan.templates;
        if let Some(effect) = skipped(&ready.settings, templates, &scope, &incoming)? {
            return Ok(effect);
        }
        let frame = self.frame(place);
        let callee = match ready.flow {
            Flow::Call(_) => ready.body.map(|body| self.plan.inputs_of(body)),
            _ => None,
        };
        (ready.kind.decide)(&Call {
            kind: self.plan.kind(frame.body, place.node),
            data: self.plan.data(frame.body, place.node),
            templates,
            scope: &scope,
            inputs: &self.frames[&frame.home].item.value,
            incoming: &incoming,
            schema: &ready.kind.spec.config_schema,
            round: round(frame, place.node),
            callee,
        })
    }

    /// The names of the secrets that a node's work refers to, in order; none where something stands for its work.
    pub fn secrets_of(&self, node: &str) -> Vec<String> {
        let ready = self.place(node).map(|place| self.ready_at(place));
        match ready.is_some_and(|ready| self.stand_in(node, ready).is_some()) {
            true => Vec::new(),
            false => self.plan.secrets_of(node),
        }
    }

    /// The addresses of waits that a node's work refers to: the name of each among its secrets, which no secret has, and the
    /// way of the node that waits.
    pub fn addresses_of(&self, node: &str) -> Vec<(String, String)> {
        let Some(place) = self.place(node) else {
            return Vec::new();
        };
        let ready = self.ready_at(place);
        if ready.references.waits.is_empty() || self.stand_in(node, ready).is_some() {
            return Vec::new();
        }
        let ids = ready.references.waits.iter();
        let found = ids.filter_map(|id| Some((address_name(id), self.way_of_wait(place, id)?)));
        found.collect()
    }

    /// The way of a node that waits, seen from another one: in its own frame or in one around it.
    fn way_of_wait(&self, place: Place, id: &str) -> Option<String> {
        let home = self.frame(place).home;
        let mut frame = place.frame;
        loop {
            let at = &self.frames[&frame];
            let by_id = &self.plan.bodies[at.body].graph.by_id;
            if let Some(&node) = by_id.get(id) {
                return Some(self.way(Place { frame, node }));
            }
            frame = at.parent.filter(|_| frame != home)?.frame;
        }
    }

    /// What stands for a node's work: its result in another run, or the output that its settings have.
    fn stand_in(&self, node: &str, ready: &Ready) -> Option<Effect> {
        let started = self.started.as_ref();
        let reused = started.and_then(|started| started.reused.get(node));
        let reused = reused.map(|reused| Outcome {
            output: reused.output.clone(),
            handle: reused.handle.clone(),
        });
        match reused {
            Some(outcome) => Some(Effect::Passed(outcome, Shortcut::Reused)),
            None => pinned(&ready.settings),
        }
    }

    /// The error as the node's `retry_if` sees it: the expression decides whether it may pass.
    pub fn judge(&self, node: &str, attempt: u32, error: NodeError) -> NodeError {
        let Some(place) = self.place(node).filter(|_| error.kind != LOST) else {
            return error;
        };
        let Some(retry_if) = &self.ready_at(place).settings.retry.retry_if else {
            return error;
        };
        let Ok(mut scope) = self.scope(place, None) else {
            return error;
        };
        let seen = json!({
            "kind": error.kind, "message": error.message, "retryable": error.retryable,
            "retry_after_ms": error.retry_after_ms,
        });
        scope.locals.insert("error", Local::Own(seen));
        let attempt = Local::Own(Value::from(attempt));
        scope.locals.insert("attempt", attempt);
        match self.plan.templates.is_true(retry_if, &scope) {
            Ok(retryable) => NodeError { retryable, ..error },
            Err(wrong) => NodeError {
                message: format!("{}; and /retry/retry_if: {wrong}", error.message),
                retryable: false,
                ..error
            },
        }
    }

    /// What stays the same over all attempts at a node, crashes included, and differs for
    /// everything else: the key of its call to outside.
    pub fn idempotency_key(&self, node: &str) -> String {
        let id = self
            .started
            .as_ref()
            .map_or("", |started| &started.execution_id);
        hex(&Sha256::digest(format!("{id}/{node}"))[..16])
    }

    /// The key of a further call that the same attempt makes, such as for a page, a repair or a tool: the same for the same
    /// call in the same place of another attempt. `request` is what tells calls apart.
    pub fn further_key(first: &str, at: u32, request: &[&[u8]]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{first}/{at}"));
        for part in request {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hex(&hasher.finalize()[..16])
    }

    /// Where the result of a call is kept, and for how many ms; none when it is not. What may depend on who acts is kept
    /// for that user alone, and not at all for nobody.
    pub fn cache_key(
        &self,
        node: &str,
        effect: &Effect,
        user: Option<&str>,
    ) -> Option<(String, u64)> {
        let ttl_ms = self.ready_at(self.place(node)?).settings.cache?.ttl_ms;
        let mut what = effect.identity()?;
        if effect.is_personal() {
            what = json!([user?, what]);
        }
        Some((hex(&Sha256::digest(what.to_string())), ttl_ms))
    }

    /// What the log and the span keep of a node's input: the call, else what came in over
    /// its edges. Secrets are still in it; the driver blanks them.
    pub fn input_of(&self, node: &str, effect: Option<&Effect>) -> Option<Value> {
        let place = self.place(node)?;
        let input = effect.and_then(Effect::shown).unwrap_or_else(|| {
            let incoming = self.incoming(place).into_iter();
            let pairs = incoming.map(|i| (i.source.to_owned(), i.value.clone()));
            Value::Object(pairs.collect())
        });
        Some(cut(input, LONGEST_INPUT))
    }

    fn ready_at(&self, place: Place) -> &Ready {
        &self.plan.bodies[self.frame(place).body].nodes[place.node]
    }

    /// Everything that the node's templates refer to, and nothing else. Without secrets where
    /// none are given.
    fn scope(
        &self,
        place: Place,
        secrets: Option<&BTreeMap<String, String>>,
    ) -> Result<Scope<'_>, NodeError> {
        let ready = self.ready_at(place);
        let mut own = BTreeMap::new();
        for name in secrets
            .map(|_| &ready.references.secrets)
            .into_iter()
            .flatten()
        {
            let value = secrets
                .and_then(|secrets| secrets.get(name))
                .ok_or_else(|| {
                    NodeError::new(
                        "secret_missing",
                        format!("there is no secret {name:?}"),
                        false,
                    )
                })?;
            own.insert(name.clone(), value.clone());
        }
        let mut waits = BTreeMap::new();
        for id in secrets
            .map(|_| &ready.references.waits)
            .into_iter()
            .flatten()
        {
            let url = secrets.and_then(|secrets| secrets.get(&address_name(id)));
            let url = url.ok_or_else(|| {
                let message = format!(
                    "{id:?} has no address: the installation has no master keys (nodeai_master_keys)"
                );
                NodeError::new("no_address", message, false)
            })?;
            waits.insert(id.clone(), url.clone());
        }
        let home = &self.frames[&self.frame(place).home];
        let doc = &self.plan.docs[self.plan.bodies[home.body].doc];
        Ok(Scope {
            inputs: Some(home.item.view()),
            vars: Some(doc.vars.view()),
            run: Some(self.about.view()),
            nodes: self.seen_nodes(place, ready),
            secrets: own,
            waits,
            locals: self.locals(place, ready),
            ..Scope::default()
        })
    }

    /// The frames from a node's own to its workflow's.
    fn homes(&self, place: Place) -> impl Iterator<Item = (&Frame, Option<Place>)> {
        let home = self.frame(place).home;
        let mut next = Some(place.frame);
        std::iter::from_fn(move || {
            let id = next?;
            let frame = &self.frames[&id];
            let parent = frame.parent.filter(|_| id != home);
            next = parent.map(|parent| parent.frame);
            Some((frame, parent))
        })
    }

    fn seen_nodes(&self, place: Place, ready: &Ready) -> BTreeMap<&str, NodeView<'_>> {
        let mut seen = BTreeMap::new();
        let every = ready.references.computed.contains("nodes");
        for (frame, _) in self.homes(place) {
            let graph = &self.plan.bodies[frame.body].graph;
            let mut add = |at: usize| seen.insert(graph.ids[at].as_str(), node_view(frame, at));
            if every {
                (0..graph.len()).for_each(|at| drop(add(at)));
                continue;
            }
            let named = ready.references.nodes.iter();
            let named = named.chain(&ready.references.mentioned);
            let named = named.filter_map(|id| graph.by_id.get(id).copied());
            named.for_each(|at| drop(add(at)));
        }
        seen
    }

    /// What the loops around a node, and a loop itself, let templates see.
    fn locals(&self, place: Place, ready: &Ready) -> BTreeMap<&str, Local<'_>> {
        let mut locals = BTreeMap::new();
        if ready.local.is_empty() {
            return locals;
        }
        let every = ready.local.contains("loops");
        let mut loops = BTreeMap::new();
        for (frame, parent) in self.homes(place) {
            let Some(parent) = parent else { break };
            let names = iteration(frame, &self.ready_at(parent).flow);
            if locals.is_empty() {
                locals.clone_from(&names);
            }
            if !every {
                break;
            }
            let outer = &self.plan.bodies[self.frame(parent).body].graph;
            loops.insert(outer.ids[parent.node].as_str(), Local::Names(names));
        }
        if every {
            locals.insert("loops", Local::Names(loops));
        }
        if let Flow::While { .. } = ready.flow {
            let round = round(self.frame(place), place.node);
            locals.insert("index", Local::Own(Value::from(round.index)));
            locals.insert("previous", Local::Of(View::of(round.previous)));
        }
        locals
    }

    /// The values that came in over edges that were taken, in the order of the edges.
    fn incoming(&self, place: Place) -> Vec<Incoming<'_>> {
        let frame = self.frame(place);
        let graph = &self.plan.bodies[frame.body].graph;
        let links = graph.incoming[place.node]
            .iter()
            .filter(|&&link| frame.links[link] == LinkState::Taken);
        let values = links.filter_map(|&link| {
            let source = graph.links[link].source;
            let output = frame.output(source)?;
            Some(Incoming {
                source: &graph.ids[source],
                value: &output.value,
            })
        });
        values.collect()
    }
}

/// What the address of a wait is called among a node's secrets.
fn address_name(id: &str) -> String {
    format!("waits/{id}")
}

/// The output that a node's settings have in place of its work.
pub(crate) fn pinned(settings: &Settings) -> Option<Effect> {
    let pinned = settings.pinned.as_ref()?;
    let handle = pinned.handle.clone();
    let outcome = Outcome {
        output: pinned.output.clone(),
        handle: handle.unwrap_or_else(|| DEFAULT_HANDLE.to_owned()),
    };
    Some(Effect::Passed(outcome, Shortcut::Pinned))
}

/// What a node hands on when its condition to be skipped holds.
pub(crate) fn skipped(
    settings: &Settings,
    templates: &Templates,
    scope: &Scope<'_>,
    incoming: &[Incoming<'_>],
) -> Result<Option<Effect>, NodeError> {
    let Some(skip_if) = &settings.skip_if else {
        return Ok(None);
    };
    let skips = templates.is_true(skip_if, scope);
    if !skips.map_err(|error| NodeError::template("skip_if", &error))? {
        return Ok(None);
    }
    let outcome = Outcome {
        output: handed_on(incoming),
        handle: EVERY_HANDLE.to_owned(),
    };
    Ok(Some(Effect::Passed(outcome, Shortcut::SkipIf)))
}

/// The run as templates see it.
pub(crate) fn about(started: &RunStarted, at_us: i64) -> Value {
    json!({
        "id": started.execution_id,
        "trace_id": started.trace_id,
        "started_at": rfc3339(at_us),
    })
}

/// What an iteration lets templates see.
fn iteration<'a>(frame: &'a Frame, flow: &Flow) -> BTreeMap<&'a str, Local<'a>> {
    let what = match flow {
        Flow::While { .. } => "previous",
        _ => "item",
    };
    BTreeMap::from([
        (what, Local::Of(frame.item.view())),
        ("index", Local::Own(Value::from(frame.index))),
    ])
}

fn round(frame: &Frame, node: usize) -> Round<'_> {
    let looping = frame.loops.get(&node);
    looping.map_or(Round::FIRST, |looping| Round {
        index: looping.next,
        previous: &looping.previous,
    })
}

fn node_view(frame: &Frame, at: usize) -> NodeView<'_> {
    let (output, state) = match &frame.nodes[at] {
        NodeState::Finished { output } => (Some(output.view()), "finished"),
        NodeState::Skipped => (None, "skipped"),
        _ => (None, "pending"),
    };
    NodeView { output, state }
}

/// What a node that does nothing hands on: what came in, by source if it is more than one.
pub(crate) fn handed_on(incoming: &[Incoming<'_>]) -> Value {
    if let [only] = incoming {
        return only.value.clone();
    }
    let pairs = incoming.iter();
    let pairs = pairs.map(|i| (i.source.to_owned(), i.value.clone()));
    Value::Object(pairs.collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value, or the beginning of its text if it is too long.
pub(crate) fn cut(value: Value, most: usize) -> Value {
    let text = value.to_string();
    if text.len() <= most {
        return value;
    }
    let end = (0..=most)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    Value::String(format!("{}… ({} bytes)", &text[..end], text.len()))
}

/// µs since the Unix epoch as RFC 3339 in UTC. Days to date by Howard Hinnant's
/// `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn rfc3339(us: i64) -> String {
    let (days, rest) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
        assert_eq!(
            rfc3339(1_764_028_799_999_999),
            "2025-11-24T23:59:59.999999Z"
        );
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let cut = cut(json!("éééé"), 4);
        assert_eq!(cut, json!("\"é… (10 bytes)"));
    }
}
