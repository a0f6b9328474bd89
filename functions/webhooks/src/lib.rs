//! Webhooks. Outgoing ones by Standard Webhooks, and events by e-mail: who subscribes to which events, what was delivered, what
//! is tried again. Incoming ones: paths that start runs, how their senders are verified, what has come.

mod create;
mod deliver;
mod deliveries;
mod drain;
mod events;
mod get;
mod hooks;
mod incoming;
mod list;
mod mail;
mod model;
mod outbound;
mod probe;
mod remove;
mod rotate;
mod rules;
mod seal;
mod send;
mod update;

nodeai_app::scope! {
    /// Read webhooks, the catalogue of events, deliveries.
    WebhooksRead = "webhooks:read";
    /// Make, change, rotate and remove webhooks.
    WebhooksWrite = "webhooks:write";
    /// Test webhooks, replay deliveries, work on those that are due.
    WebhooksRun = "webhooks:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("webhooks", "/api/v1/webhooks")
        .get("/", "Webhooks, newest first", list::handle)
        .post("/", "Subscribe a URL to events", create::handle)
        .get(
            "/events",
            "The events that there are, with examples",
            events::handle,
        )
        .get(
            "/deliveries",
            "Deliveries, newest first",
            deliveries::list::handle,
        )
        .get(
            "/deliveries/{id}",
            "One delivery with its attempts",
            deliveries::get::handle,
        )
        .post(
            "/deliveries/{id}/replay",
            "Deliver once more",
            deliveries::replay::one,
        )
        .post("/drain", "Work on deliveries that are due", drain::handle)
        .get(
            "/incoming",
            "Incoming webhooks, newest first",
            incoming::list::handle,
        )
        .post(
            "/incoming",
            "Make a path that starts runs",
            incoming::create::handle,
        )
        .get(
            "/incoming/{id}",
            "One incoming webhook",
            incoming::get::handle,
        )
        .patch(
            "/incoming/{id}",
            "Change an incoming webhook, or turn it off or on",
            incoming::update::handle,
        )
        .delete(
            "/incoming/{id}",
            "Remove an incoming webhook",
            incoming::remove::handle,
        )
        .post(
            "/incoming/{id}/rotate",
            "Take a new secret, for a while the old one too",
            incoming::rotate::handle,
        )
        .get(
            "/incoming/{id}/requests",
            "The last requests, whatever became of them",
            incoming::requests::handle,
        )
        .get("/{id}", "One webhook", get::handle)
        .patch(
            "/{id}",
            "Change a webhook, or turn it off or on",
            update::handle,
        )
        .delete(
            "/{id}",
            "Remove a webhook and its deliveries",
            remove::handle,
        )
        .post(
            "/{id}/rotate",
            "Sign with a new key, for a while with the old one too",
            rotate::handle,
        )
        .post("/{id}/test", "Send a test event", probe::handle)
        .post("/{id}/send", "Send an event of your own", send::handle)
        .post(
            "/{id}/replay",
            "Deliver once more what was made in a time",
            deliveries::replay::range,
        )
        .at("/hooks")
        .get("/wait/{token}", WAIT, hooks::wait::handle)
        .post("/wait/{token}", WAIT, hooks::wait::handle)
        .put("/wait/{token}", WAIT, hooks::wait::handle)
        .get("/{*path}", HOOK, hooks::handle)
        .post("/{*path}", HOOK, hooks::handle)
        .put("/{*path}", HOOK, hooks::handle)
        .patch("/{*path}", HOOK, hooks::handle)
        .delete("/{*path}", HOOK, hooks::handle)
}

const WAIT: &str = "Answer a node that waits, by the address that its run has given away";
const HOOK: &str = "Start a run, as a sender that its incoming webhook verifies";

nodeai_edge::serve!(routes);
