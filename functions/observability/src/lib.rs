//! Health of runs: success rates and percentiles, nodes that are slow or fail, errors by what failed.

mod errors;
mod health;
mod nodes;
mod time;

nodeai_app::scope! {
    /// Read the health of runs.
    ObservabilityRead = "observability:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("observability", "/api/v1/observability")
        .get(
            "/health",
            "Success rate, percentiles and throughput",
            health::handle,
        )
        .get("/slowest", "The slowest nodes", nodes::slowest)
        .get("/failing", "The nodes that fail most", nodes::failing)
        .get("/errors", "Errors by what failed", errors::handle)
}

nodeai_edge::serve!(routes);
