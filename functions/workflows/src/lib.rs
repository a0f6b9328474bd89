//! Workflows: documents with versions.

mod create;
mod document;
mod get;
mod list;
mod model;
mod remove;
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
    nodeai_app::Routes::new("workflows", "/api/v1/workflows")
        .get("/", "Workflows, newest first", list::handle)
        .post("/", "Create a workflow", create::handle)
        .post(
            "/validate",
            "Check a definition without storing it",
            validate::handle,
        )
        .get("/{id}", "One workflow", get::handle)
        .put("/{id}", "Replace a workflow: a new version", update::handle)
        .delete("/{id}", "Delete a workflow", remove::handle)
}

nodeai_edge::serve!(routes);
