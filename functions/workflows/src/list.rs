//! `GET /api/v1/workflows`

use crate::WorkflowsRead;
use crate::model::{BRIEF, WorkflowBrief};
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select, tables::workflows as col};
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters, order and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Text in the name, ignoring case.
    name: Option<String>,
    /// Text in name or description, ignoring case, or a tag.
    q: Option<String>,
    /// Only workflows with this tag.
    tag: Option<String>,
    /// Only workflows in this folder; an empty value for those in none.
    folder: Option<String>,
    /// `false` unless given: the archive is left out.
    #[serde(default)]
    archived: Archived,
    /// `created_at` unless given: newest first.
    #[serde(default)]
    sort: Sort,
}

/// Whether the archive is listed.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub enum Archived {
    /// Without it.
    #[default]
    #[serde(rename = "false")]
    Without,
    /// Nothing else.
    #[serde(rename = "true")]
    Only,
    /// With it.
    #[serde(rename = "all")]
    All,
}

/// The order.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Newest first.
    #[default]
    CreatedAt,
    /// Last changed first.
    UpdatedAt,
    /// From A to Z.
    Name,
}

/// The organisation's own workflows.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<WorkflowBrief>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let after = after.map(|k| (k.at, k.id));
    let sort = query.sort;
    let select = filtered(caller.org_id(), query);
    let select = match sort {
        Sort::CreatedAt => select.page(col::created_at, col::id, after, limit + 1),
        Sort::UpdatedAt => select.page(col::updated_at, col::id, after, limit + 1),
        Sort::Name => select.ascending(col::name, col::id, after, limit + 1),
    };
    let rows: Vec<WorkflowBrief> = caller.select(select).await?;
    Ok(Json::ok(Page::cut(rows, limit, |row| position(row, sort))))
}

fn filtered(org_id: &str, query: ListQuery) -> Select {
    let folder = query.folder.map(|folder| match folder.is_empty() {
        true => Filter::IsNull(col::folder),
        false => Filter::Eq(col::folder, folder),
    });
    let archived = match query.archived {
        Archived::Without => Some(Filter::IsNull(col::archived_at)),
        Archived::Only => Some(Filter::NotNull(col::archived_at)),
        Archived::All => None,
    };
    let search = query.q.map(|text| {
        Filter::Or(vec![
            Filter::ContainsText(col::name, text.clone()),
            Filter::ContainsText(col::description, text.clone()),
            Filter::HasElement(col::tags, text),
        ])
    });
    // Row security lets shared ones through as well; those have a list of their own.
    Select::from(col::TABLE, BRIEF)
        .filter(Filter::Eq(col::org_id, org_id.to_owned()))
        .filter(Filter::IsNull(col::deleted_at))
        .filter_if(archived)
        .filter_if(folder)
        .filter_if(query.name.map(|text| Filter::ContainsText(col::name, text)))
        .filter_if(search)
        .filter_if(query.tag.map(|tag| Filter::HasElement(col::tags, tag)))
}

fn position(row: &WorkflowBrief, sort: Sort) -> Keyset {
    let at = match sort {
        Sort::CreatedAt => &row.created_at,
        Sort::UpdatedAt => &row.updated_at,
        Sort::Name => &row.name,
    };
    Keyset {
        at: at.clone(),
        id: row.id.clone(),
    }
}
