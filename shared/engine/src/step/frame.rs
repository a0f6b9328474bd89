//! Frames: one execution of a body. The first is the run's own; each iteration of a loop and
//! each called workflow has another, which goes when it ends.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Run;
use crate::log::Wait;
use crate::nodes::gives_back;
use crate::plan::{Body, ON_FAILURE, Ready, Results, read_step};
use crate::scope::Seen;

/// The frame of the run's own nodes.
pub(crate) const ROOT: u64 = 0;

/// A node in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) frame: u64,
    pub(crate) node: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeState {
    Pending,
    Ready {
        attempt: u32,
    },
    Starting {
        attempt: u32,
    },
    Running {
        attempt: u32,
    },
    Waiting {
        attempt: u32,
        due_us: i64,
    },
    Suspended {
        wait: Box<Wait>,
    },
    /// Its body is at work.
    Open,
    Finished {
        output: Seen,
    },
    Failed,
    Skipped,
    Cancelled,
}

impl NodeState {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready { .. } => "ready",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Waiting { .. } => "waiting for a retry",
            Self::Suspended { .. } => "suspended",
            Self::Open => "open",
            Self::Finished { .. } => "finished",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn at_work(&self) -> bool {
        self.takes_a_slot()
            || matches!(
                self,
                Self::Ready { .. } | Self::Waiting { .. } | Self::Suspended { .. } | Self::Open
            )
    }

    pub(crate) fn takes_a_slot(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    Pending,
    Taken,
    /// Taken when the node's turn had come already: its value is not looked at.
    Late,
    Dead,
}

/// Edges into a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    pub(crate) open: u32,
    pub(crate) taken: u32,
}

/// Attempts that do not count as the node's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    /// Lost in crashes.
    pub(crate) lost: u32,
    /// Those of the rounds before, in a loop.
    pub(crate) before: u32,
}

/// Where a node with a body stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Looping {
    pub(crate) items: Vec<Value>,
    /// Iterations at work, and their frames.
    pub(crate) at_work: BTreeMap<u32, u64>,
    /// By iteration; none is not there, or dropped.
    pub(crate) results: Vec<Option<Value>>,
    /// The iteration to come.
    pub(crate) next: u32,
    /// The result of the last iteration.
    pub(crate) previous: Value,
    /// When the whole must have ended.
    pub(crate) until_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) body: usize,
    /// What the ways of its nodes begin with.
    pub(crate) prefix: String,
    /// The node whose body this runs.
    pub(crate) parent: Option<Place>,
    /// Which iteration this is.
    pub(crate) index: u32,
    /// What it starts from: an item, the result before, a workflow's inputs.
    pub(crate) item: Seen,
    /// The frame of the workflow that it belongs to.
    pub(crate) home: u64,
    /// How many calls of workflows it is away from the run's own.
    pub(crate) depth: u32,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) links: Vec<LinkState>,
    pub(crate) edges: Vec<Edges>,
    pub(crate) tries: Vec<Tries>,
    pub(crate) loops: BTreeMap<usize, Looping>,
    /// Nodes that have not ended.
    pub(crate) open: usize,
}

impl Frame {
    pub(crate) fn new(body: usize, plan: &Body, item: Value) -> Self {
        let graph = &plan.graph;
        // A remark is skipped from the beginning.
        let begin = |node: &Ready| match node.is_remark() {
            true => NodeState::Skipped,
            false => NodeState::Pending,
        };
        let nodes: Vec<NodeState> = plan.nodes.iter().map(begin).collect();
        let pending = |state: &&NodeState| **state == NodeState::Pending;
        let edges = graph.incoming.iter().map(|links| Edges {
            open: u32::try_from(links.len()).unwrap_or(u32::MAX),
            taken: 0,
        });
        Self {
            body,
            prefix: String::new(),
            parent: None,
            index: 0,
            item: Seen::new(item),
            home: ROOT,
            depth: 0,
            links: vec![LinkState::Pending; graph.links.len()],
            edges: edges.collect(),
            tries: vec![Tries::default(); graph.len()],
            loops: BTreeMap::new(),
            open: nodes.iter().filter(pending).count(),
            nodes,
        }
    }

    /// The output of a node that has finished.
    pub(crate) fn output(&self, node: usize) -> Option<&Seen> {
        match &self.nodes[node] {
            NodeState::Finished { output } => Some(output),
            _ => None,
        }
    }

    fn value(&self, node: usize) -> Value {
        let output = self.output(node);
        output
            .map(|output| output.value.clone())
            .unwrap_or_default()
    }

    /// What an iteration gives.
    pub(crate) fn result(&self, plan: &Body) -> Value {
        match &plan.result {
            Results::One(node) => self.value(*node),
            Results::Some(nodes) => {
                let pairs = nodes
                    .iter()
                    .map(|&node| (plan.graph.ids[node].clone(), self.value(node)));
                Value::Object(pairs.collect())
            }
        }
    }
}

impl Run {
    pub(crate) fn frame(&self, place: Place) -> &Frame {
        &self.frames[&place.frame]
    }

    pub(crate) fn state(&self, place: Place) -> &NodeState {
        &self.frame(place).nodes[place.node]
    }

    /// The way to a node.
    pub(crate) fn way(&self, place: Place) -> String {
        let frame = self.frame(place);
        format!(
            "{}{}",
            frame.prefix, self.plan.bodies[frame.body].graph.ids[place.node]
        )
    }

    /// A node by its way.
    pub(crate) fn place(&self, way: &str) -> Option<Place> {
        let (mut at, mut rest) = match way.strip_prefix(ON_FAILURE) {
            Some(rest) => (self.handler?, rest),
            None => (ROOT, way),
        };
        loop {
            let frame = self.frames.get(&at)?;
            let by_id = &self.plan.bodies[frame.body].graph.by_id;
            let Some((step, after)) = rest.split_once('/') else {
                let node = *by_id.get(rest)?;
                return Some(Place { frame: at, node });
            };
            let (id, index) = read_step(step)?;
            at = *frame.loops.get(by_id.get(id)?)?.at_work.get(&index)?;
            rest = after;
        }
    }

    /// The values of a workflow's output nodes, by name.
    pub(crate) fn outputs_of(&self, frame: u64) -> Value {
        let Some(frame) = self.frames.get(&frame) else {
            return Value::Object(Map::new());
        };
        let nodes = self.plan.bodies[frame.body].nodes.iter().enumerate();
        let outputs = nodes.filter(|(_, node)| gives_back(&node.kind.spec.kind));
        let named = outputs.filter_map(|(at, _)| {
            let output = frame.output(at)?;
            let data = self.plan.data(frame.body, at);
            let name = data.get("name").and_then(Value::as_str);
            let id = &self.plan.bodies[frame.body].graph.ids[at];
            Some((name.unwrap_or(id).to_owned(), output.value.clone()))
        });
        Value::Object(named.collect())
    }
}
