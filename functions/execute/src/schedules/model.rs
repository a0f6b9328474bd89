//! Schedules as the API shows them.

use nodeai_app::clock;
use nodeai_schedule::{Error, Timetable};
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Schedules.
    schedules {
        id: Uuid, name: Text, workflow_id: Uuid, workflow_version: Int, deployment_id: Uuid, cron: Text, time_zone: Text,
        inputs: Json, missed: Text, jitter_ms: Int, overlap: Text, paused: Bool, paused_reason: Text, starts_at: Time,
        ends_at: Time, owner_id: Uuid, owner_key_id: Uuid, next_scheduled_at: Time, last_at: Time, last_execution_id: Uuid,
        failures: Int, version: Int, created_at: Time, updated_at: Time,
    }
}

use schedules as col;

/// What is shown of a schedule.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::workflow_id,
    col::workflow_version,
    col::deployment_id,
    col::cron,
    col::time_zone,
    col::inputs,
    col::missed,
    col::jitter_ms,
    col::overlap,
    col::paused,
    col::paused_reason,
    col::starts_at,
    col::ends_at,
    col::owner_id,
    col::owner_key_id,
    col::next_scheduled_at,
    col::last_at,
    col::last_execution_id,
    col::failures,
    col::version,
    col::created_at,
    col::updated_at,
];

/// What becomes of instants that nobody was there for, five minutes late or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// The newest runs, for all of them.
    #[default]
    RunOnce,
    /// Each runs, the newest 100 of them.
    RunAll,
}

impl From<Missed> for nodeai_schedule::Missed {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Skip => Self::Skip,
            Missed::RunOnce => Self::RunOnce,
            Missed::RunAll => Self::RunAll,
        }
    }
}

/// What becomes of an instant while the run before has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It runs beside it.
    #[default]
    Allow,
    /// It does not run.
    Skip,
    /// It runs after it.
    Queue,
}

/// Runs that start by the clock.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// The workflow that runs.
    pub workflow_id: Option<String>,
    /// Its version; the current one when null.
    pub workflow_version: Option<i64>,
    /// The deployment that runs, in place of a workflow.
    pub deployment_id: Option<String>,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The zone whose clocks the expression means.
    pub time_zone: String,
    /// Inputs of each run.
    pub inputs: Map<String, Value>,
    /// What becomes of missed instants.
    pub missed: Missed,
    /// A run starts up to so much later, ms: for each instant always the same.
    pub jitter_ms: u32,
    /// What becomes of an instant while the run before has not ended.
    pub overlap: Overlap,
    /// Whether it stands still.
    pub paused: bool,
    /// Why, when nobody paused it by hand.
    pub paused_reason: Option<String>,
    /// The first instant that counts, RFC 3339.
    pub starts_at: Option<String>,
    /// The last instant that counts, RFC 3339.
    pub ends_at: Option<String>,
    /// The user as whom runs act: who said last what runs, or resumed it last.
    pub owner_id: Option<String>,
    /// The API key that they did it with: its scopes bound what runs may do, and with it the schedule ends.
    pub owner_key_id: Option<String>,
    /// The next instant by the expression, RFC 3339; null when there is none, or while it is worked out after a change.
    pub next_scheduled_at: Option<String>,
    /// When it started a run last, RFC 3339.
    pub last_at: Option<String>,
    /// That run.
    pub last_execution_id: Option<String>,
    /// How many of the runs that ended last failed, in a row.
    pub failures: i64,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Schedule {
    /// Its instants.
    ///
    /// # Errors
    /// When what is stored cannot be read.
    pub fn table(&self) -> Result<Timetable, Error> {
        let us = |text: &Option<String>| text.as_deref().and_then(clock::parse_rfc3339);
        let table = Timetable::parse(&self.cron, &self.time_zone)?;
        Ok(table.within(us(&self.starts_at), us(&self.ends_at)))
    }

    /// The same as it is at `now_us`: after a change the store learns the next instant with the next look.
    pub fn at(mut self, now_us: i64) -> Self {
        if self.paused {
            self.next_scheduled_at = None;
        } else if self.next_scheduled_at.is_none() {
            let next = self.table().ok().and_then(|table| table.after(now_us));
            self.next_scheduled_at = next.map(clock::rfc3339);
        }
        self
    }
}
