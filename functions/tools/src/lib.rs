//! Tools: a registry of what agents and workflows may call (functions behind an endpoint, OpenAPI documents, MCP servers,
//! deployed workflows), calls of it, and the MCP server that offers it to others.

mod call;
mod config;
mod create;
mod functions;
mod kinds;
mod learn;
mod model;
mod outbound;
mod registry;
mod remote;
mod secrets;
mod server;
mod span;
mod update;
mod wellknown;

nodeai_app::scope! {
    /// Read tools and what they offer.
    ToolsRead = "tools:read";
    /// Register, change and remove tools.
    ToolsWrite = "tools:write";
    /// Call tools; speak to the MCP server.
    ToolsRun = "tools:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("tools", "/api/v1/tools")
        .get("/", "Tools, newest first", registry::list)
        .post("/", "Register a tool", create::handle)
        .post("/call", "Call a tool by its name", call::by_name)
        .post(
            "/mcp",
            "The MCP server: JSON-RPC over Streamable HTTP",
            server::handle,
        )
        .get("/{id}", "One tool", registry::get)
        .put("/{id}", "Replace a tool", update::replace)
        .patch(
            "/{id}",
            "Turn it on or off, change its permissions and limits",
            update::patch,
        )
        .delete("/{id}", "Remove a tool", registry::remove)
        .get("/{id}/functions", "What it offers", functions::list)
        .post(
            "/{id}/refresh",
            "Ask anew what it offers",
            functions::refresh,
        )
        .post("/{id}/call", "Call one of its functions", call::by_id)
        .at("/.well-known/oauth-protected-resource")
        .get(
            "/",
            "The MCP server as a protected resource",
            wellknown::handle,
        )
        .get(
            "/api/v1/tools/mcp",
            "The same, by the server's own path",
            wellknown::handle,
        )
}

nodeai_edge::serve!(routes);
