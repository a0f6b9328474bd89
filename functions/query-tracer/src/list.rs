//! `GET /api/v1/query-tracer`

use crate::QueryTracerRead;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use nodeai_tracestore::model::Trace;
use nodeai_tracestore::search::{self, Search};
use nodeai_traceview::filter::Term;
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given; a page may be shorter and go on.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A search in the language of traces, such as `"opening hours" model:gpt-4o cost>0.01`.
    q: Option<String>,
    /// Only runs of this workflow (UUID).
    workflow_id: Option<String>,
    /// Started at or after, RFC 3339.
    from: Option<String>,
    /// Started before, RFC 3339.
    to: Option<String>,
}

impl ListQuery {
    /// All parameters as one search, for traces with a retrieval or a ranking. Errors: 400.
    fn search(&self) -> Result<Search, Problem> {
        let q = self.q.as_deref().map(search::terms).transpose()?;
        let mut terms = q.unwrap_or_default();
        terms.push(Term::is("stage", "any"));
        if let Some(id) = &self.workflow_id {
            if !is_uuid(id) {
                let error = FieldError::parameter("workflow_id", "format", "must be a UUID");
                return Err(Problem::fields(vec![error]));
            }
            terms.push(Term::is("workflow", id.clone()));
        }
        Ok(Search {
            terms,
            from_us: search::time("from", self.from.as_deref())?,
            to_us: search::time("to", self.to.as_deref())?,
        })
    }
}

/// Newest first. What counts as a retrieval or a ranking here is what a convention names so; a trace whose search is an
/// HTTP call can be read by its id.
pub async fn handle(
    caller: Caller<QueryTracerRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Trace>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let after = after.map(search::after).transpose()?;
    let found = search::page(&caller, &query.search()?, after.as_ref(), limit).await?;
    Ok(Json::ok(Page {
        next_cursor: found.next.as_ref().map(search::cursor),
        data: found.traces.into_iter().filter_map(search::shown).collect(),
    }))
}
