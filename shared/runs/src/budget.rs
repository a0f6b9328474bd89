//! The budgets that a run shares with others, in the store: what applies to it, and the port by which its calls reserve
//! and settle. A run that none applies to makes no statement here.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_app::{Cx, clock, errors::log};
use nodeai_engine::{NodeError, RunBudget};
use nodeai_http::Problem;
use nodeai_llm::Prices;
use nodeai_runner::{Amount, BudgetPort, Granted, Reservation, exceeded, unpriced};
use nodeai_store::Session;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most that is reserved for one call, in pico-USD: far above every price, and far below where sums overflow.
const MOST_PUSD: i64 = 100_000_000_000_000_000;

/// What a run may cost, as a request says it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetInput {
    /// Most micro-USD, at least 1.
    #[serde(default)]
    pub usd_micros: Option<i64>,
    /// Most tokens, read and written, at least 1.
    #[serde(default)]
    pub tokens: Option<i64>,
    /// What becomes of calls whose price is not known, where there is a limit in USD: `refuse` unless given.
    #[serde(default)]
    pub unpriced: Unpriced,
}

/// What a limit in USD does with a call whose price is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// The call is not made.
    #[default]
    Refuse,
    /// It is made, and counts in tokens alone.
    Allow,
}

impl BudgetInput {
    /// Reports limits that are none.
    pub fn check(&self, c: &mut nodeai_http::Checker) {
        for (name, limit) in [("usd_micros", self.usd_micros), ("tokens", self.tokens)] {
            let holds = limit.is_none_or(|limit| limit >= 1);
            c.require(
                holds,
                &format!("/budget/{name}"),
                "out_of_range",
                "at least 1",
            );
        }
    }

    /// As the engine takes it.
    pub fn limit(self) -> RunBudget {
        let allow = self.unpriced == Unpriced::Allow;
        RunBudget::new(self.usd_micros, self.tokens, allow)
    }
}

/// What a run has to heed, as `nodeai.budget_standing` says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Standing {
    /// Whether its calls must reserve.
    applies: bool,
    run: PerRun,
    used_up: Option<Value>,
    /// The organisation's own prices.
    #[serde(default, deserialize_with = "own_prices")]
    prices: Prices,
}

fn own_prices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Prices, D::Error> {
    let rows = Option::<Vec<Value>>::deserialize(deserializer)?;
    Ok(rows.map(Prices::own).unwrap_or_default())
}

#[derive(Debug, Clone, Default, Deserialize)]
struct PerRun {
    pusd: Option<i64>,
    tokens: Option<i64>,
    unpriced: String,
}

impl Standing {
    /// The standing of a run that was begun elsewhere.
    ///
    /// # Errors
    /// When the store stays away.
    pub async fn of(session: &Session, execution_id: &str) -> Result<Self, nodeai_store::Error> {
        let args = json!({"org_id": session.org_id(), "execution_id": execution_id});
        let found: Option<Self> = session.call("budget_standing", &args).await?;
        Ok(found.unwrap_or_default())
    }

    /// The limits that the organisation's budgets give each run.
    pub fn limit(&self) -> RunBudget {
        RunBudget {
            pusd: self.run.pusd,
            tokens: self.run.tokens,
            refuse_unpriced: self.run.pusd.is_some() && self.run.unpriced != "allow",
        }
    }

    /// Refuses a run that could not make a single call. Errors: 402 with the budget that is used up.
    pub fn check(&self) -> Result<(), Problem> {
        let Some(budget) = &self.used_up else {
            return Ok(());
        };
        let name = budget["name"].as_str().unwrap_or_default();
        let problem = Problem::budget_exceeded(format!("the budget {name:?} is used up"));
        let problem = problem.of_budget(shown(budget));
        Err(match budget["resets_us"].as_i64() {
            Some(at) => problem.retry_after(seconds_until(at)),
            None => problem,
        })
    }
}

fn seconds_until(us: i64) -> u64 {
    let wait = (us - clock::now_us()).max(0);
    u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000)
}

/// What a problem shows of a budget.
fn shown(budget: &Value) -> Value {
    let names = [
        "id",
        "name",
        "subject",
        "subject_id",
        "period",
        "limit_usd_micros",
        "limit_tokens",
        "spent_usd_micros",
        "spent_tokens",
        "resets_at",
    ];
    let members = names.iter().filter(|name| !budget[**name].is_null());
    members
        .map(|name| ((*name).to_owned(), budget[*name].clone()))
        .collect()
}

