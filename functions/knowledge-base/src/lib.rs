//! Knowledge bases: documents are cut, indexed by words and by vectors, and searched by both.

mod bases;
mod documents;
mod drain;
mod indexes;
mod report;
mod rules;
mod search;
mod work;

nodeai_app::scope! {
    /// Read knowledge bases, their documents and chunks.
    KnowledgeRead = "knowledge:read";
    /// Make, change and remove knowledge bases, documents and indexes.
    KnowledgeWrite = "knowledge:write";
    /// Search; work on documents that wait.
    KnowledgeRun = "knowledge:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("knowledge-base", "/api/v1/knowledge-base")
        .get("/", "Knowledge bases, newest first", bases::list)
        .post("/", "Make a knowledge base", bases::create)
        .post("/drain", "Work on documents that wait", drain::handle)
        .get(
            "/{id}",
            "One knowledge base with its indexes and how far they are",
            bases::get,
        )
        .patch(
            "/{id}",
            "Change a name, a description, or how lexical search scores",
            bases::update,
        )
        .delete(
            "/{id}",
            "Remove a knowledge base with all that is in it",
            bases::remove,
        )
        .get(
            "/{id}/documents",
            "Documents, newest first",
            documents::list::handle,
        )
        .post(
            "/{id}/documents",
            "Add documents: texts, files, URLs, sitemaps",
            documents::add::handle,
        )
        .put(
            "/{id}/documents",
            "Bring documents of another system up to date",
            documents::sync::handle,
        )
        .get(
            "/{id}/documents/{document_id}",
            "One document with its content",
            documents::get::handle,
        )
        .patch(
            "/{id}/documents/{document_id}",
            "Change a document's title or metadata",
            documents::change::update,
        )
        .delete(
            "/{id}/documents/{document_id}",
            "Remove a document and its chunks",
            documents::change::remove,
        )
        .put(
            "/{id}/documents/{document_id}/content",
            "Replace a document's content; only what changed is embedded again",
            documents::change::content,
        )
        .post(
            "/{id}/documents/{document_id}/retry",
            "Try again what failed",
            documents::change::retry,
        )
        .post(
            "/{id}/documents/{document_id}/refresh",
            "Ask the source again",
            documents::change::refresh,
        )
        .get(
            "/{id}/documents/{document_id}/chunks",
            "A document's chunks, in order",
            documents::chunks::handle,
        )
        .get(
            "/{id}/documents/{document_id}/answers",
            "Which answers rested on a document, newest first",
            documents::answers::handle,
        )
        .post("/{id}/search", "Search", search::handle)
        .post(
            "/{id}/rebuild",
            "Build another index beside the active one",
            indexes::rebuild,
        )
        .post(
            "/{id}/indexes/{number}/activate",
            "Switch to an index that is complete",
            indexes::activate,
        )
        .delete(
            "/{id}/indexes/{number}",
            "Drop an index that is not active",
            indexes::remove,
        )
        .get(
            "/{id}/report",
            "Duplicates, failures, what is stale or orphaned, and whether the statistics are right",
            report::handle,
        )
}

nodeai_edge::serve!(routes);
