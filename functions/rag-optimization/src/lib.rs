//! Optimisation: settings of retrieval tried on candidates that are there already, and whether one is really better; experiments that
//! gather the candidates of a knowledge base first, and apply what has won.

mod experiments;
mod sweep;

nodeai_app::scope! {
    /// Read experiments and their trials.
    OptimizationsRead = "optimizations:read";
    /// Apply what has won and take it back; remove experiments.
    OptimizationsWrite = "optimizations:write";
    /// Search for better settings; make and cancel experiments.
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
        .post(
            "/drain",
            "Work on experiments that are due",
            experiments::drain::handle,
        )
}

nodeai_edge::serve!(routes);
