//! Connected accounts: providers by configuration, the code flow with PKCE, connections whose tokens stay fresh.

mod authorize;
mod callback;
mod connections;
mod landing;
mod model;
mod presets;
mod providers;

nodeai_app::scope! {
    /// See providers and connections (never a token).
    OauthRead = "oauth:read";
    /// Connect and disconnect accounts; admins also configure providers.
    OauthWrite = "oauth:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("oauth", "/api/v1/oauth")
        .get("/presets", "Providers that are known", presets::handle)
        .get(
            "/providers",
            "Configured providers, newest first",
            providers::list::handle,
        )
        .post(
            "/providers",
            "Configure a provider",
            providers::create::handle,
        )
        .get("/providers/{id}", "One provider", providers::get::handle)
        .patch(
            "/providers/{id}",
            "Change a provider",
            providers::update::handle,
        )
        .delete(
            "/providers/{id}",
            "Remove a provider without connections",
            providers::remove::handle,
        )
        .post(
            "/authorize",
            "Begin to connect an account: where to send its owner",
            authorize::handle,
        )
        .post(
            "/callback",
            "Finish: what the provider answered, by who began",
            callback::handle,
        )
        .get(
            "/return",
            "Where a provider may send people when there is no app of one's own",
            landing::handle,
        )
        .get(
            "/connections",
            "Connections, newest first",
            connections::list::handle,
        )
        .get(
            "/connections/{id}",
            "One connection",
            connections::get::handle,
        )
        .patch(
            "/connections/{id}",
            "Rename or share a connection",
            connections::update::handle,
        )
        .delete(
            "/connections/{id}",
            "Disconnect: take the tokens back at the provider",
            connections::remove::handle,
        )
        .post(
            "/connections/{id}/refresh",
            "Refresh its token now",
            connections::refresh::handle,
        )
}

nodeai_edge::serve!(routes);
