//! What a run may spend: the port to the budgets that many runs share, and the meter of the run's own limit. Both are
//! asked before a call for all that it may cost, and told afterwards what it did cost.

use std::cell::Cell;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_engine::{NodeError, RunBudget, Spend, Totals};
use nodeai_llm::Prices;

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Tokens, read and written.
    pub tokens: i64,
    /// Pico-USD; none when the price is not known.
    pub pusd: Option<i64>,
}

impl Amount {
    pub(crate) fn money(self) -> i64 {
        self.pusd.unwrap_or(0)
    }

    /// As a log keeps it.
    pub(crate) fn spend(self) -> Spend {
        Spend {
            tokens: self.tokens,
            pusd: self.money(),
        }
    }
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// All that it may cost.
    pub most: Amount,
    /// It is over by then, in ms from now; what is not settled later still counts as spent.
    pub lasts_ms: u64,
}

/// The answer to a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// Go; to be settled under this name.
    Yes(String),
    /// Not now: calls that are under way hold what is left. Says which budget.
    Busy(String),
    /// No.
    No(NodeError),
}

/// The budgets that a run shares with others. What is reserved and never settled counts as spent.
pub trait BudgetPort: std::fmt::Debug {
    /// Whether there are any for this run. Asked before each call, so it must be cheap.
    ///
    /// # Errors
    /// When that cannot be found out: the call is not made.
    fn apply(&self) -> LocalBoxFuture<'_, Result<bool, NodeError>>;

    /// Reserves in all of them, or in none.
    ///
    /// # Errors
    /// When they cannot be reached: the call is not made.
    fn reserve<'a>(
        &'a self,
        call: &'a Reservation,
    ) -> LocalBoxFuture<'a, Result<Granted, NodeError>>;

    /// Says what a call did cost; `None` when nobody knows, and then all that was reserved counts.
    fn settle<'a>(&'a self, ticket: &'a str, cost: Option<Amount>) -> LocalBoxFuture<'a, ()>;

    /// What calls cost: the organisation's own prices where it has some. They are those of the run's beginning.
    fn prices(&self) -> Prices {
        Prices::default()
    }
}

/// No budgets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBudget;

impl BudgetPort for NoBudget {
    fn apply(&self) -> LocalBoxFuture<'_, Result<bool, NodeError>> {
        async { Ok(false) }.boxed_local()
    }

    fn reserve<'a>(&'a self, _: &'a Reservation) -> LocalBoxFuture<'a, Result<Granted, NodeError>> {
        async { Ok(Granted::Yes(String::new())) }.boxed_local()
    }

    fn settle<'a>(&'a self, _: &'a str, _: Option<Amount>) -> LocalBoxFuture<'a, ()> {
        async {}.boxed_local()
    }
}

/// The run's own limit, over all of its branches.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    limit: RunBudget,
    spent: Cell<Amount>,
    reserved: Cell<Amount>,
}

/// Whether an amount fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It does, and is reserved.
    Taken,
    /// It would, once other calls are settled.
    Held,
    /// It does not.
    None(NodeError),
}

impl Meter {
    /// With what has been spent before, by a run that is taken up again, and what may have been.
    pub(crate) fn new(limit: RunBudget, spent: Totals, unsettled: Spend) -> Self {
        let tokens = spent.prompt_tokens.saturating_add(spent.completion_tokens);
        let spent = Amount {
            tokens: tokens.saturating_add(unsettled.tokens),
            pusd: Some(spent.cost_pusd.saturating_add(unsettled.pusd)),
        };
        Self {
            limit,
            spent: Cell::new(spent),
            reserved: Cell::default(),
        }
    }

    pub(crate) fn limits(&self) -> bool {
        self.limit.limits()
    }

    /// Reserves an amount, if there is room for it.
    pub(crate) fn take(&self, most: Amount) -> Room {
        if self.limit.refuse_unpriced && most.pusd.is_none() {
            return Room::None(unpriced("the run has a limit in USD"));
        }
        let (spent, reserved) = (self.spent.get(), self.reserved.get());
        let fits = |limit: Option<i64>, used: i64, wanted: i64| {
            limit.is_none_or(|limit| used.saturating_add(wanted) <= limit)
        };
        let fit = |held: Amount| {
            let tokens = spent.tokens.saturating_add(held.tokens);
            let money = spent.money().saturating_add(held.money());
            fits(self.limit.tokens, tokens, most.tokens)
                && fits(self.limit.pusd, money, most.money())
        };
        if fit(reserved) {
            self.reserved.set(sum(reserved, most, 1));
            Room::Taken
        } else if fit(Amount::default()) {
            Room::Held
        } else {
            Room::None(exceeded(&self.words(most)))
        }
    }

