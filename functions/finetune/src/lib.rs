//! Fine-tuning: datasets that are checked and costed before anything is uploaded, jobs at providers, what happens to them, the
//! models that they make.

mod canary;
mod check;
mod checkpoints;
mod create;
mod evaluate;
mod events;
mod made;
mod model;
mod order;
mod provider;
mod read;
mod register;
mod remove;
mod source;
mod steps;
mod upload;

nodeai_app::scope! {
    /// Read jobs, their events and checkpoints.
    FinetuneRead = "finetune:read";
    /// Register models of jobs, give them to callers; remove jobs.
    FinetuneWrite = "finetune:write";
    /// Check datasets; make, pause, resume and cancel jobs; evaluate their models.
    FinetuneRun = "finetune:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("finetune", "/api/v1/finetune")
        .post("/check", "Check a dataset, and cost it", check::handle)
        .get("/", "Jobs, newest first", read::list)
        .post("/", "Make a job", create::handle)
        .get("/{id}", "One job, as its provider has it now", read::get)
        .delete("/{id}", "Remove a job", remove::handle)
        .get(
            "/{id}/events",
            "What happens to it, as events",
            events::handle,
        )
        .get(
            "/{id}/checkpoints",
            "Models on the way",
            checkpoints::handle,
        )
        .post("/{id}/cancel", "End a job", steps::cancel)
        .post("/{id}/pause", "Let a job rest", steps::pause)
        .post("/{id}/resume", "Let a job go on", steps::resume)
        .post(
            "/{id}/register",
            "Enter its model into the catalogue",
            register::handle,
        )
        .post(
            "/{id}/evaluate",
            "Evaluate its model beside the base",
            evaluate::handle,
        )
        .post(
            "/{id}/canary",
            "Give its model to a share of a deployment's callers",
            canary::handle,
        )
}

nodeai_edge::serve!(routes);
