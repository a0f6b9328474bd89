//! Runs: execute a workflow, watch it as it goes, read it back, cancel it; schedules that start them; conversations that they
//! remember.

mod cancel;
mod diff;
mod drain;
mod events;
mod fork;
mod get;
mod list;
mod log;
mod memory;
mod model;
mod policies;
mod recording;
mod replay;
mod requeue;
mod resume;
mod retention;
mod run;
mod schedules;

nodeai_app::scope! {
    /// Run workflows, and cancel runs.
    WorkflowsRun = "workflows:run";
    /// Read runs.
    WorkflowsRead = "workflows:read";
    /// Say how long runs stay recorded.
    WorkflowsAdmin = "workflows:admin";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("workflows/execute", "/api/v1/workflows/execute")
        .post(
            "/",
            "Run a workflow: wait for its end, or stream its events",
            run::handle,
        )
        .get("/", "Runs, newest first", list::handle)
        .post("/drain", "Work on queued runs that are due", drain::handle)
        .get(
            "/schedules",
            "Schedules, newest first",
            schedules::list::handle,
        )
        .post(
            "/schedules",
            "Run a workflow by the clock",
            schedules::create::handle,
        )
        .post(
            "/schedules/preview",
            "The instants of a cron expression",
            schedules::next::preview,
        )
        .post(
            "/schedules/drain",
            "Start the runs of schedules that are due",
            schedules::drain::handle,
        )
        .get("/schedules/{id}", "One schedule", schedules::get::handle)
        .patch(
            "/schedules/{id}",
            "Change, pause or resume a schedule",
            schedules::update::handle,
        )
        .delete(
            "/schedules/{id}",
            "Remove a schedule",
            schedules::remove::handle,
        )
        .get(
            "/schedules/{id}/next",
            "A schedule's next instants",
            schedules::next::handle,
        )
        .get(
            "/schedules/{id}/firings",
            "What became of a schedule's instants, newest first",
            schedules::firings::handle,
        )
        .get(
            "/memory",
            "Conversations that models remember, newest first",
            memory::list::handle,
        )
        .get(
            "/memory/{id}",
            "One conversation with what was said",
            memory::get::handle,
        )
        .delete(
            "/memory/{id}",
            "Forget a conversation",
            memory::forget::handle,
        )
        .get("/{id}", "One run", get::handle)
        .post(
            "/{id}/drain",
            "Work on one queued run that is due",
            drain::one,
        )
        .get(
            "/{id}/events",
            "A run's events, from its log",
            events::handle,
        )
        .post(
            "/{id}/requeue",
            "Give a dead letter back to the queue",
            requeue::handle,
        )
        .get(
            "/retention",
            "How long the logs of runs are kept",
            retention::get,
        )
        .put(
            "/retention",
            "Say how long the logs of runs are kept",
            retention::put,
        )
        .get("/policies", "What runs are let do", policies::get)
        .put("/policies", "Say what runs are let do", policies::put)
        .get("/{id}/log", "The run's log, event by event", log::handle)
        .post(
            "/{id}/replay",
            "Run it again from its recording, without anything outside",
            replay::handle,
        )
        .post(
            "/{id}/fork",
            "Run it again from one of its nodes, with edits",
            fork::handle,
        )
        .get(
            "/{id}/diff",
            "What differs between two runs, step by step",
            diff::handle,
        )
        .post("/{id}/resume", "Answer a node that waits", resume::handle)
        .post("/{id}/cancel", "Cancel a run", cancel::handle)
}

nodeai_edge::serve!(routes);
