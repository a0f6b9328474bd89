//! Who may work on what is due: the operator's schedule for everybody, a caller for the own organisation.

use crate::caller::{Caller, Scope};
use crate::clock;
use crate::cx::Cx;
use nodeai_http::openapi::Describe;
use nodeai_http::{Check, Checker, FromCx, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// Shortest `nodeai_drain_token` that counts.
const SHORTEST: usize = 16;

/// How much to do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// At most so many; 1,000 unless given.
    #[serde(default)]
    most: Option<u32>,
    /// Takes up nothing more after so many milliseconds; 15,000 unless given, up to 60,000.
    #[serde(default)]
    time_ms: Option<u64>,
}

impl DrainRequest {
    /// At most so many.
    pub fn most(&self) -> u32 {
        self.most.unwrap_or(1_000)
    }

    /// When nothing more is taken up, µs since the Unix epoch.
    pub fn until_us(&self) -> i64 {
        let time_us = self.time_ms().saturating_mul(1_000);
        clock::now_us().saturating_add_unsigned(time_us)
    }

    /// Nothing more is taken up after so many milliseconds.
    pub fn time_ms(&self) -> u64 {
        self.time_ms.unwrap_or(15_000)
    }
}

impl Check for DrainRequest {
    fn check(&self, c: &mut Checker) {
        let most = self.most.is_none_or(|n| (1..=100_000).contains(&n));
        c.require(most, "/most", "range", "must be from 1 to 100000");
        let time = self.time_ms.is_none_or(|ms| ms <= 60_000);
        c.require(time, "/time_ms", "range", "must be at most 60000");
    }
}

/// Who works on what is due.
pub enum Drainer<S> {
    /// The operator's schedule, which has shown `nodeai_drain_token`.
    Operator(Rc<Cx>),
    /// A caller with the scope `S`.
    Caller(Caller<S>),
}

impl<S: Scope> Drainer<S> {
    /// The request.
    pub fn cx(&self) -> &Rc<Cx> {
        match self {
            Self::Operator(cx) => cx,
            Self::Caller(caller) => &caller.cx,
        }
    }

    /// The organisation that it may work for; none for everybody's.
    pub fn org_id(&self) -> Option<&str> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(caller) => Some(caller.org_id()),
        }
    }

    /// Gives a caller's database connection back, for work that opens others.
    pub fn release(&self) {
        if let Self::Caller(caller) = self {
            caller.session.release();
        }
    }
}

impl<S: Scope> FromCx<Cx> for Drainer<S> {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let token = cx.env().get("nodeai_drain_token").await;
        let shown = cx.header("authorization").unwrap_or_default();
        let shown = shown.strip_prefix("Bearer ").unwrap_or_default();
        let is_token = |token: &String| bool::from(token.as_bytes().ct_eq(shown.as_bytes()));
        if token.is_some_and(|token| token.len() >= SHORTEST && is_token(&token)) {
            return Ok(Self::Operator(cx));
        }
        Caller::from_cx(cx).await.map(Self::Caller)
    }

    fn describe(op: &mut Describe) {
        Caller::<S>::describe(op);
    }
}
