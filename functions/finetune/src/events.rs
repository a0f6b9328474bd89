//! `GET /api/v1/finetune/{id}/events`

use crate::FinetuneRead;
use crate::provider::{Provider, job, of_job, unasked};
use bytes::Bytes;
use futures::channel::mpsc::{Sender, channel};
use futures::{SinkExt, StreamExt};
use nodeai_app::{Caller, PathId};
use nodeai_finetune::provider::{Event, Step};
use nodeai_http::Problem;
use nodeai_http::reply::{EventStream, event_stream, sse_keep_alive};
use serde_json::{Value, json};

/// Events that may wait for the client.
const WAITING: usize = 16;
/// Time between two looks, ms: providers count them.
const PERIOD_MS: u64 = 3_000;
/// Looks in a row that may fail before the stream ends; the client resumes then.
const PATIENCE: u32 = 10;
/// Pages of events of one look: a hundred each.
const PAGES: u32 = 20;

/// What happens to a job, from its beginning, while it is at work: `event` with `{id, at_s, level, message, data}`, `status` with the job
/// when that changes, and `finished` at its end. `Last-Event-ID` goes on behind that event. A provider that is busy is asked again.
pub async fn handle(
    caller: Caller<FinetuneRead>,
    PathId(id): PathId,
) -> Result<EventStream, Problem> {
    let last = caller.cx.header("last-event-id").map(str::to_owned);
    let stored = job(&caller, &id).await?;
    let (provider, there) = of_job(&caller, &stored).await?;
    let env = caller.cx.env().clone();
    let (sender, receiver) = channel::<Bytes>(WAITING);
    let mut follow = Follow {
        provider,
        id,
        there,
        last,
        status: String::new(),
        client: sender,
    };
    let host = env.clone();
    env.spawn(Box::pin(async move {
        let mut failures = 0;
        loop {
            match follow.look().await {
                Ok(true) | Err(Quit::Gone) => return,
                Ok(false) => failures = 0,
                Err(Quit::Failed) if failures < PATIENCE => failures += 1,
                Err(Quit::Failed) => return,
            }
            host.sleep_ms(PERIOD_MS).await;
        }
    }));
    Ok(EventStream(event_stream(receiver.boxed())))
}

/// Why a look has no result.
enum Quit {
    /// The client has gone.
    Gone,
    /// The provider did not answer well.
    Failed,
}

struct Follow {
    provider: Provider,
    id: String,
    there: String,
    last: Option<String>,
    status: String,
    client: Sender<Bytes>,
}

impl Follow {
    /// Tells what is new. Whether the job has ended.
    async fn look(&mut self) -> Result<bool, Quit> {
        // The job before its events: of one that has ended all of them are there.
        let failed = |_: Problem| Quit::Failed;
        let answer = self.provider.step(Step::Get, &self.there, None).await;
        let job = self
            .provider
            .keep_job(&self.id, &answer.map_err(failed)?)
            .await
            .map_err(failed)?;
        for event in self.news().await.map_err(failed)? {
            self.tell(Some(&event.id), "event", &json!(event)).await?;
            self.last = Some(event.id);
        }
        if job.status != self.status {
            self.status.clone_from(&job.status);
            let name = if job.ended() { "finished" } else { "status" };
            self.tell(None, name, &json!(job)).await?;
        } else {
            let alive = self.client.send(sse_keep_alive()).await;
            alive.map_err(|_| Quit::Gone)?;
        }
        Ok(job.ended())
    }

    /// Events behind the last one that was told, oldest first.
    async fn news(&self) -> Result<Vec<Event>, Problem> {
        let place = &self.provider.place;
        let mut all: Vec<Event> = Vec::new();
        for _ in 0..PAGES {
            // Pages go back in time, each of them oldest first.
            let oldest = all.first().map(|event| event.id.clone());
            let answer = self
                .provider
                .step(Step::Events, &self.there, oldest.as_deref())
                .await?;
            let mut page = place.read_events(&answer).map_err(unasked)?;
            let more =
                place.dialect.pages_events() && answer["has_more"] == true && !page.is_empty();
            let known = self.last.as_ref();
            let seen = known.and_then(|last| page.iter().rposition(|event| event.id == *last));
            if let Some(at) = seen {
                page.drain(..=at);
            }
            page.append(&mut all);
            all = page;
            if seen.is_some() || !more {
                break;
            }
        }
        Ok(all)
    }

    async fn tell(&mut self, id: Option<&str>, name: &str, data: &Value) -> Result<(), Quit> {
        // A provider's id must not end the line.
        let id = id.filter(|id| !id.contains(['\n', '\r', '\0']));
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        let frame = format!("event: {name}\n{id}data: {data}\n\n");
        let told = self.client.send(Bytes::from(frame)).await;
        told.map_err(|_| Quit::Gone)
    }
}
