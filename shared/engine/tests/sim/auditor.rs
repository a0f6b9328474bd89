//! Judges a finished log by rules of its own, knowing only the document and the log.

use std::collections::{BTreeMap, BTreeSet};

use nodeai_engine::{AttemptResult, Event, Run, Status, What, compile, spans_of, totals_of};
use serde_json::Value;

use super::driver::Driver;

type Finding = Result<(), String>;

/// How each node ended, by its own event.
pub fn ends(log: &[Event]) -> BTreeMap<String, String> {
    let mut ends = BTreeMap::new();
    for event in log {
        let (node, end) = match &event.what {
            What::NodeFinished { node, handle, .. } => (node, format!("finished {handle}")),
            What::NodeSkipped { node } => (node, "skipped".into()),
            What::NodeCancelled { node } => (node, "cancelled".into()),
            What::NodeFailed {
                node,
                handled: false,
                ..
            } => (node, "failed".into()),
            _ => continue,
        };
        ends.insert(node.clone(), end);
    }
    ends
}

pub fn audit(document: &Value, driver: &Driver) -> Finding {
    let log = &driver.log;
    frame(log)?;
    let mut books = Books::new(document, log);
    for event in log {
        books
            .enter(event)
            .map_err(|finding| format!("event {}: {finding}", event.seq))?;
    }
    books.close(log)?;
    if totals_of(log).cost_pusd != driver.cost_pusd {
        return Err("the cost is not the sum of the attempts".into());
    }
    let spans = spans_of(log, |_| None);
    let started = log
        .iter()
        .filter(|event| matches!(event.what, What::AttemptStarted { .. }))
        .count();
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id).collect();
    if spans.len() != started + 1 || ids.len() != spans.len() {
        return Err(format!("{} spans for {started} attempts", spans.len()));
    }
    if spans
        .iter()
        .any(|span| span.end_us < span.start_us || span.end_us > spans[0].end_us)
    {
        return Err("a span reaches beyond the run".into());
    }
    let plan = std::sync::Arc::new(compile(document).map_err(|faults| format!("{faults:?}"))?);
    match Run::replay(plan, log) {
        Ok((_, missing)) if missing.is_empty() => Ok(()),
        Ok(_) => Err("the log lacks decisions".into()),
        Err(error) => Err(format!("the log does not replay: {error}")),
    }
}

/// The log's frame: numbers without gaps, time forward, one start, one end.
fn frame(log: &[Event]) -> Finding {
    let whole = log
        .iter()
        .enumerate()
        .all(|(at, event)| event.seq == at as u64);
    let forward = log.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us);
    let count = |wanted: fn(&What) -> bool| log.iter().filter(|event| wanted(&event.what)).count();
    let starts = count(|what| matches!(what, What::RunStarted(_)));
    let ends = count(|what| matches!(what, What::RunFinished { .. }));
    let framed = matches!(
        log.first().map(|event| &event.what),
        Some(What::RunStarted(_))
    ) && matches!(
        log.last().map(|event| &event.what),
        Some(What::RunFinished { .. })
    );
    if whole && forward && framed && (starts, ends) == (1, 1) {
        Ok(())
    } else {
        Err("the log's frame is broken".into())
    }
}

struct Edge {
    source: String,
    handle: String,
    target: String,
}

struct Books<'a> {
    document: &'a Value,
    edges: Vec<Edge>,
    most: u32,
    ended: BTreeMap<String, String>,
    /// Attempts begun, and those that failed for a reason of their own, by node.
    begun: BTreeMap<String, u32>,
    own_failures: BTreeMap<String, u64>,
    at_work: BTreeSet<String>,
    due_us: BTreeMap<String, i64>,
}

impl<'a> Books<'a> {
    fn new(document: &'a Value, log: &[Event]) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or("output").to_owned();
        let edges = document["edges"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|edge| Edge {
                source: text(&edge["source"]),
                handle: text(&edge["sourceHandle"]),
                target: text(&edge["target"]),
            });
        let most = match &log[0].what {
            What::RunStarted(started) => started.max_concurrency,
            _ => 0,
        };
        Self {
            document,
            edges: edges.collect(),
            most,
            ended: BTreeMap::new(),
            begun: BTreeMap::new(),
            own_failures: BTreeMap::new(),
            at_work: BTreeSet::new(),
            due_us: BTreeMap::new(),
        }
    }

