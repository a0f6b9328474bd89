//! Budgets as the API shows them.

use nodeai_http::Checker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest limit, in micro-USD: nine million USD.
const MOST_USD_MICROS: i64 = 9_000_000_000_000;
/// The largest limit in tokens.
const MOST_TOKENS: i64 = 1_000_000_000_000_000;

/// Whose runs a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// All of the organisation's.
    Organization,
    /// Those of one user, with whatever credential.
    User,
    /// Those that one API key starts.
    Key,
    /// Those of one workflow, with what it calls.
    Workflow,
}

impl Subject {
    /// As the store names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
            Self::Key => "key",
            Self::Workflow => "workflow",
        }
    }
}

/// How long a limit counts; days, weeks (from Monday) and months are UTC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// For each run anew.
    Run,
    /// For a day.
    Day,
    /// For a week.
    Week,
    /// For a month.
    Month,
    /// For good.
    Total,
}

/// What a limit in USD does with a call whose price is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// The call is not made.
    #[default]
    Refuse,
    /// It is made, and counts in tokens alone.
    Allow,
}

/// A budget. What was spent and is reserved is of the period that runs now; null for a budget per run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Whose runs it limits.
    pub subject: Subject,
    /// Which user, key or workflow; null for the organisation.
    pub subject_id: Option<String>,
    /// How long the limit counts.
    pub period: Period,
    /// Most micro-USD; null for no limit.
    pub limit_usd_micros: Option<i64>,
    /// Most tokens, read and written; null for no limit.
    pub limit_tokens: Option<i64>,
    /// What calls have cost, rounded once.
    pub spent_usd_micros: Option<i64>,
    /// Tokens that calls have used.
    pub spent_tokens: Option<i64>,
    /// What calls that are under way may cost at most.
    pub reserved_usd_micros: Option<i64>,
    /// Tokens that they may use at most.
    pub reserved_tokens: Option<i64>,
    /// What is left for further calls.
    pub remaining_usd_micros: Option<i64>,
    /// Tokens that are left for further calls.
    pub remaining_tokens: Option<i64>,
    /// When the next period begins, RFC 3339; null where there is none.
    pub resets_at: Option<String>,
    /// What becomes of calls whose price is not known, where there is a limit in USD.
    pub unpriced: Unpriced,
    /// Version of the settings, for `If-Match`; spending does not change it.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// Reports limits that are out of range; 0 lets nothing be spent.
pub fn check_limits(c: &mut Checker, usd_micros: Option<i64>, tokens: Option<i64>) {
    let limits = [
        ("/limit_usd_micros", usd_micros, MOST_USD_MICROS),
        ("/limit_tokens", tokens, MOST_TOKENS),
    ];
    for (at, limit, most) in limits {
        let holds = limit.is_none_or(|limit| (0..=most).contains(&limit));
        c.require(holds, at, "out_of_range", &format!("0 to {most}"));
    }
}

/// Micro-USD as the store keeps money.
pub fn pusd(usd_micros: i64) -> i64 {
    usd_micros.saturating_mul(1_000_000)
}
