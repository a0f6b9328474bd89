//! Deployments: a version of a workflow behind a stable address, in each environment with variables and secrets of its
//! own; publish, promote, roll back, canary, pause.

mod canary;
mod create;
mod get;
mod history;
mod invoke;
mod list;
mod model;
mod pause;
mod promote;
mod publish;
mod remove;
mod rollback;
mod stats;
mod update;

nodeai_app::scope! {
    /// Read deployments, their history and statistics.
    DeploymentsRead = "deployments:read";
    /// Make and change deployments.
    DeploymentsWrite = "deployments:write";
    /// Run what is deployed.
    DeploymentsRun = "deployments:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("deployments", "/api/v1/deployments")
        .get("/", "Deployments, newest first", list::handle)
        .post("/", "Put a version behind a slug", create::handle)
        .get("/{id}", "One deployment", get::handle)
        .patch("/{id}", "Change its variables", update::handle)
        .delete(
            "/{id}",
            "Remove a deployment; its runs stay",
            remove::handle,
        )
        .post(
            "/{id}/invoke",
            "Run what is deployed; the id may be the slug",
            invoke::handle,
        )
        .post("/{id}/publish", "Run another version", publish::handle)
        .post(
            "/{id}/promote",
            "Run its version in a later environment",
            promote::handle,
        )
        .post(
            "/{id}/rollback",
            "Run the version from before again",
            rollback::handle,
        )
        .post(
            "/{id}/canary",
            "Give a share of the callers another version; 0 percent ends it",
            canary::handle,
        )
        .post("/{id}/pause", "Refuse runs until resumed", pause::pause)
        .post("/{id}/resume", "Take runs again", pause::resume)
        .get(
            "/{id}/history",
            "Its changes, newest first",
            history::handle,
        )
        .get(
            "/{id}/stats",
            "Runs, errors and durations, in all and by version",
            stats::handle,
        )
}

nodeai_edge::serve!(routes);
