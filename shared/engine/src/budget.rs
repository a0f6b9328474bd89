//! What a run may cost: the limits that a document, a request or an organisation's budget gives each run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Faults;
use crate::plan::Compiled;

/// Limits of one run; the lowest of all that apply counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBudget {
    /// Most that it may cost, in pico-USD.
    pub pusd: Option<i64>,
    /// Most tokens, read and written.
    pub tokens: Option<i64>,
    /// Whether calls whose price is not known are refused.
    pub refuse_unpriced: bool,
}

impl RunBudget {
    /// From whole micro-USD. Without a limit in USD nothing needs a price.
    pub fn new(usd_micros: Option<i64>, tokens: Option<i64>, allow_unpriced: bool) -> Self {
        Self {
            pusd: usd_micros.map(|micros| micros.saturating_mul(1_000_000)),
            tokens,
            refuse_unpriced: usd_micros.is_some() && !allow_unpriced,
        }
    }

    /// Both at once: the lower of each.
    pub fn and(self, other: Self) -> Self {
        let lower = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        Self {
            pusd: lower(self.pusd, other.pusd),
            tokens: lower(self.tokens, other.tokens),
            refuse_unpriced: self.refuse_unpriced || other.refuse_unpriced,
        }
    }

    /// Whether it limits anything.
    pub fn limits(&self) -> bool {
        self.pusd.is_some() || self.tokens.is_some()
    }
}

/// A document's `settings.budget`: `{usd_micros?, tokens?, unpriced?}`.
pub(crate) fn read(value: &Value, at: &str, faults: &mut Faults) -> RunBudget {
    let Some(map) = value.as_object() else {
        let message = "expected an object with usd_micros or tokens";
        faults.add(at, "wrong_type", message);
        return RunBudget::default();
    };
    for name in map.keys() {
        if !matches!(name.as_str(), "usd_micros" | "tokens" | "unpriced") {
            let message = format!("unknown field {name:?}; known are usd_micros, tokens, unpriced");
            faults.add(
                format!("{at}/{}", crate::fault::token(name)),
                "unknown_field",
                message,
            );
        }
    }
    let mut limit = |name: &str| {
        let value = map.get(name).filter(|value| !value.is_null())?;
        let limit = value.as_i64().filter(|limit| *limit >= 1);
        if limit.is_none() {
            let message = "expected a whole number from 1";
            faults.add(format!("{at}/{name}"), "out_of_range", message);
        }
        limit
    };
    let (usd_micros, tokens) = (limit("usd_micros"), limit("tokens"));
    let unpriced = match map.get("unpriced").map(Value::as_str) {
        None | Some(Some("refuse")) => false,
        Some(Some("allow")) => true,
        Some(_) => {
            let message = "expected \"refuse\" or \"allow\"";
            faults.add(format!("{at}/unpriced"), "not_allowed", message);
            false
        }
    };
    RunBudget::new(usd_micros, tokens, unpriced)
}

impl Compiled {
    /// What the document lets a run of it cost.
    pub fn budget(&self) -> RunBudget {
        self.budget
    }

    /// Whether any node of it, or of the workflows that it calls, asks a model.
    pub fn asks_models(&self) -> bool {
        let mut nodes = self.bodies.iter().flat_map(|body| &body.nodes);
        nodes.any(|node| node.kind.spec.category == "ai")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lower_of_two_counts() {
        let document = RunBudget::new(Some(5), None, true);
        let request = RunBudget::new(Some(7), Some(100), false);
        let both = document.and(request);
        assert_eq!((both.pusd, both.tokens), (Some(5_000_000), Some(100)));
        assert!(both.refuse_unpriced, "one that refuses is enough");
        assert!(both.limits() && !RunBudget::default().limits());
    }

    #[test]
    fn a_limit_in_tokens_needs_no_price() {
        assert!(!RunBudget::new(None, Some(5), false).refuse_unpriced);
        assert!(RunBudget::new(Some(5), None, false).refuse_unpriced);
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let mut faults = Faults::default();
        let value = json!({"usd_micros": 0, "tokens": "many", "unpriced": true, "usd": 5});
        read(&value, "/settings/budget", &mut faults);
        read(&json!(5), "/settings/budget", &mut faults);
        let at: Vec<String> = faults.into_vec().into_iter().map(|f| f.pointer).collect();
        assert_eq!(
            at,
            [
                "/settings/budget/usd",
                "/settings/budget/usd_micros",
                "/settings/budget/tokens",
                "/settings/budget/unpriced",
                "/settings/budget"
            ]
        );
    }

    #[test]
    fn a_document_says_what_its_runs_may_cost() {
        let document = |kind: &str, data: Value| {
            json!({
                "nodes": [
                    {"id": "in", "type": "input", "data": {}},
                    {"id": "a", "type": kind, "data": data},
                    {"id": "out", "type": "output", "data": {"value": "x"}},
                ],
                "edges": [{"source": "in", "target": "a"}, {"source": "a", "target": "out"}],
                "settings": {"budget": {"usd_micros": 20, "tokens": 1_000}},
            })
        };
        let asks = document("llm", json!({"model": "builtin/echo", "prompt": "hi"}));
        let plan = crate::compile(&asks).expect("valid");
        assert_eq!(plan.budget().pusd, Some(20_000_000));
        assert!(plan.asks_models());
        let quiet = document("template", json!({"template": "hi"}));
        assert!(!crate::compile(&quiet).expect("valid").asks_models());
    }
}
