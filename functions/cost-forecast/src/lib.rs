//! What runs will cost: forecasts with intervals, when budgets are crossed, what-if, days that were not normal.

mod accuracy;
mod anomalies;
mod breach;
mod forecast;
mod model;
mod spend;
mod what_if;

nodeai_app::scope! {
    /// Read forecasts and anomalies of spend.
    ForecastsRead = "forecasts:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("cost-forecast", "/api/v1/cost-forecast")
        .get(
            "/",
            "Daily and month-end spend, with intervals",
            forecast::handle,
        )
        .get(
            "/accuracy",
            "How good forecasts of the last weeks were",
            accuracy::handle,
        )
        .get(
            "/anomalies",
            "Days whose spend was not normal, and why",
            anomalies::handle,
        )
        .get(
            "/budgets/{id}",
            "Whether and when a budget will be crossed",
            breach::handle,
        )
        .post(
            "/what-if",
            "Spend with more traffic or other models",
            what_if::handle,
        )
}

nodeai_edge::serve!(routes);