    /// Gives back what was reserved, and counts what it cost.
    pub(crate) fn settle(&self, most: Amount, cost: Amount) {
        self.reserved.set(sum(self.reserved.get(), most, -1));
        self.spent.set(sum(self.spent.get(), cost, 1));
    }

    fn words(&self, most: Amount) -> String {
        let spent = self.spent.get();
        let mut parts = Vec::new();
        if let Some(limit) = self.limit.pusd {
            parts.push(format!(
                "{} of {} USD is spent and this call may cost up to {}",
                usd(spent.money()),
                usd(limit),
                usd(most.money())
            ));
        }
        if let Some(limit) = self.limit.tokens {
            parts.push(format!(
                "{} of {limit} tokens are used and this call may use up to {}",
                spent.tokens, most.tokens
            ));
        }
        format!("the run's own limit: {}", parts.join("; "))
    }
}

fn sum(a: Amount, b: Amount, sign: i64) -> Amount {
    let add = |a: i64, b: i64| a.saturating_add(b.saturating_mul(sign));
    Amount {
        tokens: add(a.tokens, b.tokens),
        pusd: Some(add(a.money(), b.money())),
    }
}

/// What the calls of one attempt have cost so far.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// Of those that told.
    told: Cell<Spend>,
    /// All that was reserved for the others.
    untold: Cell<Spend>,
}

impl Bill {
    /// What nobody told the cost of.
    pub(crate) fn untold(&self) -> Spend {
        self.untold.get()
    }

    /// Everything.
    pub(crate) fn all(&self) -> Spend {
        self.told.get().and(self.untold.get())
    }
}

/// What was reserved in the meter for one call. Dropped without an end, as by a time limit or a cancellation, it counts as
/// spent once the call may have been made.
pub(crate) struct Hold<'m> {
    meter: &'m Meter,
    bill: Rc<Bill>,
    most: Amount,
    /// All that the call will have cost, if nobody says otherwise.
    cost: Cell<Amount>,
    /// Whether somebody has said it.
    told: bool,
}

impl<'m> Hold<'m> {
    /// Of an amount that has been taken.
    pub(crate) fn of(meter: &'m Meter, bill: &Rc<Bill>, most: Amount) -> Self {
        Self {
            meter,
            bill: bill.clone(),
            most,
            cost: Cell::default(),
            told: false,
        }
    }

    /// The call is made from here on.
    pub(crate) fn begin(&self) {
        self.cost.set(self.most);
    }

    /// Ends with what it cost; `None` when nobody knows.
    pub(crate) fn end(mut self, cost: Option<Amount>) {
        self.told = cost.is_some();
        self.cost.set(cost.unwrap_or(self.most));
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let cost = self.cost.get();
        self.meter.settle(self.most, cost);
        let column = match self.told {
            true => &self.bill.told,
            false => &self.bill.untold,
        };
        column.set(column.get().and(cost.spend()));
    }
}

/// The error of a call that a budget does not allow.
pub fn exceeded(why: &str) -> NodeError {
    NodeError::new("budget_exceeded", why, false)
}

/// The error of a call whose cost cannot be held against a limit in USD.
pub fn unpriced(why: &str) -> NodeError {
    let message = format!(
        "{why}, and the price of this model is not known; set unpriced to allow to let it pass"
    );
    NodeError::new("budget_unpriced", message, false)
}

