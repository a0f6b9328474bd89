//! Who may work on what is due: the operator's schedule for everybody, a caller for the own organisation.

use crate::caller::{Caller, Scope};
use crate::cx::Cx;
use nodeai_http::openapi::Describe;
use nodeai_http::{FromCx, Problem};
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// Shortest `nodeai_drain_token` that counts.
const SHORTEST: usize = 16;

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
