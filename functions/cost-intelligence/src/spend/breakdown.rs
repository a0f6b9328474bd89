//! `GET /api/v1/cost-intelligence/breakdown`

use super::sums::{Spend, Sums};
use super::window::timed_query;
use crate::CostsRead;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::page::{Keyset, checked_limit, decode_cursor, encode_cursor};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// By what costs are broken down.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
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
    /// UTC day.
    Day,
    /// Tag: a call with two tags is in both rows, and once in the total.
    Tag,
    /// Version of the prompt (`nodeai.prompt.version`).
    PromptVersion,
    /// Session.
    Session,
    /// The caller's own name for a user.
    EndUser,
    /// Service tier.
    Tier,
    /// `hit`, `write` or `none`.
    CacheState,
}

timed_query! {
    /// Time, filters, dimension and paging.
    BreakdownQuery {
        /// By what.
        by: Dimension,
        /// Rows per page: 1 to 200, 50 unless given.
        limit: Option<u32>,
        /// `next_cursor` of the page before.
        cursor: Option<String>,
    }
}

#[derive(Deserialize)]
struct Found {
    total: Sums,
    rows: Vec<Keyed>,
}

#[derive(Deserialize)]
struct Keyed {
    key: Option<String>,
    #[serde(flatten)]
    sums: Sums,
}

/// One row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// Model, provider, id, day or what else was asked for; null for what has none.
    key: Option<String>,
    /// Of the total cost, 0 to 1; null where that is nothing.
    share: Option<f64>,
    /// Tokens and cost.
    #[serde(flatten)]
    spend: Spend,
}

/// Costs by one dimension, the dearest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breakdown {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
    /// All of it, also what is on other pages.
    total: Spend,
    /// The rows.
    data: Vec<Row>,
    /// Cursor of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Sums the calls of a time.
pub async fn handle(
    caller: Caller<CostsRead>,
    Query(query): Query<BreakdownQuery>,
) -> Result<Json<Breakdown>, Problem> {
    let (window, limit) = (query.window()?, checked_limit(query.limit)?);
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let after = after.map(|position| json!({"pusd": position.at, "key": position.id}));
    let args = json!({"org_id": caller.org_id(), "from_us": window.from_us, "to_us": window.to_us, "by": query.by,
        "filter": query.filter()?, "limit": limit + 1, "after": after});
    let mut found: Found = caller.call("cost_breakdown", &args).await?;
    let more = found.rows.len() > limit as usize;
    found.rows.truncate(limit as usize);
    let last = found.rows.last().filter(|_| more).map(|row| Keyset {
        at: row.sums.pusd.clone(),
        id: row.key.clone().unwrap_or_default(),
    });
    let whole = found.total.pusd();
    Ok(Json::ok(Breakdown {
        from: clock::rfc3339(window.from_us),
        to: clock::rfc3339(window.to_us),
        total: Spend::from(&found.total),
        data: found.rows.into_iter().map(|row| row.shown(whole)).collect(),
        next_cursor: last.as_ref().map(encode_cursor),
    }))
}

impl Keyed {
    fn shown(self, whole: i128) -> Row {
        let share = (whole > 0).then(|| self.sums.pusd() as f64 / whole as f64);
        Row {
            share,
            spend: Spend::from(&self.sums),
            key: self.key,
        }
    }
}
