//! What runs cost and may cost: budgets for the organisation, its users, keys and workflows.

mod budgets;

nodeai_app::scope! {
    /// Read budgets and what is left of them.
    BudgetsRead = "budgets:read";
    /// Make, change and remove budgets (admins).
    BudgetsWrite = "budgets:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("cost-intelligence", "/api/v1/cost-intelligence")
        .get("/budgets", "Budgets, newest first", budgets::list::handle)
        .post(
            "/budgets",
            "Limit what runs may spend",
            budgets::create::handle,
        )
        .get(
            "/budgets/{id}",
            "One budget, and what is left of it",
            budgets::get::handle,
        )
        .patch(
            "/budgets/{id}",
            "Change its name or limits",
            budgets::update::handle,
        )
        .delete("/budgets/{id}", "Remove a budget", budgets::remove::handle)
}

nodeai_edge::serve!(routes);
