//! The vault: values go in, are used by runs, and come out again only by `reveal`.

mod access_log;
mod create;
mod get;
mod list;
mod model;
mod remove;
mod reveal;
mod rollback;
mod rotate_master;
mod seal;
mod update;
mod versions;

nodeai_app::scope! {
    /// Read what secrets there are (never a value).
    SecretsRead = "secrets:read";
    /// Make, change and remove secrets.
    SecretsWrite = "secrets:write";
    /// See a value.
    SecretsReveal = "secrets:reveal";
    /// Re-wrap secrets under the newest master key.
    SecretsRotate = "secrets:rotate";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("secrets", "/api/v1/secrets")
        .get("/", "Secrets, newest first, without values", list::handle)
        .post("/", "Store a secret", create::handle)
        .get(
            "/access-log",
            "Who opened which secret, for which run and node",
            access_log::handle,
        )
        .post(
            "/rotate-master",
            "Re-wrap all secrets under the newest master key; call again until nothing remains",
            rotate_master::handle,
        )
        .get("/{id}", "One secret, without its value", get::handle)
        .patch("/{id}", "Change description or hosts", update::handle)
        .delete("/{id}", "Remove a secret with all versions", remove::handle)
        .get("/{id}/versions", "Its versions", versions::list)
        .post("/{id}/versions", "A new value", versions::add)
        .post(
            "/{id}/rollback",
            "Use an earlier version again",
            rollback::handle,
        )
        .post(
            "/{id}/reveal",
            "Show a value; leaves log and audit rows",
            reveal::handle,
        )
}

nodeai_edge::serve!(routes);
