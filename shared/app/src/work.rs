//! Work that is due, taken up piece by piece: what the drains of jobs have in common.

use crate::caller::Scope;
use crate::clock;
use crate::drainer::{DrainRequest, Drainer};
use crate::errors::store_problem;
use nodeai_http::Problem;
use nodeai_store::Store;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Whose work is done, and where it is stored.
pub struct Work {
    store: Store,
    org_id: Option<String>,
}

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Worked {
    /// Looks at jobs.
    taken: u32,
    /// Runs whose end was noted, and traces that were sampled.
    collected: u32,
    /// Jobs that have ended by that.
    finished: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

/// What one look came to.
pub enum Look {
    /// Nothing is due before that time, µs.
    Nothing(Option<i64>),
    /// A job was taken up.
    Taken {
        /// Runs whose end was noted.
        collected: usize,
        /// Whether the job has ended by that.
        finished: bool,
    },
}

impl Work {
    /// The work that a drainer may do. A caller's connection is given back: what is drained opens its own.
    ///
    /// # Errors
    /// 503 without a store.
    pub fn of<S: Scope>(drainer: &Drainer<S>) -> Result<Self, Problem> {
        drainer.release();
        Ok(Self {
            store: drainer.cx().store()?,
            org_id: drainer.org_id().map(str::to_owned),
        })
    }

    /// The organisation whose work it is; everybody's when none.
    pub fn org_id(&self) -> Option<&str> {
        self.org_id.as_deref()
    }

    /// Calls one of the store's functions as the service.
    ///
    /// # Errors
    /// 503 when the store is away.
    pub async fn call<T: DeserializeOwned>(
        &self,
        function: &str,
        args: &Value,
    ) -> Result<T, Problem> {
        let called = self.store.call_service(function, args).await;
        called.map_err(store_problem)
    }

    /// Looks as often as was asked for, as long as something is due.
    ///
    /// # Errors
    /// Those of a look.
    pub async fn go_on(
        &self,
        request: &DrainRequest,
        look: impl AsyncFn(&Self) -> Result<Look, Problem>,
    ) -> Result<Worked, Problem> {
        let until_us = request.until_us();
        let mut done = Worked {
            left: "more",
            ..Worked::default()
        };
        while done.taken < request.most() && clock::now_us() < until_us {
            match look(self).await? {
                Look::Nothing(due_us) => {
                    done.left = "nothing";
                    done.due_at = due_us.map(clock::rfc3339);
                    break;
                }
                Look::Taken {
                    collected,
                    finished,
                } => {
                    done.taken += 1;
                    let collected = u32::try_from(collected).unwrap_or(u32::MAX);
                    done.collected = done.collected.saturating_add(collected);
                    done.finished += u32::from(finished);
                }
            }
        }
        Ok(done)
    }
}
