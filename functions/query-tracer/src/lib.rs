//! One retrieval-augmented query end to end: question, retrieval, ranking, prompt, answer; and why a chunk is not in it.

mod find;
mod get;
mod list;
mod prompt;
mod why;

nodeai_app::scope! {
    /// Read queries, with what was found, asked and answered.
    QueryTracerRead = "query-tracer:read";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("query-tracer", "/api/v1/query-tracer")
        .get(
            "/",
            "Traces with a retrieval or a ranking, newest first",
            list::handle,
        )
        .get(
            "/{trace_id}",
            "A query of a trace: stages, prompt, answer",
            get::handle,
        )
        .get(
            "/{trace_id}/why",
            "Why a chunk is, or is not, in the answer",
            why::handle,
        )
        .get(
            "/{trace_id}/prompt",
            "The prompt as it was sent, with its chunks",
            prompt::handle,
        )
}

nodeai_edge::serve!(routes);
