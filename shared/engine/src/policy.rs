//! What an organisation lets its runs do: which hosts they reach where nobody has listed any, and how deep workflows call
//! workflows.

use serde::{Deserialize, Serialize};

use crate::egress::inferred;
use crate::fault::{Fault, Faults};
use crate::nodes::{Flow, WorkflowRef};
use crate::plan::Compiled;

/// What a version without a list of hosts may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressPolicy {
    /// Any public host.
    #[default]
    Any,
    /// The hosts that it names, and no others.
    Inferred,
    /// Nothing: it does not start until its hosts are confirmed.
    Confirmed,
}

/// The policy of an organisation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Hosts.
    pub egress: EgressPolicy,
    /// How deep workflows may call workflows; [`crate::MOST_DEPTH`] unless given.
    pub max_depth: Option<u32>,
}

impl Policy {
    /// For a run that goes on: it has started, and its log says how deep it may go. It reaches what it names at most.
    #[must_use]
    pub fn going_on(self) -> Self {
        let egress = match self.egress {
            EgressPolicy::Confirmed => EgressPolicy::Inferred,
            other => other,
        };
        Self {
            egress,
            max_depth: None,
        }
    }
}

/// What is stored of a version's hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Those that it named when it was saved, custom nodes' included; none for a version that was saved without.
    pub hosts: Option<Vec<String>>,
    /// Those that were confirmed: a list as good as `settings.egress`.
    pub confirmed: Option<Vec<String>>,
}

impl Compiled {
    /// Notes what is stored of a called version's hosts, for [`Compiled::hold`].
    pub fn note(&mut self, called: &WorkflowRef, manifest: Manifest) {
        let mut docs = self.docs.iter_mut();
        if let Some(doc) = docs.find(|doc| doc.which.as_ref() == Some(called)) {
            doc.manifest = manifest;
        }
    }

    /// Holds runs of this to a policy: each document without a list gets the one that follows; where it is what the document
    /// names, it holds for its own nodes. `own` is what is stored of the version that runs. Without it the document is no
    /// version, and there is nothing to confirm: where a list is asked for, it reaches what it names.
    ///
    /// # Errors
    /// `egress_unconfirmed` for versions that do not start, `too_deep` for calls that go deeper than the policy lets them;
    /// with pointers into the document that runs.
    pub fn hold(&mut self, policy: &Policy, own: Option<Manifest>) -> Result<(), Vec<Fault>> {
        let mut faults = Faults::default();
        if let Some(most) = policy.max_depth {
            self.check_depth(most, &mut faults);
        }
        let is_version = own.is_some();
        self.docs[0].manifest = own.unwrap_or_default();
        for at in 0..self.docs.len() {
            if self.docs[at].egress.is_some() {
                continue;
            }
            let manifest = std::mem::take(&mut self.docs[at].manifest);
            let confirms = policy.egress == EgressPolicy::Confirmed && (at > 0 || is_version);
            let named = || inferred(&self.docs[at].definition);
            self.docs[at].egress = match (manifest.confirmed, policy.egress) {
                (Some(list), _) => Some(list),
                (None, EgressPolicy::Any) => None,
                (None, _) => {
                    let hosts = manifest.hosts.unwrap_or_else(named);
                    if confirms {
                        let message = self.unconfirmed(at, &hosts);
                        faults.add(self.called_at(at), "egress_unconfirmed", message);
                    }
                    self.docs[at].inferred = true;
                    Some(hosts)
                }
            };
        }
        faults.into_result(())
    }

    fn unconfirmed(&self, doc: usize, hosts: &[String]) -> String {
        let whose = match &self.docs[doc].which {
            Some(which) => format!(
                "version {} of the workflow {}",
                which.version, which.workflow_id
            ),
            None => "this version".to_owned(),
        };
        let hosts = match hosts.is_empty() {
            true => "none".to_owned(),
            false => hosts.join(", "),
        };
        format!(
            "the hosts of {whose} are not confirmed, which the organisation's policy (egress) asks for; it names: {hosts}"
        )
    }

    /// The place in the document that runs from which another one is called directly.
    fn called_at(&self, doc: usize) -> String {
        let called = self.calls_of(0).find(|(_, callee)| *callee == doc);
        match (called, self.on_failure) {
            (Some((at, _)), _) => format!("/nodes/{at}/data/workflow_id"),
            (None, Some(body)) if self.bodies[body].doc == doc => {
                "/settings/error_workflow".to_owned()
            }
            _ => "/settings/egress".to_owned(),
        }
    }

    /// The calls in a document: the node's place there, and the document that it calls.
    fn calls_of(&self, doc: usize) -> impl Iterator<Item = (usize, usize)> {
        let bodies = self.bodies.iter().filter(move |body| body.doc == doc);
        let nodes = bodies.flat_map(|body| &body.nodes);
        let calls = nodes.filter(|node| matches!(node.flow, Flow::Call(_)));
        calls.filter_map(move |node| Some((node.at, self.bodies[node.body?].doc)))
    }

    fn check_depth(&self, most: u32, faults: &mut Faults) {
        let mut known = vec![None; self.docs.len()];
        let mut way = vec![0];
        let calls = self.calls_of(0);
        let calls = calls.map(|(at, callee)| (format!("/nodes/{at}/data/workflow_id"), callee));
        let on_failure = self.on_failure.map(|body| self.bodies[body].doc);
        let on_failure = on_failure.map(|doc| ("/settings/error_workflow".to_owned(), doc));
        for (at, callee) in calls.chain(on_failure) {
            let deep = 1 + self.nesting(callee, &mut way, &mut known);
            if deep > most {
                let message = format!(
                    "workflows call workflows {deep} deep from here, and the organisation's policy (max_depth) allows {most}"
                );
                faults.add(at, "too_deep", message);
            }
        }
    }

    /// How many calls stand below each other in a document. One that leads back is left to the run: it may end.
    fn nesting(&self, doc: usize, way: &mut Vec<usize>, known: &mut [Option<u32>]) -> u32 {
        if let Some(known) = known[doc] {
            return known;
        }
        if way.contains(&doc) {
            return 0;
        }
        way.push(doc);
        let callees: Vec<usize> = self.calls_of(doc).map(|(_, callee)| callee).collect();
        let deepest = callees
            .into_iter()
            .map(|callee| 1 + self.nesting(callee, way, known))
            .max();
        way.pop();
        let deepest = deepest.unwrap_or(0);
        known[doc] = Some(deepest);
        deepest
    }
}

#[cfg(test)]
mod tests;
