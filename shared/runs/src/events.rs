//! A run's events from its log: what has happened, and what happens, whoever runs it. Token deltas are not among them:
//! the log keeps whole answers.

use crate::model::{RunResult, Stored};
use crate::stream::Events;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::channel;
use nodeai_app::{Caller, Scope};
use nodeai_engine::Event;
use nodeai_http::IntoReply;
use nodeai_http::Problem;
use nodeai_http::reply::{NoContent, Response, event_stream, sse_keep_alive};
use nodeai_runner::{Closed, Sink, told};
use nodeai_travel::Recording;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Events that may wait for the client.
const WAITING: usize = 16;
/// Time between two looks at the log, ms.
const PERIOD_MS: u64 = 300;
/// Looks without news after which the client is told that all is well.
const QUIET_LOOKS: u32 = 50;

#[derive(Deserialize)]
struct Found {
    execution: Stored,
    pieces: Vec<Value>,
    more: bool,
    #[serde(default)]
    definition: Option<Value>,
}

/// Streams the events of a run behind the one with the id `last`, until the run has ended. When there will be none, 204:
/// that is how a client is told not to come again (WHATWG HTML, section 9.2.3).
///
/// Errors: 404; 503 when the store stays away.
pub async fn follow<S: Scope>(
    caller: Caller<S>,
    execution_id: &str,
    last: Option<u64>,
) -> Result<Response, Problem> {
    let from_seq = last.map_or(0, |last| last.saturating_add(1));
    let mut look = Look {
        caller,
        execution_id: execution_id.to_owned(),
        from_seq,
        types: None,
    };
    let first = look.news().await?;
    if first.execution.ended() && first.events.is_empty() && from_seq > 0 {
        return Ok(NoContent.into_reply());
    }
    let (sender, receiver) = channel::<Bytes>(WAITING);
    let env = look.caller.cx.env().clone();
    env.spawn(Box::pin(async move {
        // The client has gone: nobody is left to tell.
        let _ = look.tell(first, &Events::new(sender)).await;
    }));
    Ok(event_stream(receiver.boxed()))
}

struct News {
    execution: Stored,
    events: Vec<Event>,
    more: bool,
}

struct Look<S> {
    caller: Caller<S>,
    execution_id: String,
    from_seq: u64,
    /// Types of the document's nodes by id; asked for once.
    types: Option<HashMap<String, String>>,
}

impl<S: Scope> Look<S> {
    async fn news(&mut self) -> Result<News, Problem> {
        let args = json!({"id": self.execution_id, "org_id": self.caller.org_id(), "from_seq": self.from_seq,
            "document": self.types.is_none()});
        let found: Option<Found> = self.caller.call("run_events", &args).await?;
        self.caller.session.release();
        let found = found.ok_or_else(|| Problem::not_found("there is no such run"))?;
        let types = || types_of(found.definition);
        self.types.get_or_insert_with(types);
        let recording = Recording::read(found.pieces)
            .map_err(|unreadable| Problem::internal(unreadable.to_string()))?;
        Ok(News {
            execution: found.execution,
            events: recording.events().to_vec(),
            more: found.more,
        })
    }

    async fn tell(&mut self, first: News, client: &Events) -> Result<(), Closed> {
        let mut news = first;
        let mut quiet = 0;
        // The client learns at once that it is heard.
        client.write(sse_keep_alive()).await?;
        loop {
            quiet = if news.events.is_empty() { quiet + 1 } else { 0 };
            self.hand_on(&news.events, client).await?;
            if news.execution.ended() && !news.more {
                let end = Some(self.from_seq);
                let result: RunResult = news.execution.result();
                client.last("run_finished", end, &result).await;
                return Ok(());
            }
            if !news.more {
                if quiet % QUIET_LOOKS == QUIET_LOOKS - 1 {
                    client.write(sse_keep_alive()).await?;
                }
                self.caller.cx.env().sleep_ms(PERIOD_MS).await;
            }
            match self.news().await {
                Ok(next) => news = next,
                Err(problem) => {
                    client.last("error", None, &problem).await;
                    return Ok(());
                }
            }
        }
    }

    async fn hand_on(&mut self, events: &[Event], client: &Events) -> Result<(), Closed> {
        let types = self.types.take().unwrap_or_default();
        let told = told(events, &|node| types.get(last_step(node)).cloned());
        self.types = Some(types);
        for (seq, live) in told {
            // A segment of the log comes whole.
            if seq >= self.from_seq {
                client.send(Some(seq), live).await?;
            }
        }
        if let Some(last) = events.last() {
            self.from_seq = self.from_seq.max(last.seq + 1);
        }
        Ok(())
    }
}

/// The node at the end of a way such as `each[2]/fetch`.
fn last_step(way: &str) -> &str {
    way.rsplit('/').next().unwrap_or(way)
}

fn types_of(definition: Option<Value>) -> HashMap<String, String> {
    let definition = definition.unwrap_or_default();
    let nodes = definition["nodes"].as_array().into_iter().flatten();
    let types = nodes.filter_map(|node| {
        let text = |name: &str| node[name].as_str().map(str::to_owned);
        Some((text("id")?, text("type")?))
    });
    types.collect()
}
