//! What runs cost and may cost: sums, their explanation, other prices, bills, advice, and budgets.

mod bills;
mod budgets;
mod prices;
mod spend;

nodeai_app::scope! {
    /// Read budgets and what is left of them.
    BudgetsRead = "budgets:read";
    /// Make, change and remove budgets (admins).
    BudgetsWrite = "budgets:write";
    /// Read what was spent, prices and reconciliations.
    CostsRead = "costs:read";
    /// Set own prices and reconcile bills (admins).
    CostsWrite = "costs:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    let budgets = nodeai_app::Routes::new("cost-intelligence", "/api/v1/cost-intelligence")
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
        .delete("/budgets/{id}", "Remove a budget", budgets::remove::handle);
    let spend = budgets
        .get(
            "/breakdown",
            "Costs by one dimension",
            spend::breakdown::handle,
        )
        .get("/explain", "Why costs changed", spend::explain::handle)
        .post(
            "/reprice",
            "The same use at other prices",
            spend::reprice::handle,
        )
        .get("/advice", "What could be saved", spend::advice::handle)
        .get(
            "/chargeback.csv",
            "A bill by workflow, user and model",
            spend::chargeback::handle,
        );
    let prices = spend
        .get("/catalogue", "Prices of models", prices::catalogue::list)
        .get(
            "/catalogue/versions",
            "When prices changed",
            prices::catalogue::versions,
        )
        .get(
            "/overrides",
            "Own prices, newest first",
            prices::overrides::list,
        )
        .post("/overrides", "Set an own price", prices::overrides::create)
        .get("/overrides/{id}", "One own price", prices::overrides::get)
        .put(
            "/overrides/{id}",
            "Replace an own price",
            prices::overrides::replace,
        )
        .delete(
            "/overrides/{id}",
            "Remove an own price",
            prices::overrides::remove,
        );
    prices
        .get(
            "/reconciliations",
            "Reconciliations, newest first",
            bills::read::list,
        )
        .post(
            "/reconciliations",
            "Hold a provider's export against what was counted",
            bills::create::handle,
        )
        .get(
            "/reconciliations/{id}",
            "One reconciliation",
            bills::read::get,
        )
}

nodeai_edge::serve!(routes);
