//! What calls may have cost that nobody told the cost of.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{AttemptResult, Event, LOST, What};

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Tokens, read and written.
    pub tokens: i64,
    /// Pico-USD, as far as prices are known.
    pub pusd: i64,
}

impl Spend {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            pusd: self.pusd.saturating_add(other.pusd),
        }
    }
}

/// What a run's attempts may have spent beside what its usage has: all that was reserved for calls that ran out of time or
/// broke off, and for attempts that were lost or stopped on the way at least what their first call may have cost.
pub fn unsettled_of(log: &[Event]) -> Spend {
    let mut open: HashMap<&str, Spend> = HashMap::new();
    let mut all = Spend::default();
    for event in log {
        match &event.what {
            What::AttemptStarted { node, most, .. } => {
                // One that was stopped before has no end.
                let before = open.insert(node, most.unwrap_or_default());
                all = all.and(before.unwrap_or_default());
            }
            What::AttemptFinished {
                node, result, call, ..
            } => {
                let most = open.remove(node.as_str()).unwrap_or_default();
                let lost = matches!(result, AttemptResult::Error { error } if error.kind == LOST);
                all = all.and(call.unsettled.unwrap_or_default());
                if lost {
                    all = all.and(most);
                }
            }
            _ => {}
        }
    }
    open.into_values().fold(all, Spend::and)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{CallMeta, NodeError};
    use nodeai_telemetry::SpanId;

    #[test]
    fn lost_stopped_and_untold_calls_count_and_others_do_not() {
        let spend = |tokens: i64| Spend { tokens, pusd: 1 };
        let started = |node: &str, most: i64| What::AttemptStarted {
            node: node.into(),
            attempt: 1,
            span_id: SpanId::from_random([1; 8]),
            input: None,
            most: Some(spend(most)),
            recalled: Vec::new(),
        };
        let finished = |node: &str, error: NodeError, unsettled: Option<Spend>| {
            let call = CallMeta {
                unsettled,
                ..CallMeta::default()
            };
            What::AttemptFinished {
                node: node.into(),
                attempt: 1,
                result: AttemptResult::Error { error },
                call: Box::new(call),
            }
        };
        let facts = [
            started("lost", 10),
            finished("lost", NodeError::lost(), None),
            started("late", 200),
            finished("late", NodeError::timeout(1), Some(spend(100))),
            started("refused", 5_000),
            finished(
                "refused",
                NodeError::new("budget_exceeded", "", false),
                None,
            ),
            started("stopped", 1_000),
        ];
        let log: Vec<Event> = (0..)
            .zip(facts)
            .map(|(seq, what)| Event {
                seq,
                at_us: 0,
                what,
            })
            .collect();
        assert_eq!(
            unsettled_of(&log),
            Spend {
                tokens: 1_110,
                pusd: 3
            }
        );
    }
}
