//! Nodes: the catalogue of node types, and previews of their configs.

mod catalogue;
mod evaluate;

nodeai_app::scope! {
    /// Read the node catalogue.
    NodesRead = "nodes:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("nodes", "/api/v1/nodes")
        .get("/", "Every node type", catalogue::list)
        .get("/{type}", "One node type", catalogue::one)
        .post(
            "/evaluate",
            "Evaluate an expression, a template or a node",
            evaluate::handle,
        )
}

nodeai_edge::serve!(routes);
