//! Optimisation: settings of retrieval tried on candidates that are there already, and whether one is really better.

mod sweep;

nodeai_app::scope! {
    /// Search for better settings.
    OptimizationsRun = "optimizations:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("rag-optimization", "/api/v1/rag-optimization").post(
        "/sweep",
        "Try fusion settings on stored candidates",
        sweep::handle,
    )
}

nodeai_edge::serve!(routes);
