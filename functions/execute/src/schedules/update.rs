//! `PATCH /api/v1/workflows/execute/schedules/{id}`

use super::model::{Missed, Overlap, Schedule};
use super::{SchedulesWrite, rules};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid, clock};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulePatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The workflow that runs, in place of what ran before.
    #[serde(default, skip_serializing)]
    workflow_id: Option<String>,
    /// Its version; goes with `workflow_id`.
    #[serde(default, skip_serializing)]
    workflow_version: Option<i64>,
    /// The deployment that runs, in place of what ran before.
    #[serde(default, skip_serializing)]
    deployment_id: Option<String>,
    /// Minute, hour, day of month, month, day of week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    /// The zone whose clocks the expression means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// Inputs of each run, in place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<Map<String, Value>>,
    /// What becomes of missed instants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missed: Option<Missed>,
    /// A run starts up to so much later, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jitter_ms: Option<u32>,
    /// What becomes of an instant while the run before has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlap: Option<Overlap>,
    /// Stands still, or goes on: from now on, since what comes meanwhile is not missed. Whoever resumes it is who its runs
    /// act as from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    /// The first instant that counts, RFC 3339; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    starts_at: Option<Option<String>>,
    /// The last instant that counts, RFC 3339; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    ends_at: Option<Option<String>>,
}

impl Check for SchedulePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if self.changes_target() {
            rules::target(
                c,
                self.workflow_id.as_deref(),
                self.workflow_version,
                self.deployment_id.as_deref(),
            );
        }
        rules::timing(c, self.cron.as_deref(), self.time_zone.as_deref());
        let starts = self.starts_at.iter().flatten().next();
        let ends = self.ends_at.iter().flatten().next();
        rules::bounds(c, starts.map(String::as_str), ends.map(String::as_str));
        rules::jitter(c, self.jitter_ms);
    }
}

impl SchedulePatch {
    fn changes_target(&self) -> bool {
        self.workflow_id.is_some()
            || self.workflow_version.is_some()
            || self.deployment_id.is_some()
    }

    fn changes_timing(&self) -> bool {
        self.cron.is_some()
            || self.time_zone.is_some()
            || self.jitter_ms.is_some()
            || self.paused.is_some()
            || self.starts_at.is_some()
            || self.ends_at.is_some()
    }

    fn row(&self, now_us: i64) -> Value {
        let mut row = json!(self);
        if self.changes_target() {
            row["workflow_id"] = json!(self.workflow_id);
            row["workflow_version"] = json!(self.workflow_version);
            row["deployment_id"] = json!(self.deployment_id);
        }
        if self.paused.is_some() {
            row["paused_reason"] = Value::Null;
        }
        if self.changes_timing() {
            // Due at once and for no instant: the next look works out which one comes next.
            row["next_scheduled_at"] = Value::Null;
            row["next_at"] = json!(clock::rfc3339(now_us));
        }
        row
    }
}

/// Changes, pauses or resumes a schedule.
pub async fn handle(
    caller: Caller<SchedulesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<SchedulePatch>,
) -> Result<Reply<Schedule>, Problem> {
    let row = patch.row(clock::now_us());
    let args = json!({"id": id, "expect_version": expected, "row": row});
    let command = Command::named("schedule_update", "schedule", &id, args)
        .audit("schedule.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(patch: Value) -> Value {
        let patch: SchedulePatch = serde_json::from_value(patch).unwrap();
        patch.row(0)
    }

    #[test]
    fn a_change_of_timing_has_the_next_instant_worked_out_anew() {
        let now = "1970-01-01T00:00:00+00:00";
        let changed = row(json!({"cron": "0 9 * * *"}));
        let want = json!({"cron": "0 9 * * *", "next_scheduled_at": null, "next_at": now});
        assert_eq!(changed, want);
        assert_eq!(row(json!({"name": "n"})), json!({"name": "n"}));
        assert_eq!(row(json!({"ends_at": null}))["ends_at"], Value::Null);
        assert_eq!(row(json!({"paused": false}))["paused_reason"], Value::Null);
    }

    #[test]
    fn another_target_takes_the_place_of_the_one_before() {
        let id = "01900000-0000-7000-8000-000000000000";
        let want = json!({"workflow_id": null, "workflow_version": null, "deployment_id": id});
        assert_eq!(row(json!({"deployment_id": id})), want);
    }
}
