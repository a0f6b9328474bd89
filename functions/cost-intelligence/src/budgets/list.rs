//! `GET /api/v1/cost-intelligence/budgets`

use super::model::{Budget, Subject};
use crate::BudgetsRead;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this kind of subject.
    subject: Option<Subject>,
    /// Only this user's, key's or workflow's (UUID).
    subject_id: Option<String>,
}

/// Newest first, each as it stands now.
pub async fn handle(
    caller: Caller<BudgetsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Budget>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let before: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let before = uuid("cursor", before.map(|position| position.id))?;
    let subject_id = uuid("subject_id", query.subject_id)?;
    let args = json!({"org_id": caller.org_id(), "subject": query.subject.map(Subject::as_str),
        "subject_id": subject_id, "before": before, "limit": limit + 1});
    let rows: Vec<Budget> = caller.call("budgets_list", &args).await?;
    let position = |row: &Budget| Keyset {
        at: String::new(),
        id: row.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}

fn uuid(parameter: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if !is_uuid(&text) => {
            let error = FieldError::parameter(parameter, "format", "must be a UUID");
            Err(Problem::fields(vec![error]))
        }
        text => Ok(text),
    }
}
