//! What a node whose turn has come wants done: its scope, then its kind's decision.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::log::NodeError;
use crate::nodes::{self, Effect, Incoming};
use crate::scope::{NodeView, Scope};
use crate::step::{LinkState, NodeState, Run};

/// Most bytes of a node's input that the log keeps.
const LONGEST_INPUT: usize = 8 * 1024;

impl Run {
    /// Decides what a node does. `secrets` holds at least those that the node refers to and
    /// that exist.
    ///
    /// # Errors
    /// When the node's config cannot be rendered, or a secret is missing.
    pub fn decide(
        &self,
        node: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Effect, NodeError> {
        let at = self.plan.graph.by_id.get(node).copied();
        let (Some(at), Some(started)) = (at, &self.started) else {
            return Err(NodeError::new(
                "internal",
                "no such node in this run",
                false,
            ));
        };
        let scope = self.scope(at, secrets)?;
        let ready = &self.plan.nodes[at];
        let data = &self.plan.definition.nodes[at].data;
        let incoming = self.incoming(at);
        nodes::decide(
            ready.kind,
            data,
            &self.plan.templates,
            scope,
            &started.inputs,
            &incoming,
        )
    }

    /// What the log and the span keep of a node's input: the call, else what came in over
    /// its edges. Secrets are still in it; the driver blanks them.
    pub fn input_of(&self, node: &str, effect: Option<&Effect>) -> Option<Value> {
        let at = *self.plan.graph.by_id.get(node)?;
        let input = effect.and_then(Effect::shown).unwrap_or_else(|| {
            let incoming = self.incoming(at).into_iter();
            let pairs = incoming.map(|i| (i.source.to_owned(), i.value.clone()));
            Value::Object(pairs.collect())
        });
        Some(cut(input, LONGEST_INPUT))
    }

    fn scope(&self, at: usize, secrets: &BTreeMap<String, String>) -> Result<Scope<'_>, NodeError> {
        let references = &self.plan.nodes[at].references;
        let mut own = BTreeMap::new();
        for name in &references.secrets {
            let value = secrets.get(name).ok_or_else(|| {
                NodeError::new(
                    "secret_missing",
                    format!("there is no secret {name:?}"),
                    false,
                )
            })?;
            own.insert(name.clone(), value.clone());
        }
        let run = self.started.as_ref().map_or(Value::Null, |started| {
            json!({
                "id": started.execution_id,
                "trace_id": started.trace_id,
                "started_at": rfc3339(self.started_us),
            })
        });
        let graph = &self.plan.graph;
        let view = |at: usize| (graph.ids[at].as_str(), self.node_view(at));
        let nodes = match references.computed.contains("nodes") {
            true => (0..graph.len()).map(view).collect(),
            false => {
                let named = references.nodes.iter();
                let named = named.filter_map(|id| graph.by_id.get(id).copied());
                named.map(view).collect()
            }
        };
        Ok(Scope {
            inputs: self.started.as_ref().map(|started| &started.inputs),
            vars: Some(&self.plan.definition.vars),
            run,
            nodes,
            secrets: own,
            ..Scope::default()
        })
    }

    fn node_view(&self, at: usize) -> NodeView<'_> {
        let (output, state) = match &self.nodes[at] {
            NodeState::Finished { output } => (Some(output), "finished"),
            NodeState::Skipped => (None, "skipped"),
            _ => (None, "pending"),
        };
        NodeView { output, state }
    }

    /// The values that came in over edges that were taken, in the order of the edges.
    fn incoming(&self, at: usize) -> Vec<Incoming<'_>> {
        let graph = &self.plan.graph;
        let links = graph.incoming[at]
            .iter()
            .filter(|&&link| self.links[link] == LinkState::Taken);
        let values = links.filter_map(|&link| {
            let source = graph.links[link].source;
            match &self.nodes[source] {
                NodeState::Finished { output } => Some(Incoming {
                    source: &graph.ids[source],
                    value: output,
                }),
                _ => None,
            }
        });
        values.collect()
    }
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
fn rfc3339(us: i64) -> String {
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