/// The port. What it has not settled when the run ends, [`Ledger::close`] does; and what that cannot, because the store or
/// the host is gone, the store counts as spent once the reservation is over.
pub struct Ledger {
    cx: Rc<Cx>,
    session: Rc<Session>,
    execution_id: String,
    /// Whether any budget applies; none while that is not known.
    applies: Option<bool>,
    prices: Prices,
    open: RefCell<BTreeMap<String, Open>>,
}

/// How far a ticket is.
#[derive(Clone, Copy)]
enum Open {
    /// Nobody knows whether the store has it; its call was not made.
    Asked,
    /// Its call may have been made.
    Granted,
    /// Its call is over, and the store has not heard yet what it cost.
    Ended(Option<Amount>),
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    budget: Value,
}

/// Waits between the tries to settle at the end, ms.
const BACKOFF_MS: [u64; 5] = [300, 900, 1_500, 2_500, 4_000];

impl Ledger {
    /// For a run that was started.
    pub fn new(
        cx: Rc<Cx>,
        session: Rc<Session>,
        execution_id: String,
        standing: Option<&Standing>,
    ) -> Self {
        Self {
            cx,
            session,
            execution_id,
            applies: standing.map(|standing| standing.applies),
            prices: standing
                .map(|standing| standing.prices.clone())
                .unwrap_or_default(),
            open: RefCell::default(),
        }
    }

    /// Settles what is still open, in one statement; again while the store is away or busy, as a commit does. What it
    /// never hears of counts as spent.
    pub async fn close(&self) {
        let open = self.open.take();
        if open.is_empty() {
            return;
        }
        let tickets = open.iter().map(|(ticket, open)| match open {
            Open::Asked => entry(ticket, Some(Amount::default())),
            Open::Granted => entry(ticket, None),
            Open::Ended(cost) => entry(ticket, *cost),
        });
        let tickets: Vec<Value> = tickets.collect();
        for wait in std::iter::once(0).chain(BACKOFF_MS) {
            self.cx.env().sleep_ms(wait).await;
            if self.tell(tickets.clone()).await {
                return;
            }
            self.session.release();
        }
    }

    /// Says what calls did cost; whether the store has heard it.
    async fn tell(&self, tickets: Vec<Value>) -> bool {
        let args = json!({"org_id": self.session.org_id(), "tickets": tickets});
        let told: Result<Value, _> = self.session.call("budget_settle", &args).await;
        told.map_err(|error| log("budget_settle", &error.to_string()))
            .is_ok()
    }

    async fn ask(&self, call: &Reservation) -> Result<Granted, NodeError> {
        let ticket = uuid::Uuid::new_v4().to_string();
        let most = call.most;
        let args = json!({"org_id": self.session.org_id(), "execution_id": self.execution_id, "ticket": ticket,
            "tokens": most.tokens, "pusd": most.pusd.map(|pusd| pusd.min(MOST_PUSD)),
            "lasts_us": call.lasts_ms.saturating_mul(1_000)});
        self.open.borrow_mut().insert(ticket.clone(), Open::Asked);
        let answer: Result<Answer, _> = self.session.call("budget_reserve", &args).await;
        let answer = answer.map_err(|error| {
            log("budget_reserve", &error.to_string());
            unavailable(true, "the budgets of this run cannot be asked now")
        })?;
        if answer.outcome == "granted" {
            self.open.borrow_mut().insert(ticket.clone(), Open::Granted);
            return Ok(Granted::Yes(ticket));
        }
        self.open.borrow_mut().remove(&ticket);
        Ok(refusal(&answer, most))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ledger({}, {:?})", self.execution_id, self.applies)
    }
}

impl BudgetPort for Ledger {
    fn apply(&self) -> LocalBoxFuture<'_, Result<bool, NodeError>> {
        let known = self.applies.ok_or_else(|| {
            unavailable(
                true,
                "the budgets of this run could not be asked when it began",
            )
        });
        async { known }.boxed_local()
    }

    fn reserve<'a>(
        &'a self,
        call: &'a Reservation,
    ) -> LocalBoxFuture<'a, Result<Granted, NodeError>> {
        self.ask(call).boxed_local()
    }

    fn settle<'a>(&'a self, ticket: &'a str, cost: Option<Amount>) -> LocalBoxFuture<'a, ()> {
        async move {
            let ended = Open::Ended(cost);
            self.open.borrow_mut().insert(ticket.to_owned(), ended);
            if self.tell(vec![entry(ticket, cost)]).await {
                self.open.borrow_mut().remove(ticket);
            }
        }
        .boxed_local()
    }

    fn prices(&self) -> Prices {
        self.prices.clone()
    }
}

