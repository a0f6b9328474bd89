//! The playground: one prompt for several models, answers streamed side by side; prompt templates with versions and labels.

mod dataset;
mod draft;
mod estimate;
mod prompts;
mod rules;
mod run;

nodeai_app::scope! {
    /// Read prompt templates.
    PromptsRead = "prompts:read";
    /// Save, label and remove prompt templates.
    PromptsWrite = "prompts:write";
    /// Try prompts.
    PromptsRun = "prompts:run";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("prompt-playground", "/api/v1/prompt-playground")
        .post("/run", "Ask several models side by side", run::handle)
        .post("/estimate", "What that would cost", estimate::handle)
        .get(
            "/spans/{trace_id}/{span_id}",
            "A model's span as something to try",
            draft::handle,
        )
        .get("/prompts", "Prompt templates, newest first", prompts::list)
        .post(
            "/prompts",
            "Save a prompt template, or the next version of one",
            prompts::save,
        )
        .get("/prompts/{id}", "One version", prompts::get)
        .delete("/prompts/{id}", "Remove a version", prompts::remove)
        .put(
            "/prompts/{id}/labels",
            "Move labels to a version",
            prompts::label,
        )
        .get(
            "/prompts/{id}/diff",
            "What changed since another version",
            prompts::diff,
        )
}

nodeai_edge::serve!(routes);
