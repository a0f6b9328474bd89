//! `GET /api/v1/traces/tail`: new traces as they are stored.

use crate::TracesRead;
use crate::list::ListQuery;
use crate::search::{Search, shown};
use futures::channel::mpsc::{Sender, channel};
use futures::{SinkExt, StreamExt};
use nodeai_app::{Caller, Query};
use nodeai_http::Problem;
use nodeai_http::reply::{EventStream, event_stream, sse_event, sse_keep_alive};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Time between two looks, ms.
const PERIOD_MS: u64 = 1_000;
/// A stream's life, looks: a quarter of an hour. Clients of server-sent events come back by themselves.
const LOOKS: u32 = 900;
/// Most traces of one statement; a look takes as many as there is news for.
const MOST: u32 = 200;
/// How far a look goes back before the one before it, µs: what is stored shows when its transaction ends, under the time at
/// which that began.
const BACK_US: i64 = 15_000_000;
/// Looks without news after which the client is told that all is well.
const QUIET: u32 = 15;

/// What `traces_stored` answers.
#[derive(Deserialize)]
struct Stored {
    traces: Vec<Value>,
    next: Option<Value>,
    now_us: i64,
}

/// Sends each trace once, when spans of it are stored and the filter holds, whenever it has begun: what was there before the
/// answer's first byte is no news, what comes after it is.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<ListQuery>,
) -> Result<EventStream, Problem> {
    let mut tail = Tail::from_now(&caller, query.search()?).await?;
    let (mut sender, receiver) = channel(16);
    let env = caller.cx.env().clone();
    let ticking = env.clone();
    env.spawn(Box::pin(async move {
        let mut alive = sender.send(sse_keep_alive()).await.is_ok();
        let mut quiet = 0;
        for _ in 0..LOOKS {
            let sent = match alive {
                true => tail.look(&caller, &mut sender).await,
                false => None,
            };
            caller.session.release();
            let Some(sent) = sent else { return };
            quiet = if sent == 0 { quiet + 1 } else { 0 };
            alive = quiet < QUIET || sender.send(sse_keep_alive()).await.is_ok();
            quiet %= QUIET;
            ticking.sleep_ms(PERIOD_MS).await;
        }
    }));
    Ok(EventStream(event_stream(receiver.boxed())))
}

struct Tail {
    search: Search,
    /// The store's time of the last whole look.
    at_us: i64,
    /// Ids that are no news, as numbers: there may be many.
    known: HashSet<u128>,
}

impl Tail {
    async fn from_now(caller: &Caller<TracesRead>, search: Search) -> Result<Self, Problem> {
        let now: Stored = caller.call("traces_stored", &json!({})).await?;
        let mut tail = Self {
            search,
            at_us: now.now_us,
            known: HashSet::new(),
        };
        let mut after = None;
        loop {
            let page = tail.page(caller, after).await?;
            let ids = page.traces.iter().filter_map(id_of);
            tail.known.extend(ids);
            after = page.next;
            if after.is_none() {
                caller.session.release();
                return Ok(tail);
            }
        }
    }

    async fn page(
        &self,
        caller: &Caller<TracesRead>,
        after: Option<Value>,
    ) -> Result<Stored, Problem> {
        let args = json!({"org_id": caller.org_id(), "terms": self.search.terms, "from_us": self.search.from_us,
            "to_us": self.search.to_us, "since_us": self.at_us - BACK_US, "after": after, "limit": MOST});
        caller.call("traces_stored", &args).await
    }

    /// How many were sent; `None` when the client has gone. A look that failed is made up for by the next one.
    async fn look(
        &mut self,
        caller: &Caller<TracesRead>,
        sender: &mut Sender<bytes::Bytes>,
    ) -> Option<usize> {
        let mut sent = 0;
        let mut looked_us = None;
        let mut after = None;
        loop {
            let Ok(page) = self.page(caller, after).await else {
                return Some(sent);
            };
            for found in page.traces {
                let fresh = id_of(&found).is_some_and(|id| self.known.insert(id));
                if let Some(trace) = Some(found).filter(|_| fresh).and_then(shown) {
                    let event = sse_event("trace", None, &json!(trace));
                    sender.send(event).await.ok()?;
                    sent += 1;
                }
            }
            let at_us = *looked_us.get_or_insert(page.now_us);
            after = page.next;
            if after.is_none() {
                self.at_us = at_us;
                return Some(sent);
            }
        }
    }
}

fn id_of(trace: &Value) -> Option<u128> {
    u128::from_str_radix(trace["trace_id"].as_str()?, 16).ok()
}
