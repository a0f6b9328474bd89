//! `GET /api/v1/cost-intelligence/explain`

use super::sums::{Money, Sums};
use super::window::{timed_query, window};
use crate::CostsRead;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_pricing::explain::{self, Effects, Period, Weights};
use nodeai_pricing::{Terms, Tokens, catalogue, reference_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Most groups of workflow, node, model and user that are explained at once.
const MOST_GROUPS: usize = 5_000;

/// By what a change is broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Not at all.
    Total,
    /// Model.
    Model,
    /// Provider.
    Provider,
    /// Workflow.
    Workflow,
    /// Node.
    Node,
    /// User.
    User,
}

timed_query! {
    /// Two times, filters and dimension.
    ExplainQuery {
        /// The time to compare with: from here on; as long as the other time, and right before it, unless given.
        against_from: Option<String>,
        /// Before this time; the start of the other time unless given.
        against_to: Option<String>,
        /// By what; `node` unless given.
        by: Option<Dimension>,
    }
}

#[derive(Deserialize)]
struct Group {
    workflow_id: Option<String>,
    node_id: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    user_id: Option<String>,
    before: Option<Sums>,
    after: Option<Sums>,
}

/// A change by its reasons; they add up to it exactly.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained {
    /// What the row is about; null for what has none, and for the total.
    key: Option<String>,
    /// What it cost in the time compared with.
    before: Money,
    /// What it cost.
    after: Money,
    /// The change.
    change: Money,
    /// More or fewer calls in all.
    volume: Money,
    /// Other nodes and models were called; what is new or gone is here.
    mix: Money,
    /// Longer or shorter prompts and answers.
    length: Money,
    /// Other shares of cached tokens, reasoning, sound and pictures.
    cache: Money,
    /// Other prices of the same tokens.
    price: Money,
}

/// The explanation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
    /// RFC 3339.
    against_from: String,
    /// RFC 3339.
    against_to: String,
    /// All of it.
    total: Explained,
    /// The rows, the largest change first.
    data: Vec<Explained>,
}

/// Compares two times.
pub async fn handle(
    caller: Caller<CostsRead>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
    let now = query.window()?;
    let to = query
        .against_to
        .clone()
        .unwrap_or_else(|| clock::rfc3339(now.from_us));
    let from = query.against_from.clone();
    let from = from.unwrap_or_else(|| clock::rfc3339(now.from_us - (now.to_us - now.from_us)));
    let old = window(Some(&from), Some(&to), ["against_from", "against_to"])?;
    let by = query.by.unwrap_or(Dimension::Node);
    let args = json!({"org_id": caller.org_id(), "from_us": now.from_us, "to_us": now.to_us, "against_from_us": old.from_us,
        "against_to_us": old.to_us, "filter": query.filter()?, "users": by == Dimension::User});
    let groups: Vec<Group> = caller.call("cost_groups", &args).await?;
    if groups.len() > MOST_GROUPS {
        return Err(Problem::does_not_fit(
            "these times have more than 5,000 groups of nodes and models: filter them",
        ));
    }
    let (total, data) = explained(&groups, by, old.from_us);
    Ok(Json::ok(Explanation {
        from: clock::rfc3339(now.from_us),
        to: clock::rfc3339(now.to_us),
        against_from: clock::rfc3339(old.from_us),
        against_to: clock::rfc3339(old.to_us),
        total,
        data,
    }))
}

/// Sum of what was, what is and why.
#[derive(Default)]
struct Tally(i128, i128, Effects);

fn explained(groups: &[Group], by: Dimension, at_us: i64) -> (Explained, Vec<Explained>) {
    let calls = |side: fn(&Group) -> Option<&Sums>| {
        groups.iter().filter_map(side).map(|s| s.calls).sum::<i64>()
    };
    let (old, new) = (calls(|g| g.before.as_ref()), calls(|g| g.after.as_ref()));
    let mut rows = std::collections::BTreeMap::<Option<String>, Tally>::new();
    let mut total = Tally::default();
    for group in groups {
        let (before, after) = (period(group.before.as_ref()), period(group.after.as_ref()));
        let effects = explain::explain(&before, &after, old, new, &weights(group, at_us));
        for tally in [&mut total, rows.entry(group.key(by)).or_default()] {
            tally.0 += before.pusd;
            tally.1 += after.pusd;
            tally.2.add(&effects);
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.1 - tally.0).abs()));
    let rows = rows.into_iter().map(|(key, tally)| tally.shown(key));
    (total.shown(None), rows.collect())
}

impl Group {
    fn key(&self, by: Dimension) -> Option<String> {
        match by {
            Dimension::Total => None,
            Dimension::Model => self.model.clone(),
            Dimension::Provider => self.provider.clone(),
            Dimension::Workflow => self.workflow_id.clone(),
            Dimension::Node => self.node_id.clone(),
            Dimension::User => self.user_id.clone(),
        }
    }
}

impl Tally {
    fn shown(self, key: Option<String>) -> Explained {
        Explained {
            key,
            before: self.0.into(),
            after: self.1.into(),
            change: (self.1 - self.0).into(),
            volume: self.2.volume.into(),
            mix: self.2.mix.into(),
            length: self.2.length.into(),
            cache: self.2.cache.into(),
            price: self.2.price.into(),
        }
    }
}

fn period(sums: Option<&Sums>) -> Period {
    sums.map_or_else(Period::default, |sums| Period {
        calls: sums.calls,
        tokens: sums.tokens(),
        pusd: sums.pusd(),
    })
}

/// What the catalogue says of one token of each bucket; all alike for a model that it does not know.
fn weights(group: &Group, at_us: i64) -> Weights {
    const MANY: i64 = 1_000;
    let all = Tokens {
        uncached: MANY,
        cache_read: MANY,
        cache_write: MANY,
        cache_write_1h: MANY,
        audio_input: MANY,
        image_input: MANY,
        output_text: MANY,
        reasoning: MANY,
        audio_output: MANY,
    };
    let terms = Terms {
        at_us,
        ..Terms::default()
    };
    let (Some(provider), Some(model)) = (&group.provider, &group.model) else {
        return Weights::default();
    };
    let priced = catalogue().price(&reference_of(provider, model), &all, &terms);
    priced.map_or_else(
        |_| Weights::default(),
        |priced| Weights::of_parts(&priced.parts),
    )
}
