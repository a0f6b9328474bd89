//! `GET /api/v1/traces/tail`: new traces as they come.

use crate::TracesRead;
use crate::list::ListQuery;
use crate::search::{Search, page, shown};
use futures::channel::mpsc::{Sender, channel};
use futures::{SinkExt, StreamExt};
use nodeai_app::{Caller, Query, clock};
use nodeai_http::Problem;
use nodeai_http::reply::{EventStream, event_stream, sse_event, sse_keep_alive};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Time between two looks, ms.
const PERIOD_MS: u64 = 1_000;
/// A stream's life, looks: a quarter of an hour. Clients of server-sent events come back by themselves.
const LOOKS: u32 = 900;
/// Most traces of one look.
const MOST: u32 = 200;
/// How far back a look goes, µs: a trace is stored when it has ended, or a batch later.
const BACK_US: i64 = 120_000_000;
/// Looks without news after which the client is told that all is well.
const QUIET: u32 = 15;

/// Sends each trace once, when its first spans are stored and the filter holds.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<ListQuery>,
) -> Result<EventStream, Problem> {
    let search = query.search()?;
    let (mut sender, receiver) = channel(16);
    let env = caller.cx.env().clone();
    let ticking = env.clone();
    env.spawn(Box::pin(async move {
        let mut known = known(&caller, &search).await;
        let mut quiet = 0;
        for _ in 0..LOOKS {
            let sent = look(&caller, &search, &mut known, &mut sender).await;
            caller.session.release();
            quiet = if sent == Some(0) { quiet + 1 } else { 0 };
            let alive = quiet < QUIET || sender.send(sse_keep_alive()).await.is_ok();
            if sent.is_none() || !alive {
                return;
            }
            quiet %= QUIET;
            ticking.sleep_ms(PERIOD_MS).await;
        }
    }));
    Ok(EventStream(event_stream(receiver.boxed())))
}

/// The traces that were there before; they are no news.
async fn known(caller: &Caller<TracesRead>, search: &Search) -> HashSet<String> {
    let found = recent(caller, search).await.unwrap_or_default();
    found
        .iter()
        .filter_map(|trace| Some(trace["trace_id"].as_str()?.to_owned()))
        .collect()
}

async fn recent(caller: &Caller<TracesRead>, search: &Search) -> Option<Vec<Value>> {
    let search = Search {
        from_us: Some(clock::now_us() - BACK_US),
        ..search.clone()
    };
    Some(page(caller, &search, None, MOST).await.ok()?.traces)
}

/// How many were sent; `None` when the client has gone. A look that failed is made up for by the next one.
async fn look(
    caller: &Caller<TracesRead>,
    search: &Search,
    known: &mut HashSet<String>,
    sender: &mut Sender<bytes::Bytes>,
) -> Option<usize> {
    let found = recent(caller, search).await.unwrap_or_default();
    let mut sent = 0;
    for trace in found.into_iter().rev().filter_map(shown) {
        if known.insert(trace.trace_id.clone()) {
            sender
                .send(sse_event("trace", None, &json!(trace)))
                .await
                .ok()?;
            sent += 1;
        }
    }
    Some(sent)
}
