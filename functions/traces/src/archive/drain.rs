//! `POST /api/v1/traces/archives/drain`

use super::writer::Writer;
use crate::TracesRun;
use nodeai_app::errors::log;
use nodeai_app::{DrainRequest, Drainer, Valid, clock, store_problem};
use nodeai_http::{Problem, reply::Json};
use nodeai_objects::{Objects, Stores};
use nodeai_store::Store;
use nodeai_telemetry::{Attributes, Span, otlp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::rc::Rc;

/// Spans of one statement, and of one line.
const PAGE: usize = 1_000;
/// How long a day counts as somebody's without a sign of life, µs.
const LEASE_US: i64 = 120_000_000;

/// What was kept.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Drained {
    /// Days of organisations that are kept now.
    days: u32,
    /// Their spans.
    spans: u64,
    /// Days that could not be kept now; retention waits for them.
    failed: u32,
    /// `off` (nothing is kept here: `nodeai_archive` is not set), `nothing` or `more`.
    left: &'static str,
}

#[derive(Deserialize)]
struct Claimed {
    id: String,
    lease_token: i64,
    object_key: String,
}

#[derive(Deserialize)]
struct Spans {
    spans: Vec<Span>,
}

/// Keeps the days that retention is about to remove, the oldest first.
pub async fn handle(
    drainer: Drainer<TracesRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Drained>, Problem> {
    drainer.release();
    let cx = drainer.cx();
    let name = cx.env().get("nodeai_archive").await.unwrap_or_default();
    let mut done = Drained::default();
    if name.is_empty() {
        done.left = "off";
        return Ok(Json::ok(done));
    }
    let keeper = Keeper {
        objects: Stores::read(cx.env()).await.named(&name)?,
        store: cx.store()?,
    };
    let until_us = request.until_us();
    done.left = "more";
    while done.days + done.failed < request.most() && clock::now_us() < until_us {
        let ask = json!({"org_id": drainer.org_id(), "backend": name, "lease_us": LEASE_US});
        let claimed = keeper.store.call_service("archive_claim", &ask).await;
        let Some(day): Option<Claimed> = claimed.map_err(store_problem)? else {
            done.left = "nothing";
            break;
        };
        match keeper.keep(&day).await? {
            Some(spans) => {
                done.days += 1;
                done.spans += spans;
            }
            None => done.failed += 1,
        }
    }
    Ok(Json::ok(done))
}

struct Keeper {
    objects: Rc<dyn Objects>,
    store: Store,
}

impl Keeper {
    /// Writes one day; how many spans it has, or none when it is not kept. Errors: 503 when the database stays away.
    async fn keep(&self, day: &Claimed) -> Result<Option<u64>, Problem> {
        let mut writer = Writer::new(self.objects.clone(), &day.object_key);
        let (mut after, mut spans) = (None, 0);
        loop {
            let ask = json!({"id": day.id, "lease_token": day.lease_token, "lease_us": LEASE_US, "after": after,
                "most": PAGE});
            let page = self.store.call_service("archive_read", &ask).await;
            let Some(page): Option<Spans> = page.map_err(store_problem)? else {
                return Ok(None);
            };
            spans += page.spans.len() as u64;
            after = page
                .spans
                .last()
                .map(|span| [span.trace_id.to_string(), span.span_id.to_string()]);
            if !page.spans.is_empty() {
                let line = format!("{}\n", otlp::to_json(&page.spans, &Attributes::new()));
                if let Err(fault) = writer.write(line.as_bytes()).await {
                    log("archive", &format!("{}: {fault:?}", day.object_key));
                    return Ok(None);
                }
            }
            if page.spans.len() < PAGE {
                break;
            }
        }
        let written = match writer.finish().await {
            Ok(written) => written,
            Err(fault) => {
                log("archive", &format!("{}: {fault:?}", day.object_key));
                return Ok(None);
            }
        };
        let told = json!({"id": day.id, "lease_token": day.lease_token, "spans": spans,
            "size_bytes": written.size_bytes, "sha256": written.sha256});
        let kept = self.store.call_service("archive_finish", &told).await;
        let kept: bool = kept.map_err(store_problem)?;
        Ok(kept.then_some(spans))
    }
}
