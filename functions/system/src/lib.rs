//! System: liveness, readiness and the API's description.

mod health;
mod openapi;

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
}

nodeai_edge::serve!(routes);
