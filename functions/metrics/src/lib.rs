//! Metrics: series of what runs do and cost, by any of their dimensions, for dashboards and for Prometheus.

mod dashboards;
mod exposition;
mod prometheus;
mod query;
mod row;

nodeai_app::scope! {
    /// Read metrics.
    MetricsRead = "metrics:read";
    /// Read saved dashboards.
    DashboardsRead = "dashboards:read";
    /// Save, change and remove dashboards.
    DashboardsWrite = "dashboards:write";
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
        .get("/dashboards", "Dashboards, newest first", dashboards::list)
        .post("/dashboards", "Save a dashboard", dashboards::create)
        .get("/dashboards/{id}", "One dashboard", dashboards::get)
        .patch(
            "/dashboards/{id}",
            "Change its name or panels",
            dashboards::update,
        )
        .delete("/dashboards/{id}", "Remove a dashboard", dashboards::remove)
}

nodeai_edge::serve!(routes);