/// Pico-USD in USD, to the micro-USD, rounded up.
fn usd(pusd: i64) -> String {
    let micros = pusd / 1_000_000 + i64::from(pusd % 1_000_000 > 0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: i64, pusd: i64) -> Amount {
        Amount {
            tokens,
            pusd: Some(pusd),
        }
    }

    fn meter(pusd: Option<i64>, tokens: Option<i64>) -> Meter {
        let limit = RunBudget {
            pusd,
            tokens,
            refuse_unpriced: pusd.is_some(),
        };
        Meter::new(limit, Totals::default(), Spend::default())
    }

    /// A linear congruential generator (Knuth's MMIX): tests with numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
            self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }
    }

    #[test]
    fn whatever_ends_in_whatever_order_the_limit_holds() {
        for seed in 0..500 {
            let mut dice = Dice(seed);
            let (most_pusd, most_tokens) = (1 + dice.roll(2_000) as i64, 1 + dice.roll(500) as i64);
            let meter = meter(Some(most_pusd), Some(most_tokens));
            let mut open: Vec<Hold<'_>> = Vec::new();
            for _ in 0..200 {
                let wanted = amount(dice.roll(60) as i64, dice.roll(300) as i64);
                match dice.roll(3) {
                    0 if !open.is_empty() => {
                        let hold = open.swap_remove(dice.roll(open.len() as u64) as usize);
                        let most = hold.most;
                        match dice.roll(4) {
                            0 => drop(hold),
                            1 => hold.end(None),
                            _ => {
                                let part =
                                    |most: i64, dice: &mut Dice| dice.roll(most as u64 + 1) as i64;
                                let tokens = part(most.tokens, &mut dice);
                                hold.end(Some(amount(tokens, part(most.money(), &mut dice))));
                            }
                        }
                    }
                    _ => {
                        if meter.take(wanted) == Room::Taken {
                            let hold = Hold::of(&meter, &Rc::default(), wanted);
                            if dice.roll(5) > 0 {
                                hold.begin();
                            }
                            open.push(hold);
                        }
                    }
                }
                let (spent, held) = (meter.spent.get(), meter.reserved.get());
                assert!(spent.tokens + held.tokens <= most_tokens, "seed {seed}");
                assert!(spent.money() + held.money() <= most_pusd, "seed {seed}");
            }
            open.clear();
            let held = meter.reserved.get();
            assert_eq!((held.tokens, held.money()), (0, 0), "seed {seed}");
        }
    }

    #[test]
    fn room_that_others_hold_is_not_gone() {
        let meter = meter(None, Some(100));
        assert_eq!(meter.take(amount(70, 0)), Room::Taken);
        let hold = Hold::of(&meter, &Rc::default(), amount(70, 0));
        assert_eq!(meter.take(amount(40, 0)), Room::Held);
        assert!(matches!(meter.take(amount(101, 0)), Room::None(_)));
        hold.end(Some(amount(10, 0)));
        assert_eq!(meter.take(amount(90, 0)), Room::Taken);
    }

    #[test]
    fn a_call_that_was_dropped_counts_in_full_once_it_was_made() {
        let meter = meter(None, Some(100));
        assert_eq!(meter.take(amount(70, 0)), Room::Taken);
        drop(Hold::of(&meter, &Rc::default(), amount(70, 0)));
        assert_eq!(meter.spent.get().tokens, 0);
        assert_eq!(meter.take(amount(70, 0)), Room::Taken);
        let hold = Hold::of(&meter, &Rc::default(), amount(70, 0));
        hold.begin();
        let bill = hold.bill.clone();
        drop(hold);
        assert_eq!(meter.spent.get().tokens, 70);
        assert_eq!((bill.untold().tokens, bill.all().tokens), (70, 70));
    }

    #[test]
    fn a_limit_in_usd_needs_a_price_unless_told_otherwise() {
        let unknown = Amount {
            tokens: 1,
            pusd: None,
        };
        let Room::None(error) = meter(Some(5), None).take(unknown) else {
            panic!("it was let through");
        };
        assert_eq!(error.kind, "budget_unpriced");
        assert_eq!(meter(None, Some(5)).take(unknown), Room::Taken);
    }

    #[test]
    fn what_was_spent_before_counts() {
        let limit = RunBudget::new(None, Some(100), false);
        let spent = Totals {
            prompt_tokens: 60,
            completion_tokens: 30,
            cost_pusd: 0,
        };
        let meter = Meter::new(limit, spent, Spend::default());
        let Room::None(error) = meter.take(amount(11, 0)) else {
            panic!("it was let through");
        };
        assert_eq!(error.kind, "budget_exceeded");
        assert!(error.message.contains("90 of 100"), "{}", error.message);
        // So does what may have been.
        let unsettled = Spend { tokens: 6, pusd: 0 };
        let meter = Meter::new(limit, spent, unsettled);
        assert!(matches!(meter.take(amount(5, 0)), Room::None(_)));
        assert_eq!(meter.take(amount(4, 0)), Room::Taken);
    }

    #[test]
    fn money_is_written_in_usd() {
        assert_eq!(usd(1), "0.000001");
        assert_eq!(usd(2_500_000_000_000), "2.500000");
    }
}
