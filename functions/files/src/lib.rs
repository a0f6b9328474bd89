//! Files: uploads in one go or resumed (tus), downloads with ranges, links that expire, quotas, text out of documents.

mod config;
mod content;
mod drain;
mod get;
mod links;
mod list;
mod model;
mod quota;
mod remove;
mod rules;
mod source;
mod text;
mod tus;
mod update;
mod upload;
mod usage;

nodeai_app::scope! {
    /// Read files and what is known of them.
    FilesRead = "files:read";
    /// Upload, change and remove files; make links.
    FilesWrite = "files:write";
    /// Remove what was deleted from the stores.
    FilesRun = "files:run";
    /// Set quotas: admins.
    FilesAdmin = "files:admin";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("files", "/api/v1/files")
        .announce("tus-resumable", nodeai_files::tus::VERSION)
        .announce("tus-version", nodeai_files::tus::VERSION)
        .announce("tus-extension", nodeai_files::tus::EXTENSIONS)
        .announce("tus-checksum-algorithm", nodeai_files::digest::ALGORITHMS)
        .get("/", "Files, newest first", list::handle)
        .post("/", "Upload a file in one go", upload::handle)
        .streamed()
        .get("/usage", "What is stored, and may be", usage::handle)
        .put("/quota", "Set the organisation's quotas", quota::handle)
        .post(
            "/drain",
            "Remove what was deleted from the stores",
            drain::handle,
        )
        .post(
            "/uploads",
            "Begin a resumable upload (tus)",
            tus::create::handle,
        )
        .streamed()
        .get(
            "/uploads/{id}",
            "How far an upload is (tus)",
            tus::head::handle,
        )
        .patch(
            "/uploads/{id}",
            "Go on with an upload (tus)",
            tus::patch::handle,
        )
        .streamed()
        .delete(
            "/uploads/{id}",
            "Give an upload up (tus)",
            tus::terminate::handle,
        )
        .get(
            "/links",
            "Links that open files, newest first",
            links::list::handle,
        )
        .delete("/links/{id}", "Revoke a link", links::revoke::handle)
        .get(
            "/shared/{token}",
            "The file of a link, without a login",
            links::open::handle,
        )
        .get("/{id}", "One file, without its content", get::handle)
        .patch(
            "/{id}",
            "Change a file's name, folder, tags or metadata",
            update::handle,
        )
        .delete("/{id}", "Remove a file", remove::handle)
        .get("/{id}/content", "A file's content", content::handle)
        .get("/{id}/text", "A document's text", text::handle)
        .post(
            "/{id}/signed-url",
            "Make a link that works without a login",
            links::create::handle,
        )
}

nodeai_edge::serve!(routes);
