//! Nodes: the catalogue of node types.

mod catalogue;

nodeai_app::scope! {
    /// Read the node catalogue.
    NodesRead = "nodes:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("nodes", "/api/v1/nodes")
        .get("/", "Every node type", catalogue::list)
        .get("/{type}", "One node type", catalogue::one)
}

nodeai_edge::serve!(routes);
