//! Somebody without a credential, such as who follows a link. What a visitor may call is exposed to everybody in the
//! database, and checks there what was shown to it (a link's token).

use crate::clock;
use crate::cx::Cx;
use crate::errors::{refusal_problem, store_problem};
use nodeai_http::openapi::Describe;
use nodeai_http::{FromCx, Problem};
use nodeai_store::{Outcome, Rate, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::rc::Rc;

/// Nobody in particular.
pub struct Visitor {
    /// The request.
    pub cx: Rc<Cx>,
}

/// What such a function answers: the state of the visitor's bucket beside the rest.
#[derive(Deserialize)]
struct Limited<T> {
    rate: Rate,
    #[serde(flatten)]
    answer: T,
}

impl Visitor {
    /// Calls a function that takes from the bucket of the visitor's address. Errors: 429, 503.
    pub async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        mut args: Value,
    ) -> Result<T, Problem> {
        let store = self.cx.store()?;
        args["ip"] = json!(self.cx.client_ip());
        let nonce = clock::hex(&clock::random::<16>());
        let answer = store.call_anonymous(name, &args, &nonce).await;
        let limited: Limited<T> = serde_json::from_value(answer.map_err(store_problem)?)
            .map_err(|_| Problem::internal("the store gave an answer that was not expected"))?;
        self.limit(limited.rate)?;
        Ok(limited.answer)
    }

    /// Tells the visitor of a bucket that was taken from. Errors: 429 when it was empty.
    pub fn limit(&self, rate: Rate) -> Result<(), Problem> {
        self.cx.rate.replace(Some(rate.clone()));
        match rate.retry_after_ms > 0 {
            true => {
                let outcome = Outcome::RateLimited;
                Err(refusal_problem(&Refusal { outcome, rate }, ""))
            }
            false => Ok(()),
        }
    }
}

impl FromCx<Cx> for Visitor {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        Ok(Self { cx })
    }

    fn describe(op: &mut Describe) {
        op.problem("429", "Rate limit reached; see Retry-After");
        op.problem("503", "Storage is not available; see Retry-After");
    }
}
