//! Evaluation: datasets of questions with what is expected and relevant, retrieval scored and compared.

mod compare;
mod datasets;
mod score;

nodeai_app::scope! {
    /// Read datasets.
    EvaluationsRead = "evaluations:read";
    /// Make, change and remove datasets and their items.
    EvaluationsWrite = "evaluations:write";
    /// Score and compare.
    EvaluationsRun = "evaluations:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("rag-evaluation", "/api/v1/rag-evaluation")
        .get("/datasets", "Datasets, newest first", datasets::list)
        .post("/datasets", "Make a dataset", datasets::create)
        .get("/datasets/{id}", "One dataset", datasets::get)
        .patch(
            "/datasets/{id}",
            "Change name or description",
            datasets::update,
        )
        .delete("/datasets/{id}", "Remove a dataset", datasets::remove)
        .get(
            "/datasets/{id}/items",
            "Its items, newest first",
            datasets::items::list,
        )
        .post(
            "/datasets/{id}/items",
            "Add items as its next version",
            datasets::items::import,
        )
        .post("/score", "Score what a retriever found", score::handle)
        .post("/compare", "Compare two retrievers", compare::handle)
}

nodeai_edge::serve!(routes);