    fn data(&self, node: &str) -> &Value {
        let nodes = self.document["nodes"].as_array().into_iter().flatten();
        nodes
            .into_iter()
            .find(|of| of["id"] == node)
            .map_or(&Value::Null, |of| &of["data"])
    }

    /// The edges into a node: resolved, and among those taken.
    fn inputs(&self, node: &str) -> (usize, usize, usize) {
        let into = || self.edges.iter().filter(|edge| edge.target == node);
        let resolved = into()
            .filter(|edge| self.ended.contains_key(&edge.source))
            .count();
        let taken = into().filter(|edge| {
            let end = self
                .ended
                .get(&edge.source)
                .map(String::as_str)
                .unwrap_or_default();
            let goes_on =
                self.data(&edge.source)["on_error"] == "continue" && edge.handle != "error";
            // A failure that is passed over takes every edge but the error's.
            let passed =
                goes_on && self.own_failures.contains_key(&edge.source) && end == "finished output";
            end == format!("finished {}", edge.handle) || passed
        });
        (into().count(), resolved, taken.count())
    }

    fn enter(&mut self, event: &Event) -> Finding {
        match &event.what {
            What::NodeScheduled { node } => self.schedule(node),
            What::NodeSkipped { node } => {
                let (all, resolved, taken) = self.inputs(node);
                if resolved != all || taken != 0 {
                    return Err(format!("{node} is skipped too early"));
                }
                self.end(node, "skipped".into())
            }
            What::AttemptStarted { node, attempt, .. } => {
                let begun = self.begun.entry(node.clone()).or_default();
                *begun += 1;
                if *begun != *attempt || !self.at_work.insert(node.clone()) {
                    return Err(format!("attempt {attempt} of {node} is out of turn"));
                }
                if self.at_work.len() as u32 > self.most {
                    return Err("too many attempts at the same time".into());
                }
                if self
                    .due_us
                    .remove(node)
                    .is_some_and(|due| event.at_us < due)
                {
                    return Err(format!("{node} is tried again too early"));
                }
                Ok(())
            }
            What::AttemptFinished { node, result, .. } => {
                if let AttemptResult::Error { error } = result
                    && error.kind != "lost"
                {
                    *self.own_failures.entry(node.clone()).or_default() += 1;
                }
                self.at_work
                    .remove(node)
                    .then_some(())
                    .ok_or_else(|| format!("{node} ends twice"))
            }
            What::RetryScheduled { node, due_us, .. } => {
                self.due_us.insert(node.clone(), *due_us);
                let failures = self.own_failures.get(node).copied().unwrap_or(0);
                let most = self.data(node)["retry"]["max_attempts"]
                    .as_u64()
                    .unwrap_or(1);
                if failures < most {
                    Ok(())
                } else {
                    Err(format!("{node} is tried too often"))
                }
            }
            What::NodeFinished { node, handle, .. } => self.end(node, format!("finished {handle}")),
            What::NodeFailed {
                node,
                handled: false,
                ..
            } => self.end(node, "failed".into()),
            What::NodeCancelled { node } => {
                self.at_work.remove(node);
                self.end(node, "cancelled".into())
            }
            _ => Ok(()),
        }
    }

    fn schedule(&self, node: &str) -> Finding {
        let (all, resolved, taken) = self.inputs(node);
        let any = self.data(node)["join"] == "any";
        let fits = all == 0 || (taken > 0 && (any || resolved == all));
        if fits {
            Ok(())
        } else {
            Err(format!("{node} is scheduled before its inputs"))
        }
    }

    fn end(&mut self, node: &str, end: String) -> Finding {
        match self.ended.insert(node.to_owned(), end) {
            None => Ok(()),
            Some(before) => Err(format!("{node} ends again after {before}")),
        }
    }

    fn close(&self, log: &[Event]) -> Finding {
        if !self.at_work.is_empty() {
            return Err(format!("still at work: {:?}", self.at_work));
        }
        let status = log.iter().find_map(|event| match &event.what {
            What::RunFinished { status, .. } => Some(*status),
            _ => None,
        });
        let nodes = self.document["nodes"].as_array().map_or(0, Vec::len);
        let failed = self.ended.values().filter(|end| *end == "failed").count();
        match status {
            Some(Status::Succeeded) if self.ended.len() != nodes || failed > 0 => {
                Err("it succeeded, but not every node was done or skipped".into())
            }
            Some(Status::Failed) if failed != 1 => Err(format!("it failed by {failed} nodes")),
            _ => Ok(()),
        }
    }
}
