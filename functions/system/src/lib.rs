//! System: liveness, readiness, the API's description, and what an organisation's admins look after.

mod audit;
mod flags;
mod health;
mod limits;
mod openapi;
mod usage;

nodeai_app::scope! {
    /// Read the audit log.
    AuditRead = "audit-logs:read";
    /// Read feature flags.
    FlagsRead = "feature-flags:read";
    /// Change feature flags.
    FlagsWrite = "feature-flags:write";
    /// Read policies of the rate limit.
    LimitsRead = "rate-limits:read";
    /// Change policies of the rate limit.
    LimitsWrite = "rate-limits:write";
    /// Read what was used.
    UsageRead = "usage:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("system", "")
        .get("/healthz", "Whether the process answers", health::live)
        .get(
            "/readyz",
            "Whether requests can be served: storage and schema",
            health::ready,
        )
        .get(
            "/api/v1/openapi.json",
            "This API as OpenAPI 3.1",
            openapi::handle,
        )
        .at("/api/v1/audit-logs")
        .get("/", "Who did what, newest first", audit::list)
        .get(
            "/verify",
            "Whether the log is as it was written",
            audit::verify,
        )
        .at("/api/v1/feature-flags")
        .get("/", "Feature flags, newest first", flags::list)
        .post("/", "Make a flag", flags::create)
        .get("/evaluate", "All flags for the caller", flags::evaluate)
        .get("/{id}", "One flag", flags::get)
        .patch("/{id}", "Change a flag", flags::update)
        .delete("/{id}", "Remove a flag", flags::remove)
        .at("/api/v1/rate-limits")
        .get(
            "/",
            "Policies of the rate limit, newest first",
            limits::list,
        )
        .post("/", "Make a policy", limits::create)
        .get("/{id}", "One policy", limits::get)
        .put("/{id}", "Replace a policy", limits::update)
        .delete("/{id}", "Remove a policy", limits::remove)
        .at("/api/v1/usage")
        .get("/", "What was used, newest first", usage::list)
}

nodeai_edge::serve!(routes);
