//! A run's events from its log: what has happened, and what happens, whoever runs it. Token deltas are not among them:
//! the log keeps whole answers.

use crate::model::{RunResult, Stored};
use crate::stream::Events;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::channel;
use nodeai_app::{Caller, Cx, Scope, store_problem};
use nodeai_engine::Event;
use nodeai_http::IntoReply;
use nodeai_http::Problem;
use nodeai_http::reply::{NoContent, Response, event_stream, sse_keep_alive};
use nodeai_runner::{Closed, Sink, told};
use nodeai_store::Store;
use nodeai_travel::Recording;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::rc::Rc;

/// Events that may wait for the client.
const WAITING: usize = 16;
/// Time between two looks at the log, ms.
const PERIOD_MS: u64 = 300;
/// Looks without news after which the client is told that all is well.
const QUIET_LOOKS: u32 = 50;

/// Who looks at a run's log.
pub trait Watcher: 'static {
    /// The request.
    fn cx(&self) -> &Rc<Cx>;
    /// The run's organisation.
    fn org_id(&self) -> &str;
    /// Calls `run_events`, and keeps no connection. Errors: 503 when the store stays away.
    fn look(&self, args: &Value) -> impl Future<Output = Result<Option<Found>, Problem>>;
}

impl<S: Scope> Watcher for Caller<S> {
    fn cx(&self) -> &Rc<Cx> {
        &self.cx
    }

    fn org_id(&self) -> &str {
        Caller::org_id(self)
    }

    async fn look(&self, args: &Value) -> Result<Option<Found>, Problem> {
        let found = self.call("run_events", args).await;
        self.session.release();
        found
    }
}

/// The application itself, for a run that it has started for somebody who has no session: whoever sent a webhook's request.
pub struct Starter {
    /// The request.
    pub cx: Rc<Cx>,
    /// The store.
    pub store: Store,
    /// The run's organisation.
    pub org_id: String,
}

impl Watcher for Starter {
    fn cx(&self) -> &Rc<Cx> {
        &self.cx
    }

    fn org_id(&self) -> &str {
        &self.org_id
    }

    async fn look(&self, args: &Value) -> Result<Option<Found>, Problem> {
        let found = self.store.call_service("run_events", args).await;
        found.map_err(store_problem)
    }
}

/// What `run_events` answers.
#[derive(Deserialize)]
pub struct Found {
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
pub async fn follow<W: Watcher>(
    watcher: W,
    execution_id: &str,
    last: Option<u64>,
) -> Result<Response, Problem> {
    let from_seq = last.map_or(0, |last| last.saturating_add(1));
    let mut look = Look {
        watcher,
        execution_id: execution_id.to_owned(),
        from_seq,
        types: None,
    };
    let first = look.news().await?;
    if first.execution.ended() && first.events.is_empty() && from_seq > 0 {
        return Ok(NoContent.into_reply());
    }
    let (sender, receiver) = channel::<Bytes>(WAITING);
    let env = look.watcher.cx().env().clone();
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

struct Look<W> {
    watcher: W,
    execution_id: String,
    from_seq: u64,
    /// Types of the document's nodes by id; asked for once.
    types: Option<HashMap<String, String>>,
}

impl<W: Watcher> Look<W> {
    async fn news(&mut self) -> Result<News, Problem> {
        let args = json!({"id": self.execution_id, "org_id": self.watcher.org_id(), "from_seq": self.from_seq,
            "document": self.types.is_none()});
        let found = self.watcher.look(&args).await?;
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
                self.watcher.cx().env().sleep_ms(PERIOD_MS).await;
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
