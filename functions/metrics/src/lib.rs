//! Metrics: series of what runs do and cost, by any of their dimensions, for dashboards and for Prometheus.

mod exposition;
mod prometheus;
mod query;
mod row;

nodeai_app::scope! {
    /// Read metrics.
    MetricsRead = "metrics:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("metrics", "/api/v1/metrics")
        .get(
            "/query",
            "Series of a measure by dimensions, filters and time",
            query::handle,
        )
        .get(
            "/prometheus",
            "This month's totals for Prometheus to scrape",
            prometheus::handle,
        )
}

nodeai_edge::serve!(routes);
