//! `POST /api/v1/webhooks/drain`

use crate::WebhooksRun;
use crate::deliver::{Attempted, Delivery, deliver};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nodeai_app::errors::log;
use nodeai_app::{Cx, DrainRequest, Drainer, Valid, clock, store_problem};
use nodeai_guard::UrlGuard;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::Store;
use nodeai_webhook::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::rc::Rc;

/// Deliveries that one request works on at the same time.
const LANES: usize = 8;
/// How long a delivery is somebody's, µs: an attempt takes 15 seconds at most.
const LEASE_US: i64 = 60_000_000;

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Drained {
    /// Deliveries that were taken up.
    taken: u32,
    /// Of them, those that the receiver took.
    delivered: u32,
    /// Of them, those that are tried again later.
    retried: u32,
    /// Of them, those that are not.
    failed: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

impl Drained {
    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Delivered => self.delivered += 1,
            Verdict::Retry { .. } => self.retried += 1,
            Verdict::Exhausted | Verdict::Gone => self.failed += 1,
        }
    }
}

#[derive(Deserialize)]
struct Claimed {
    deliveries: Vec<Delivery>,
    due_us: Option<i64>,
}

/// What one request works with.
struct Work {
    cx: Rc<Cx>,
    store: Store,
    guard: UrlGuard,
    org_id: Option<String>,
}

/// Takes up deliveries that are due, eight at a time; a webhook with many of them waits for the others in between.
pub async fn handle(
    drainer: Drainer<WebhooksRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Drained>, Problem> {
    // What is drained opens connections of its own.
    drainer.release();
    let cx = drainer.cx().clone();
    let work = Work {
        store: cx.store()?,
        guard: UrlGuard::configured(&**cx.env()).await,
        org_id: drainer.org_id().map(str::to_owned),
        cx,
    };
    work.drain(&request).await.map(Json::ok)
}

impl Work {
    async fn drain(&self, request: &DrainRequest) -> Result<Drained, Problem> {
        let most = request.most();
        let time_us = request.time_ms().saturating_mul(1_000);
        let until_us = clock::now_us().saturating_add_unsigned(time_us);
        let mut done = Drained::default();
        let mut failed = None;
        let mut at_work = FuturesUnordered::new();
        loop {
            done.left = "more";
            let over = || failed.is_some() || clock::now_us() >= until_us;
            let room = (LANES - at_work.len()).min(most.saturating_sub(done.taken) as usize);
            if room > 0 && !over() {
                match self.claim(room).await {
                    // What is at work is not dropped for it: it would be sent once more.
                    Err(problem) => failed = Some(problem),
                    Ok(claimed) => {
                        if claimed.deliveries.len() < room {
                            done.left = "nothing";
                            done.due_at = claimed.due_us.map(clock::rfc3339);
                        }
                        done.taken += u32::try_from(claimed.deliveries.len()).unwrap_or(u32::MAX);
                        at_work.extend(claimed.deliveries.into_iter().map(|d| self.attempt(d)));
                    }
                }
            }
            match at_work.next().await {
                Some(verdict) => done.note(verdict),
                None => return failed.map_or(Ok(done), Err),
            }
        }
    }

    async fn claim(&self, most: usize) -> Result<Claimed, Problem> {
        let args = json!({"org_id": self.org_id, "most": most, "lease_us": LEASE_US});
        let claimed = self.store.call_service("webhooks_claim", &args).await;
        claimed.map_err(store_problem)
    }

    async fn attempt(&self, delivery: Delivery) -> Verdict {
        let Attempted { verdict, settle } = deliver(&self.cx, &self.guard, &delivery).await;
        let settled: Result<Value, _> = self.store.call_service("webhook_settle", &settle).await;
        // Its lease runs out, and it is sent once more under the same message id.
        if let Err(error) = settled {
            log("webhook_settle", &error.to_string());
        }
        verdict
    }
}
