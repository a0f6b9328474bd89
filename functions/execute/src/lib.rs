//! Runs: execute a workflow, watch it as it goes, read it back, cancel it.

mod cancel;
mod drain;
mod events;
mod get;
mod list;
mod model;
mod requeue;
mod resume;
mod run;

nodeai_app::scope! {
    /// Run workflows, and cancel runs.
    WorkflowsRun = "workflows:run";
    /// Read runs.
    WorkflowsRead = "workflows:read";
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
        .get("/{id}", "One run", get::handle)
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
        .post("/{id}/resume", "Answer a node that waits", resume::handle)
        .post("/{id}/cancel", "Cancel a run", cancel::handle)
}

nodeai_edge::serve!(routes);
