//! Models: what there is, what it costs, who can use it, what fits a need, how many tokens a text has; own entries.

mod check;
mod context;
mod count;
mod list;
mod model;
mod one;
mod own;
mod providers;
mod recommend;

nodeai_app::scope! {
    /// Read the model catalogue, count tokens.
    ModelsRead = "models:read";
    /// Make, change and remove own entries.
    ModelsWrite = "models:write";
    /// Ask providers which models a stored key may use.
    ModelsRun = "models:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("models", "/api/v1/models")
        .get("/", "Models, by reference", list::handle)
        .get(
            "/providers",
            "Providers, and whether there is a key for each",
            providers::handle,
        )
        .post(
            "/check",
            "Ask providers which models the stored keys may use",
            check::handle,
        )
        .post(
            "/recommend",
            "The cheapest models that fit a need",
            recommend::handle,
        )
        .post("/count-tokens", "How many tokens a text has", count::handle)
        .get("/own", "Own entries, newest first", own::list)
        .post("/own", "Enter a model of your own", own::create)
        .get("/own/{id}", "One own entry", own::get)
        .put("/own/{id}", "Replace an own entry", own::replace)
        .delete("/own/{id}", "Remove an own entry", own::remove)
        .get("/{provider}/{model}", "One model", one::handle)
}

nodeai_edge::serve!(routes);
