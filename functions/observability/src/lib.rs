//! Health of runs: success rates and percentiles, nodes that are slow or fail, errors by what failed; rules and alerts;
//! objectives with their error budgets.

mod alerts;
mod condition;
mod errors;
mod evaluate;
mod health;
mod nodes;
mod rules;
mod slo_status;
mod slos;
mod time;

nodeai_app::scope! {
    /// Read the health of runs.
    ObservabilityRead = "observability:read";
    /// Read alert rules and alerts.
    AlertsRead = "alerts:read";
    /// Make, change, silence and remove alert rules; acknowledge alerts.
    AlertsWrite = "alerts:write";
    /// Ask the rules whether they fire.
    AlertsRun = "alerts:run";
    /// Read objectives and where they stand.
    SlosRead = "slos:read";
    /// Make, change and remove objectives.
    SlosWrite = "slos:write";
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
        .get("/rules", "Alert rules, newest first", rules::list)
        .post("/rules", "Make an alert rule", rules::create)
        .get("/rules/{id}", "One alert rule", rules::get)
        .patch(
            "/rules/{id}",
            "Change, silence or turn off an alert rule",
            rules::update,
        )
        .delete(
            "/rules/{id}",
            "Remove an alert rule and its alerts",
            rules::remove,
        )
        .get("/alerts", "Alerts, newest first", alerts::list)
        .patch(
            "/alerts/{id}",
            "Acknowledge or resolve an alert",
            alerts::update,
        )
        .post("/evaluate", "Ask the alert rules now", evaluate::handle)
        .get("/slos", "Objectives, newest first", slos::list)
        .post("/slos", "Make an objective", slos::create)
        .get("/slos/{id}", "One objective", slos::get)
        .patch("/slos/{id}", "Change an objective", slos::update)
        .delete("/slos/{id}", "Remove an objective", slos::remove)
        .get(
            "/slos/{id}/status",
            "Attainment, error budget and burn rates",
            slo_status::handle,
        )
}

nodeai_edge::serve!(routes);
