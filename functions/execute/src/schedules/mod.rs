//! `/api/v1/workflows/execute/schedules`: runs that start by the clock.

pub mod create;
pub mod drain;
pub mod firings;
pub mod get;
pub mod list;
pub mod model;
pub mod next;
pub mod remove;
mod rules;
pub mod update;

nodeai_app::scope! {
    /// Read schedules, and what they started.
    SchedulesRead = "schedules:read";
    /// Make, change, pause and remove schedules.
    SchedulesWrite = "schedules:write";
    /// Start what is due.
    SchedulesRun = "schedules:run";
}
