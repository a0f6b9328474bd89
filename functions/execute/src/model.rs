//! What the API takes to run.

use nodeai_http::{Check, Checker, FieldError};
use nodeai_runs::{BudgetInput, Mode, Queued, TraceInput};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What to run. Exactly one of `workflow_id` and `definition`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// A stored workflow (UUID).
    #[serde(default)]
    pub workflow_id: Option<String>,
    /// Its version; the current one unless given.
    #[serde(default)]
    pub version: Option<i64>,
    /// A definition that is not stored: `nodes` and `edges`.
    #[serde(default, deserialize_with = "as_stored")]
    pub definition: Option<Value>,
    /// Values for the input nodes.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Server-sent events as the run goes instead of one answer at its end. Of a run that is not async, the end of the
    /// connection is the end.
    #[serde(default)]
    pub stream: bool,
    /// What becomes of a streamed run whose client goes; it is cancelled unless given.
    #[serde(default)]
    pub on_disconnect: Option<OnDisconnect>,
    /// Leaves the run to the queue and answers 202 at once: it goes on whatever becomes of this connection or this host.
    #[serde(default, rename = "async")]
    pub detached: bool,
    /// How the queue treats an async run.
    #[serde(default)]
    pub queue: Option<QueueOptions>,
    /// What the run may cost; the lower of this and the definition's `settings.budget` counts.
    #[serde(default)]
    pub budget: Option<BudgetInput>,
    /// By what its trace is found and counted.
    #[serde(default)]
    pub trace: Option<TraceInput>,
}

/// What becomes of a streamed run whose client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It is cancelled at once; what it did until then is kept.
    Cancel,
    /// It goes on, as an async one does: its events come from its log, which `…/events` goes on with behind `Last-Event-ID`.
    /// Tokens are not among them.
    Continue,
}

/// How the queue treats a run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueOptions {
    /// From -100 to 100; of an organisation's runs those of higher priority begin first.
    #[serde(default)]
    pub priority: i32,
    /// Begins this many milliseconds from now at the earliest; up to 366 days.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Of the organisation's runs with the same key only so many run at once.
    #[serde(default)]
    pub concurrency: Option<Concurrency>,
}

/// A key that runs share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// At most 255 characters.
    pub key: String,
    /// How many run at once, 1 unless given; up to 1,000.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Longest delay, ms.
const MOST_DELAY_MS: u64 = 366 * 24 * 3_600_000;

impl RunRequest {
    /// How the run is answered.
    pub fn mode(&self, now_us: i64) -> Mode {
        if !self.outlives_its_client() {
            return if self.stream {
                Mode::Stream
            } else {
                Mode::Sync
            };
        }
        let options = self.queue.clone().unwrap_or_default();
        let (key, limit) = options.concurrency.map(|c| (c.key, c.limit)).unzip();
        let delay_us = options.delay_ms.map(|ms| ms.saturating_mul(1_000));
        Mode::Queued(Queued {
            priority: options.priority,
            concurrency_key: key,
            concurrency_limit: limit.flatten(),
            run_after_us: delay_us.map(|us| now_us.saturating_add_unsigned(us)),
            follow: self.stream,
        })
    }

    /// Whether the queue has it.
    fn outlives_its_client(&self) -> bool {
        self.detached || self.stream && self.on_disconnect == Some(OnDisconnect::Continue)
    }

    fn check_disconnect(&self, c: &mut Checker) {
        let Some(wanted) = self.on_disconnect else {
            return;
        };
        let goes = "goes with stream: true";
        c.require(self.stream, "/on_disconnect", "not_allowed", goes);
        let holds = !self.detached || wanted == OnDisconnect::Continue;
        let detail = "an async run goes on whatever becomes of its client";
        c.require(holds, "/on_disconnect", "not_allowed", detail);
    }

    fn check_queue(&self, c: &mut Checker) {
        let Some(options) = &self.queue else { return };
        let goes = "goes with async: true, or with on_disconnect: continue";
        c.require(self.outlives_its_client(), "/queue", "not_allowed", goes);
        let priority = (-100..=100).contains(&options.priority);
        let range = "must be from -100 to 100";
        c.require(priority, "/queue/priority", "range", range);
        let delay = options.delay_ms.is_none_or(|ms| ms <= MOST_DELAY_MS);
        c.require(
            delay,
            "/queue/delay_ms",
            "range",
            "must be at most 366 days",
        );
        if let Some(concurrency) = &options.concurrency {
            c.length(&concurrency.key, 1, 255, "/queue/concurrency/key");
            let limit = concurrency.limit.is_none_or(|n| (1..=1_000).contains(&n));
            let range = "must be from 1 to 1000";
            c.require(limit, "/queue/concurrency/limit", "range", range);
        }
    }
}

/// What comes with the request runs in the form in which the store keeps it: a replay runs that.
pub(crate) fn as_stored<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    let given: Option<Value> = Option::deserialize(from)?;
    Ok(given.map(nodeai_travel::as_stored))
}

impl Check for RunRequest {
    fn check(&self, c: &mut Checker) {
        let one = self.workflow_id.is_some() != self.definition.is_some();
        c.require(
            one,
            "/workflow_id",
            "one_of",
            "give either workflow_id or definition",
        );
        if let Some(id) = &self.workflow_id {
            let uuid = uuid::Uuid::parse_str(id).is_ok();
            c.require(uuid, "/workflow_id", "format", "must be a UUID");
        }
        let version = self
            .version
            .is_none_or(|v| v >= 1 && self.workflow_id.is_some());
        c.require(
            version,
            "/version",
            "range",
            "goes with workflow_id and starts at 1",
        );
        self.check_disconnect(c);
        self.check_queue(c);
        if let Some(budget) = &self.budget {
            budget.check(c);
        }
        if let Some(trace) = &self.trace {
            trace.check(c);
        }
        if let Some(definition) = &self.definition {
            for fault in nodeai_engine::validate(definition)
                .err()
                .unwrap_or_default()
            {
                let pointer = format!("/definition{}", fault.pointer);
                c.report(FieldError::body(pointer, &fault.code, fault.message));
            }
        }
    }
}
