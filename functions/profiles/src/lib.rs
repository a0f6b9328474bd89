//! Profiles: who one is, what one prefers, and with whom one works.

mod email;
mod invitations;
mod jobs;
mod me;
mod members;
mod organizations;
mod settings;

nodeai_app::scope! {
    /// One's own profile, settings and memberships, whatever the role.
    Own = "profiles:own";
    /// Take everything that is one's own away in an archive.
    Export = "profiles:export";
    /// Delete one's own account.
    Delete = "profiles:delete";
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
        .post(
            "/me/export",
            "Export everything that is one's own",
            jobs::export::handle,
        )
        .post(
            "/me/deletion",
            "Delete one's own account",
            jobs::deletion::handle,
        )
        .get(
            "/me/jobs",
            "One's exports and deletions",
            jobs::list::handle,
        )
        .get(
            "/me/jobs/{id}",
            "One job with its progress",
            jobs::get::handle,
        )
        .get(
            "/me/jobs/{id}/archive",
            "The archive of an export",
            jobs::archive::handle,
        )
        .post(
            "/me/jobs/{id}/cancel",
            "Take a job back",
            jobs::cancel::handle,
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
