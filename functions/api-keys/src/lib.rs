//! API keys: shown once, stored as hashes, limited by scope, workflow, address and time.

mod create;
mod get;
mod list;
mod model;
mod revoke;
mod rotate;
mod rules;
mod update;

nodeai_app::scope! {
    /// Read keys (never the key itself).
    KeysRead = "api-keys:read";
    /// Issue, change, rotate and revoke keys.
    KeysWrite = "api-keys:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("api-keys", "/api/v1/api-keys")
        .get("/", "API keys, newest first", list::handle)
        .post("/", "Issue a key; it is shown once", create::handle)
        .get("/{id}", "One key", get::handle)
        .patch("/{id}", "Change name, scopes or limits", update::handle)
        .post(
            "/{id}/rotate",
            "A new key in its place; the old one goes on for a while",
            rotate::handle,
        )
        .delete(
            "/{id}",
            "Revoke a key, at once and for good",
            revoke::handle,
        )
}

nodeai_edge::serve!(routes);
