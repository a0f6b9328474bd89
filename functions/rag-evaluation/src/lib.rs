//! Evaluation: datasets of questions with what is expected and relevant, some of them made by a model; retrieval scored and compared;
//! evaluations as jobs, of datasets and of a share of what production answers.

mod compare;
mod datasets;
mod drain;
mod evaluations;
mod rules;
mod score;
mod syntheses;

nodeai_app::scope! {
    /// Read datasets and evaluations, compare evaluations.
    EvaluationsRead = "evaluations:read";
    /// Make, change and remove datasets and their items; label results; remove evaluations.
    EvaluationsWrite = "evaluations:write";
    /// Score and compare; make and cancel evaluations.
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
        .post(
            "/datasets/{id}/from-traces",
            "Add question and answer of traces as its next version",
            datasets::traces::handle,
        )
        .get(
            "/metrics",
            "What can be measured",
            evaluations::metrics::handle,
        )
        .get(
            "/evaluations",
            "Evaluations, newest first",
            evaluations::read::list,
        )
        .post(
            "/evaluations",
            "Make an evaluation, which goes on by itself",
            evaluations::create::handle,
        )
        .post(
            "/evaluations/compare",
            "Compare two evaluations",
            evaluations::compare::handle,
        )
        .get(
            "/evaluations/{id}",
            "One evaluation",
            evaluations::read::get,
        )
        .delete(
            "/evaluations/{id}",
            "Remove an evaluation",
            evaluations::remove::handle,
        )
        .post(
            "/evaluations/{id}/cancel",
            "End an evaluation",
            evaluations::cancel::handle,
        )
        .get(
            "/evaluations/{id}/results",
            "Its results by item and metric",
            evaluations::results::handle,
        )
        .put(
            "/evaluations/{id}/labels",
            "Say what results should be",
            evaluations::labels::handle,
        )
        .get(
            "/evaluations/{id}/agreement",
            "How far scores and labels agree",
            evaluations::agreement::handle,
        )
        .post(
            "/evaluations/{id}/gate",
            "Hold it against limits and a baseline",
            evaluations::gate::handle,
        )
        .get(
            "/rules",
            "Rules of online evaluation, newest first",
            rules::read::list,
        )
        .post(
            "/rules",
            "Evaluate a share of what production answers",
            rules::create::handle,
        )
        .get("/rules/{id}", "One rule", rules::read::get)
        .patch(
            "/rules/{id}",
            "Change, pause or resume a rule",
            rules::change::update,
        )
        .delete("/rules/{id}", "Remove a rule", rules::change::remove)
        .get(
            "/rules/{id}/series",
            "What its metrics come to over time",
            rules::series::handle,
        )
        .get(
            "/syntheses",
            "Syntheses of questions, newest first",
            syntheses::read::list,
        )
        .post(
            "/syntheses",
            "Have questions made of a knowledge base's documents",
            syntheses::create::handle,
        )
        .get("/syntheses/{id}", "One synthesis", syntheses::read::get)
        .post(
            "/syntheses/{id}/cancel",
            "End a synthesis",
            syntheses::cancel::handle,
        )
        .post(
            "/drain",
            "Work on evaluations, rules and syntheses that are due",
            drain::handle,
        )
        .post("/score", "Score what a retriever found", score::handle)
        .post("/compare", "Compare two retrievers", compare::handle)
}

nodeai_edge::serve!(routes);
