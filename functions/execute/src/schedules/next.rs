//! `GET /api/v1/workflows/execute/schedules/{id}/next`, `POST …/preview`: instants to come.

use super::{SchedulesRead, get, rules};
use nodeai_app::{Caller, PathId, Query, Valid, clock};
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_schedule::Timetable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most instants at once.
const MOST: usize = 100;

/// An instant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Instant {
    /// RFC 3339, UTC.
    at: String,
    /// What the zone's clocks show then, RFC 3339.
    local: String,
}

/// Instants to come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Instants {
    /// The expression in words, English.
    description: String,
    /// The next instants by the expression; jitter is not in them. Empty when there is none, or the schedule is paused.
    data: Vec<Instant>,
}

impl Instants {
    fn of(table: &Timetable, from_us: i64, count: usize) -> Self {
        let instants = table.next(from_us, count).into_iter();
        Self {
            description: table.describe(),
            data: instants
                .map(|us| Instant {
                    at: clock::rfc3339(us),
                    local: table.local(us),
                })
                .collect(),
        }
    }
}

/// How many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextQuery {
    /// 1 to 100, 10 unless given.
    count: Option<usize>,
}

/// The next instants of a schedule.
pub async fn handle(
    caller: Caller<SchedulesRead>,
    PathId(id): PathId,
    Query(query): Query<NextQuery>,
) -> Result<Json<Instants>, Problem> {
    let count = query.count.unwrap_or(10);
    if !(1..=MOST).contains(&count) {
        let error = FieldError::parameter("count", "range", "must be from 1 to 100");
        return Err(Problem::fields(vec![error]));
    }
    let schedule = get::find(&caller, id).await?;
    let table = schedule.table();
    let table = table.map_err(|error| Problem::conflict(error.to_string()))?;
    let count = if schedule.paused { 0 } else { count };
    Ok(Json::ok(Instants::of(&table, clock::now_us(), count)))
}

/// An expression to be looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Minute, hour, day of month, month, day of week.
    cron: String,
    /// The zone whose clocks the expression means; `UTC` unless given.
    #[serde(default)]
    time_zone: Option<String>,
    /// Instants behind this time, RFC 3339; behind now unless given.
    #[serde(default)]
    from: Option<String>,
    /// 1 to 100, 10 unless given.
    #[serde(default)]
    count: Option<usize>,
}

impl Check for Preview {
    fn check(&self, c: &mut Checker) {
        rules::timing(c, Some(&self.cron), self.time_zone.as_deref());
        let from = self.from.as_deref().map(clock::parse_rfc3339);
        let detail = "must be a time in RFC 3339";
        c.require(from != Some(None), "/from", "format", detail);
        let count = self.count.is_none_or(|n| (1..=MOST).contains(&n));
        c.require(count, "/count", "range", "must be from 1 to 100");
    }
}

/// The instants of an expression, without a schedule.
pub async fn preview(
    _caller: Caller<SchedulesRead>,
    Valid(input): Valid<Preview>,
) -> Result<Json<Instants>, Problem> {
    let zone = input.time_zone.as_deref().unwrap_or("UTC");
    let table = Timetable::parse(&input.cron, zone);
    let table = table.map_err(|error| Problem::invalid_input(error.to_string()))?;
    let from = input.from.as_deref().and_then(clock::parse_rfc3339);
    let from_us = from.unwrap_or_else(clock::now_us);
    let count = input.count.unwrap_or(10);
    Ok(Json::ok(Instants::of(&table, from_us, count)))
}
