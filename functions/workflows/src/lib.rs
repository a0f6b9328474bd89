//! Workflows: documents with versions, their library and their shares.

mod archive;
mod at;
mod create;
mod diff;
mod document;
mod duplicate;
mod egress;
mod folders;
mod get;
mod history;
mod list;
mod merge;
mod model;
mod page;
mod patch;
mod path;
mod remove;
mod restore;
mod save;
mod shares;
mod update;
mod validate;

nodeai_app::scope! {
    /// Read workflows.
    WorkflowsRead = "workflows:read";
    /// Change workflows.
    WorkflowsWrite = "workflows:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    let library = nodeai_app::Routes::new("workflows", "/api/v1/workflows")
        .get("/", "Workflows: search, filter, sort", list::handle)
        .post("/", "Create a workflow", create::handle)
        .post(
            "/validate",
            "Check a definition without storing it",
            validate::handle,
        )
        .get("/folders", "Folders with their counts", folders::handle)
        .get(
            "/shared",
            "What others share with the caller",
            shares::received::handle,
        )
        .get(
            "/shared/{token}",
            "What a link shows, without signing in",
            shares::link::handle,
        )
        .get("/{id}", "One workflow", get::handle)
        .put("/{id}", "Replace a workflow: a new version", update::handle)
        .patch(
            "/{id}",
            "Change name, description, tags or folder",
            patch::handle,
        )
        .delete("/{id}", "Delete a workflow", remove::handle);
    library
        .post("/{id}/duplicate", "Copy a workflow", duplicate::handle)
        .post(
            "/{id}/archive",
            "Put a workflow into the archive",
            archive::archive,
        )
        .post(
            "/{id}/unarchive",
            "Take a workflow out of the archive",
            archive::unarchive,
        )
        .get("/{id}/versions", "Versions, newest first", history::list)
        .get(
            "/{id}/versions/{number}",
            "One version with its document",
            history::one,
        )
        .post(
            "/{id}/versions/{number}/egress",
            "Confirm the hosts that a version may reach",
            egress::confirm,
        )
        .get(
            "/{id}/diff",
            "What happened between two versions",
            diff::handle,
        )
        .post("/{id}/merge", "Merge two sides three-way", merge::handle)
        .post(
            "/{id}/restore",
            "Make an old version the current one",
            restore::handle,
        )
        .get("/{id}/shares", "Shares of a workflow", shares::list::handle)
        .post(
            "/{id}/shares",
            "Share with a user or by link",
            shares::create::handle,
        )
        .patch(
            "/{id}/shares/{share_id}",
            "Change role or end of a share",
            shares::change::handle,
        )
        .delete(
            "/{id}/shares/{share_id}",
            "End a share",
            shares::remove::handle,
        )
}

nodeai_edge::serve!(routes);