fn entry(ticket: &str, cost: Option<Amount>) -> Value {
    match cost {
        None => json!({"ticket": ticket}),
        Some(cost) => json!({"ticket": ticket, "tokens": cost.tokens,
            "pusd": cost.pusd.map(|pusd| pusd.min(MOST_PUSD))}),
    }
}

fn unavailable(retryable: bool, message: &str) -> NodeError {
    NodeError::new("budget_unavailable", message, retryable)
}

fn refusal(answer: &Answer, most: Amount) -> Granted {
    let name = answer.budget["name"].as_str().unwrap_or_default();
    match answer.outcome.as_str() {
        "busy" => Granted::Busy(format!("what is left of the budget {name:?}")),
        "exceeded" => Granted::No(exceeded(&words(&answer.budget, name, most))),
        "unpriced" => Granted::No(unpriced(&format!("the budget {name:?} is in USD"))),
        other => {
            log("budget_reserve", other);
            Granted::No(unavailable(false, "the run is not running any more"))
        }
    }
}

fn words(budget: &Value, name: &str, most: Amount) -> String {
    let mut words = format!("the budget {name:?} does not allow this call:");
    let micros = |pusd: i64| pusd / 1_000_000 + i64::from(pusd % 1_000_000 > 0);
    let kinds = [
        ("usd_micros", "micro-USD", most.pusd.map_or(0, micros)),
        ("tokens", "tokens", most.tokens),
    ];
    for (member, unit, most) in kinds {
        let of = |what: &str| budget[format!("{what}_{member}")].as_i64();
        if let (Some(limit), Some(spent)) = (of("limit"), of("spent")) {
            words += &format!(" {spent} of {limit} {unit} are spent, it may take up to {most};");
        }
    }
    match budget["resets_at"].as_str() {
        Some(at) => words + &format!(" it resets at {at}"),
        None => words + " it does not reset",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Value {
        json!({"id": "b", "name": "team", "period": "day", "limit_usd_micros": 100, "limit_tokens": null,
            "spent_usd_micros": 90, "spent_tokens": 7, "resets_at": "2026-11-27T00:00:00+00:00", "version": 3,
            "resets_us": clock::now_us() + 5_000_000})
    }

    #[test]
    fn a_budget_that_is_used_up_refuses_the_run_and_says_when_it_resets() {
        let standing = Standing {
            used_up: Some(budget()),
            ..Standing::default()
        };
        let problem = standing.check().expect_err("used up");
        assert_eq!((problem.status, problem.slug()), (402, "budget-exceeded"));
        let shown = problem.budget.expect("the budget");
        assert_eq!(
            (&shown["name"], &shown["version"]),
            (&json!("team"), &Value::Null)
        );
        let (name, wait) = &problem.headers[0];
        assert_eq!(name, "retry-after");
        assert!(
            ["4", "5"].contains(&wait.to_str().expect("a number")),
            "{wait:?}"
        );
        assert!(Standing::default().check().is_ok());
    }

    #[test]
    fn refusals_say_which_budget_and_why() {
        let answer = |outcome: &str| Answer {
            outcome: outcome.to_owned(),
            budget: budget(),
        };
        let most = Amount {
            tokens: 40,
            pusd: Some(10_000_001),
        };
        let Granted::No(error) = refusal(&answer("exceeded"), most) else {
            panic!("not refused");
        };
        assert_eq!(
            (error.kind.as_str(), error.retryable),
            ("budget_exceeded", false)
        );
        assert!(
            error.message.contains("90 of 100 micro-USD"),
            "{}",
            error.message
        );
        assert!(error.message.contains("up to 11"), "{}", error.message);
        assert!(matches!(refusal(&answer("busy"), most), Granted::Busy(_)));
        let Granted::No(error) = refusal(&answer("unpriced"), most) else {
            panic!("not refused");
        };
        assert_eq!(error.kind, "budget_unpriced");
    }
}
