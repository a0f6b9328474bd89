//! The organisations' own prices, as this instance last saw them. Each statement that stores spans says whether they still
//! are the ones, so what is kept here is never stale and only saves a statement.

use nodeai_otel::Prices;
use serde::Deserialize;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Organisations whose prices are kept; one more, and all are forgotten.
const MOST: usize = 64;

thread_local! {
    static KNOWN: RefCell<BTreeMap<String, Known>> = const { RefCell::new(BTreeMap::new()) };
}

/// Prices, and the mark by which the store knows them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The prices.
    pub prices: Prices,
    /// Their mark; empty for no own ones.
    pub mark: String,
}

/// What `spans_ingest` answers.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// The prices that count, where they are others: then nothing was stored.
    #[serde(default)]
    pub prices: Option<Stored>,
}

/// Prices as the store has them.
#[derive(Debug, Deserialize)]
pub struct Stored {
    mark: String,
    rows: Vec<Value>,
}

/// What is known of an organisation's prices; none of its own where nothing is.
pub fn known(org_id: &str) -> Known {
    KNOWN.with_borrow(|all| all.get(org_id).cloned().unwrap_or_default())
}

/// Keeps what the store has said.
pub fn learn(org_id: &str, stored: Stored) -> Known {
    let known = Known {
        prices: Prices::own(stored.rows),
        mark: stored.mark,
    };
    KNOWN.with_borrow_mut(|all| {
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(org_id.to_owned(), known.clone());
    });
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(mark: &str) -> Stored {
        let own = json!({"mark": mark, "rows": [{"id": "a", "version": 1, "model": "acme/x", "basis_points": 9_000}]});
        serde_json::from_value(own).unwrap()
    }

    #[test]
    fn each_organisation_has_its_own_and_few_are_kept() {
        assert_eq!(known("one").mark, "");
        assert_eq!(learn("one", stored("m1")).mark, "m1");
        assert_eq!(known("one").mark, "m1");
        assert_eq!(known("two").prices, Prices::default());
        for i in 0..=MOST {
            learn(&format!("org {i}"), stored("m"));
        }
        assert!(KNOWN.with_borrow(BTreeMap::len) <= MOST);
    }
}
