//! Traces: ingest over OTLP, search, one trace in its views, scores, links that show one, export.

mod archive;
mod diff;
mod export;
mod get;
mod ingest;
mod list;
mod node;
mod prices;
mod retention;
mod scores;
mod shares;
mod tail;
mod tree;
mod views;

use nodeai_tracestore::{load, model, search};

nodeai_app::scope! {
    /// Read traces.
    TracesRead = "traces:read";
    /// Send spans; score traces.
    TracesWrite = "traces:write";
    /// Keep days of spans before they are removed.
    TracesRun = "traces:run";
    /// Say how long traces are kept.
    TracesAdmin = "traces:admin";
}

/// The area's routes.
pub fn routes() -> nodeai_app::Routes {
    nodeai_app::Routes::new("traces", "/api/v1/traces")
        .get("/", "Traces, newest first; searched by `q`", list::handle)
        .post("/", "Spans over OTLP/HTTP", ingest::handle)
        .get("/diff", "Two traces, step by step", diff::handle)
        .get(
            "/export",
            "What a search finds, one JSON a line",
            export::lines,
        )
        .get(
            "/tail",
            "New traces as they come, as server-sent events",
            tail::handle,
        )
        .get(
            "/shared/{token}",
            "What a link shows of a trace",
            shares::link::handle,
        )
        .get(
            "/archives",
            "Days of spans in the object store, the last first",
            archive::list,
        )
        .get(
            "/archives/{id}/content",
            "A day's spans as packed OTLP JSON",
            archive::content,
        )
        .post(
            "/archives/drain",
            "Keep days that retention is about to remove",
            archive::drain,
        )
        .get("/retention", "How long traces are kept", retention::get)
        .put(
            "/retention",
            "Sets how long traces are kept",
            retention::put,
        )
        .get("/{trace_id}", "One trace with its span tree", get::handle)
        .get(
            "/{trace_id}/waterfall",
            "Its spans as rows, with the critical path",
            views::waterfall,
        )
        .get(
            "/{trace_id}/graph",
            "Its steps and how they follow each other",
            views::graph,
        )
        .get("/{trace_id}/export", "It as OTLP JSON", export::otlp)
        .post(
            "/{trace_id}/share",
            "A link that shows it without signing in",
            shares::create::handle,
        )
        .get(
            "/{trace_id}/shares",
            "Its links, newest first",
            shares::list::handle,
        )
        .delete(
            "/{trace_id}/shares/{share_id}",
            "Ends a link",
            shares::remove::handle,
        )
        .get(
            "/{trace_id}/scores",
            "Its scores and comments",
            scores::list::handle,
        )
        .post(
            "/{trace_id}/scores",
            "Scores it, or comments on it",
            scores::create::handle,
        )
        .patch(
            "/{trace_id}/scores/{id}",
            "Changes a score",
            scores::update::handle,
        )
        .delete(
            "/{trace_id}/scores/{id}",
            "Removes a score",
            scores::remove::handle,
        )
        .at("/v1/traces")
        .post(
            "/",
            "Spans over OTLP/HTTP, where exporters send them",
            ingest::handle,
        )
}

nodeai_edge::serve!(routes);
