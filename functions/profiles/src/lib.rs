//! Profiles: who one is, what one prefers, and with whom one works.

mod email;
mod invitations;
mod me;
mod members;
mod organizations;
mod settings;

nodeai_app::scope! {
    /// One's own profile, settings and memberships, whatever the role.
    Own = "profiles:own";
    /// Read members and invitations.
    ProfilesRead = "profiles:read";
    /// Change members and invitations.
    ProfilesWrite = "profiles:write";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("profiles", "/api/v1/profiles")
        .get("/me", "One's own profile and organisations", me::get)
        .patch(
            "/me",
            "Change name, picture or default organisation",
            me::update,
        )
        .get("/me/settings", "One's own settings", settings::get)
        .put("/me/settings", "Replace all settings", settings::replace)
        .patch(
            "/me/settings",
            "Change single settings; null removes one",
            settings::update,
        )
        .get(
            "/settings-schema",
            "JSON Schema of the settings",
            settings::schema,
        )
        .post(
            "/organizations",
            "Make an organisation",
            organizations::create,
        )
        .get("/members", "Members of the organisation", members::list)
        .patch("/members/{id}", "Change a member's role", members::update)
        .delete("/members/{id}", "Remove a member", members::remove)
        .get(
            "/invitations",
            "Invitations, newest first",
            invitations::list,
        )
        .post(
            "/invitations",
            "Invite somebody; the token is shown once",
            invitations::create,
        )
        .post(
            "/invitations/accept",
            "Join by a token",
            invitations::accept,
        )
        .delete(
            "/invitations/{id}",
            "Take an invitation back",
            invitations::remove,
        )
}

nodeai_edge::serve!(routes);
