//! `POST /api/v1/workflows/execute/schedules`

use super::model::{Missed, Overlap, Schedule};
use super::{SchedulesWrite, rules};
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use nodeai_schedule::{Timetable, jitter_us};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A schedule to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleInput {
    /// 1 to 200 characters.
    name: String,
    /// The workflow that runs.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Its version; the current one at each run unless given.
    #[serde(default)]
    workflow_version: Option<i64>,
    /// The deployment that runs, in place of a workflow.
    #[serde(default)]
    deployment_id: Option<String>,
    /// Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    cron: String,
    /// The zone whose clocks the expression means, by its IANA name; `UTC` unless given.
    #[serde(default = "utc")]
    time_zone: String,
    /// Inputs of each run.
    #[serde(default)]
    inputs: Map<String, Value>,
    /// What becomes of missed instants: `run_once` unless given.
    #[serde(default)]
    missed: Missed,
    /// A run starts up to so much later, ms; up to an hour.
    #[serde(default)]
    jitter_ms: u32,
    /// What becomes of an instant while the run before has not ended: `allow` unless given.
    #[serde(default)]
    overlap: Overlap,
    /// Begins standing still.
    #[serde(default)]
    paused: bool,
    /// The first instant that counts, RFC 3339.
    #[serde(default)]
    starts_at: Option<String>,
    /// The last instant that counts, RFC 3339.
    #[serde(default)]
    ends_at: Option<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Check for ScheduleInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        rules::target(
            c,
            self.workflow_id.as_deref(),
            self.workflow_version,
            self.deployment_id.as_deref(),
        );
        rules::timing(c, Some(&self.cron), Some(&self.time_zone));
        rules::bounds(c, self.starts_at.as_deref(), self.ends_at.as_deref());
        rules::jitter(c, Some(self.jitter_ms));
    }
}

impl ScheduleInput {
    /// The first instant behind `now_us`; none when all of them are in the past.
    fn first(&self, now_us: i64) -> Option<i64> {
        let us = |text: &Option<String>| text.as_deref().and_then(clock::parse_rfc3339);
        let table = Timetable::parse(&self.cron, &self.time_zone).ok()?;
        let table = table.within(us(&self.starts_at), us(&self.ends_at));
        table.after(now_us)
    }
}

/// Makes a schedule. Runs act as whoever makes it.
pub async fn handle(
    caller: Caller<SchedulesWrite>,
    Valid(input): Valid<ScheduleInput>,
) -> Result<Created<Schedule>, Problem> {
    let id = clock::new_id();
    let first = input.first(clock::now_us());
    let fires = first.map(|at| at.saturating_add(jitter_us(&id, at, input.jitter_ms)));
    let row = json!({"name": input.name, "workflow_id": input.workflow_id, "workflow_version": input.workflow_version,
        "deployment_id": input.deployment_id, "cron": input.cron, "time_zone": input.time_zone, "inputs": input.inputs,
        "missed": input.missed, "jitter_ms": input.jitter_ms, "overlap": input.overlap, "paused": input.paused,
        "starts_at": input.starts_at, "ends_at": input.ends_at, "next_scheduled_at": first.map(clock::rfc3339),
        "next_at": fires.map(clock::rfc3339)});
    let location = format!("/api/v1/workflows/execute/schedules/{id}");
    let args = json!({"id": id, "row": row});
    let command = Command::named("schedule_create", "schedule", &id, args)
        .audit("schedule.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
