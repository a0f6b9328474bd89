//! Optimisation: settings of retrieval tried on candidates that are there already, and whether one is really better; experiments that
//! gather the candidates of a knowledge base first; studies that try parameters of a workflow. What has won is applied by one call.

mod drain;
mod experiments;
mod studies;
mod sweep;

nodeai_app::scope! {
    /// Read experiments and studies with their trials.
    OptimizationsRead = "optimizations:read";
    /// Apply what has won and take it back; remove experiments and studies.
    OptimizationsWrite = "optimizations:write";
    /// Search for better settings; make and cancel experiments and studies.
    OptimizationsRun = "optimizations:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("rag-optimization", "/api/v1/rag-optimization")
        .post(
            "/sweep",
            "Try fusion settings on stored candidates",
            sweep::handle,
        )
        .get(
            "/experiments",
            "Experiments, newest first",
            experiments::read::list,
        )
        .post(
            "/experiments",
            "Make an experiment, which goes on by itself",
            experiments::create::handle,
        )
        .get(
            "/experiments/{id}",
            "One experiment",
            experiments::read::get,
        )
        .delete(
            "/experiments/{id}",
            "Remove an experiment",
            experiments::change::remove,
        )
        .get(
            "/experiments/{id}/trials",
            "All settings that were tried, the best first",
            experiments::trials::handle,
        )
        .post(
            "/experiments/{id}/cancel",
            "End an experiment",
            experiments::change::cancel,
        )
        .post(
            "/experiments/{id}/apply",
            "Make the winner the knowledge base's default",
            experiments::change::apply,
        )
        .post(
            "/experiments/{id}/rollback",
            "Give the knowledge base the search settings that it had",
            experiments::change::rollback,
        )
        .get("/studies", "Studies, newest first", studies::read::list)
        .post(
            "/studies",
            "Make a study of a workflow, which goes on by itself",
            studies::create::handle,
        )
        .get("/studies/{id}", "One study", studies::read::get)
        .delete("/studies/{id}", "Remove a study", studies::change::remove)
        .get(
            "/studies/{id}/trials",
            "All combinations that are tried, the best first",
            studies::trials::handle,
        )
        .post(
            "/studies/{id}/cancel",
            "End a study, or its repetition",
            studies::change::cancel,
        )
        .post(
            "/studies/{id}/apply",
            "Make the winner the workflow's next version",
            studies::change::apply,
        )
        .post(
            "/studies/{id}/rollback",
            "Give the workflow the document that was studied",
            studies::change::rollback,
        )
        .post(
            "/drain",
            "Work on experiments and studies that are due",
            drain::handle,
        )
}

nodeai_edge::serve!(routes);
