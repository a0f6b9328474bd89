//! A run as a list of steps, one per node that was reached, and two runs' steps beside each other.

use std::collections::HashMap;

use nodeai_engine::{AttemptResult, Event, Shortcut, Totals, What};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::changes::{Changes, changes};
use crate::replay::node_of;

/// What one node did in a run. A loop is a step, and so is each node of each of its iterations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// The node, by its way.
    #[serde(skip)]
    pub node: String,
    /// `finished`, `handled` (it failed, and the run went on), `failed`, `skipped`, `cancelled`, or `open`: the run
    /// ended before it did, or has not ended.
    pub status: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    /// From the first attempt to its end.
    pub duration_ms: f64,
    /// Tokens read by models.
    pub prompt_tokens: i64,
    /// Tokens written by models.
    pub completion_tokens: i64,
    /// Known cost in micro-USD, rounded once.
    pub cost_usd_micros: i64,
    /// Why it did not work itself: `skip_if`, `pinned`, `cache` or `reused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Value>,
    /// The handle whose edges it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The input of its last attempt.
    #[serde(skip)]
    pub input: Value,
    /// Its output.
    #[serde(skip)]
    pub output: Value,
    #[serde(skip)]
    began_us: Option<i64>,
    #[serde(skip)]
    cost_pusd: i64,
}

/// The steps of a run, in the order in which they were reached.
pub fn steps(log: &[Event]) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for event in log {
        let Some(node) = node_of(&event.what) else {
            continue;
        };
        let at = *places.entry(node.clone()).or_insert_with(|| {
            found.push(Step {
                node,
                status: "open",
                ..Step::default()
            });
            found.len() - 1
        });
        found[at].take(event);
    }
    for step in &mut found {
        let cost_pusd = step.cost_pusd;
        let totals = Totals {
            cost_pusd,
            ..Totals::default()
        };
        step.cost_usd_micros = totals.cost_usd_micros();
    }
    found
}

impl Step {
    fn take(&mut self, event: &Event) {
        match &event.what {
            What::AttemptStarted { input, attempt, .. } => {
                self.began_us.get_or_insert(event.at_us);
                self.attempts = *attempt;
                if let Some(input) = input {
                    self.input.clone_from(input);
                }
            }
            What::AttemptFinished { result, call, .. } => {
                let usage = call.usage.unwrap_or_default();
                self.prompt_tokens += usage.prompt_tokens;
                self.completion_tokens += usage.completion_tokens;
                self.cost_pusd = self.cost_pusd.saturating_add(call.cost_pusd.unwrap_or(0));
                self.shortcut = call.shortcut.map(|shortcut: Shortcut| json!(shortcut));
                match result {
                    AttemptResult::Ok { output, .. } => self.output.clone_from(output),
                    AttemptResult::Error { error } => self.error = Some(json!(error)),
                    AttemptResult::Enter { .. } | AttemptResult::Wait { .. } => {}
                }
                self.until(event);
            }
            What::NodeFinished { handle, output, .. } => {
                match self.status {
                    "failed" => self.status = "handled",
                    _ => {
                        self.status = "finished";
                        self.error = None;
                    }
                }
                self.handle = Some(handle.clone());
                if let Some(output) = output {
                    self.output.clone_from(output);
                }
                self.until(event);
            }
            What::NodeFailed { error, .. } => {
                self.status = "failed";
                self.error = Some(json!(error));
                self.until(event);
            }
            What::NodeSkipped { .. } => self.status = "skipped",
            What::NodeCancelled { .. } => {
                self.status = "cancelled";
                self.until(event);
            }
            _ => {}
        }
    }

    fn until(&mut self, event: &Event) {
        let began_us = self.began_us.unwrap_or(event.at_us);
        self.duration_ms = (event.at_us - began_us) as f64 / 1_000.0;
    }
}

/// A step of two runs.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// In the first one.
    pub a: Option<&'a Step>,
    /// In the other.
    pub b: Option<&'a Step>,
}

/// How a step differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepDiff {
    /// The node, by its way, such as `each[2]/fetch`.
    pub node: String,
    /// Whether it did the same in both: status, input, output, handle and error.
    pub same: bool,
    /// `both`, `a` or `b`.
    #[serde(rename = "in")]
    pub found_in: &'static str,
    /// In the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Step>,
    /// In the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Step>,
    /// What makes the other's input of the first one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Changes>,
    /// What makes the other's output of the first one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Changes>,
}

/// Lays two runs beside each other: the first one's order, then what only the other has.
pub fn pair<'a>(a: &'a [Step], b: &'a [Step]) -> Vec<Pair<'a>> {
    let others: HashMap<&str, &Step> = b.iter().map(|step| (step.node.as_str(), step)).collect();
    let firsts: HashMap<&str, &Step> = a.iter().map(|step| (step.node.as_str(), step)).collect();
    let both = a.iter().map(|step| Pair {
        a: Some(step),
        b: others.get(step.node.as_str()).copied(),
    });
    let rest = b
        .iter()
        .filter(|step| !firsts.contains_key(step.node.as_str()));
    let rest = rest.map(|step| Pair {
        a: None,
        b: Some(step),
    });
    both.chain(rest).collect()
}

impl Pair<'_> {
    /// Whether both were tried with an input: a result that was taken over needed none.
    fn has_inputs(&self) -> bool {
        let reused = Some(json!(Shortcut::Reused));
        let both = [self.a, self.b].into_iter().flatten();
        both.filter(|step| step.shortcut != reused).count() == 2
    }

    /// Whether the node did the same in both runs. How long it took, how often it was tried and what it cost does not
    /// count: the same work takes another time.
    pub fn same(&self) -> bool {
        let (Some(a), Some(b)) = (self.a, self.b) else {
            return false;
        };
        a.status == b.status
            && a.handle == b.handle
            && a.error == b.error
            && (a.input == b.input || !self.has_inputs())
            && a.output == b.output
    }

    /// The difference, in words.
    pub fn diff(&self) -> StepDiff {
        let both = self.a.zip(self.b);
        let of = |part: fn(&Step) -> &Value| {
            let changes = both.map(|(a, b)| changes(part(a), part(b)));
            changes.filter(|changes| !changes.changes.is_empty())
        };
        let node = self.a.or(self.b).map(|step| step.node.clone());
        StepDiff {
            node: node.unwrap_or_default(),
            same: self.same(),
            found_in: match (self.a, self.b) {
                (Some(_), Some(_)) => "both",
                (Some(_), None) => "a",
                _ => "b",
            },
            a: self.a.cloned(),
            b: self.b.cloned(),
            input: of(|step| &step.input).filter(|_| self.has_inputs()),
            output: of(|step| &step.output),
        }
    }
}
