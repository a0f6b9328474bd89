//! Traces: search, and one trace with its span tree.

mod get;
mod list;
mod model;

nodeai_app::scope! {
    /// Read traces.
    TracesRead = "traces:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("traces", "/api/v1/traces")
        .get("/", "Traces, newest first", list::handle)
        .get("/{trace_id}", "One trace with its span tree", get::handle)
}

nodeai_edge::serve!(routes);
