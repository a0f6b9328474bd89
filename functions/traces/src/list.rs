//! `GET /api/v1/traces`

use crate::TracesRead;
use crate::model::{COLUMNS, Row, Trace};
use crate::search::{self, Search};
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select, tables::traces as col};
use nodeai_traceview::filter::Term;
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A search, such as `status:error cost>0.01 model:gpt-4o duration>2s "text"`; its page may be short and go on.
    q: Option<String>,
    /// `run`, `request` or `ingest`.
    kind: Option<Kind>,
    /// `ok`, `error` or `unset`.
    status: Option<Status>,
    /// Only runs of this workflow (UUID).
    workflow_id: Option<String>,
    /// Only this execution (UUID).
    execution_id: Option<String>,
    /// Started at or after, RFC 3339.
    from: Option<String>,
    /// Started before, RFC 3339.
    to: Option<String>,
}

/// Kind of trace.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A workflow run.
    Run,
    /// An API request.
    Request,
    /// Sent by a client over OTLP.
    Ingest,
}

/// Status of a trace.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did what it was for.
    Ok,
    /// It failed.
    Error,
    /// Nobody said.
    Unset,
}

impl ListQuery {
    /// All parameters as one search. Errors: 400.
    pub fn search(&self) -> Result<Search, Problem> {
        let mut terms = self
            .q
            .as_deref()
            .map(search::terms)
            .transpose()?
            .unwrap_or_default();
        let said = |what: &dyn std::fmt::Debug| format!("{what:?}").to_lowercase();
        let workflow = checked(self.workflow_id.clone(), "workflow_id", is_uuid)?;
        let execution = checked(self.execution_id.clone(), "execution_id", is_uuid)?;
        let given = [
            self.kind.map(|kind| Term::is("kind", said(&kind))),
            self.status.map(|status| Term::is("status", said(&status))),
            workflow.map(|id| Term::is("workflow", id)),
            execution.map(|id| Term::is("execution", id)),
        ];
        terms.extend(given.into_iter().flatten());
        Ok(Search {
            terms,
            from_us: search::time("from", self.from.as_deref())?,
            to_us: search::time("to", self.to.as_deref())?,
        })
    }

    fn filters(self) -> Result<Vec<Filter>, Problem> {
        let kind = self
            .kind
            .map(|k| Filter::Eq(col::kind, format!("{k:?}").to_lowercase()));
        let status = self
            .status
            .map(|s| Filter::Eq(col::status, format!("{s:?}").to_lowercase()));
        let workflow = checked(self.workflow_id, "workflow_id", is_uuid)?;
        let execution = checked(self.execution_id, "execution_id", is_uuid)?;
        let from = checked(self.from, "from", is_time)?;
        let to = checked(self.to, "to", is_time)?;
        let all = [
            kind,
            status,
            workflow.map(|id| Filter::Eq(col::workflow_id, id)),
            execution.map(|id| Filter::Eq(col::execution_id, id)),
            from.map(|at| Filter::Gte(col::started_at, at)),
            to.map(|at| Filter::Lt(col::started_at, at)),
        ];
        Ok(all.into_iter().flatten().collect())
    }
}

fn checked(
    value: Option<String>,
    name: &str,
    holds: fn(&str) -> bool,
) -> Result<Option<String>, Problem> {
    match value {
        Some(text) if !holds(&text) => {
            let error =
                nodeai_http::FieldError::parameter(name, "format", "does not have the right form");
            Err(Problem::fields(vec![error]))
        }
        value => Ok(value),
    }
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok()
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

/// Newest first.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Trace>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    if query.q.is_some() {
        return searched(&caller, &query.search()?, after, limit).await;
    }
    let mut select = Select::from(col::TABLE, COLUMNS);
    select.filters = query.filters()?;
    let select = select.page(
        col::started_at,
        col::trace_id,
        after.map(|k| (k.at, k.id)),
        limit + 1,
    );
    let rows: Vec<Row> = caller.select(select).await?;
    let traces = rows.into_iter().map(Trace::from).collect();
    let position = |trace: &Trace| Keyset {
        at: trace.started_at.clone(),
        id: trace.trace_id.clone(),
    };
    Ok(Json::ok(Page::cut(traces, limit, position)))
}

async fn searched(
    caller: &Caller<TracesRead>,
    search: &Search,
    after: Option<Keyset>,
    limit: u32,
) -> Result<Json<Page<Trace>>, Problem> {
    let after = after.map(search::after).transpose()?;
    let found = search::page(caller, search, after.as_ref(), limit).await?;
    Ok(Json::ok(Page {
        next_cursor: found.next.as_ref().map(search::cursor),
        data: found.traces.into_iter().filter_map(search::shown).collect(),
    }))
}
