//! `GET /api/v1/webhooks/deliveries`

use super::{Status, message_id};
use crate::WebhooksRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Deliveries of both directions.
    webhook_deliveries {
        id: Uuid, direction: Text, webhook_id: Uuid, event_type: Text, status: Text, attempts: Int, next_at: Time,
        delivered_at: Time, created_at: Time,
    }
}

use webhook_deliveries as col;

const COLUMNS: &[Column] = &[
    col::id,
    col::webhook_id,
    col::event_type,
    col::status,
    col::attempts,
    col::next_at,
    col::delivered_at,
    col::created_at,
];

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only of this webhook (UUID).
    webhook_id: Option<String>,
    /// Only in this state.
    status: Option<Status>,
    /// Only of this event.
    event_type: Option<String>,
    /// Made from this time on (RFC 3339).
    from: Option<String>,
    /// Made before this time (RFC 3339).
    to: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    webhook_id: String,
    event_type: String,
    status: Status,
    attempts: i64,
    next_at: Option<String>,
    delivered_at: Option<String>,
    created_at: String,
}

/// A delivery in a list: without its payload.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Brief {
    /// Id (UUIDv7).
    id: String,
    /// `webhook-id` of its requests.
    message_id: String,
    /// Its webhook.
    webhook_id: String,
    /// The event.
    event_type: String,
    /// What it is at.
    status: Status,
    /// Attempts so far.
    attempts: i64,
    /// When it is sent, RFC 3339; null when it is not.
    next_at: Option<String>,
    /// When it was taken last, RFC 3339.
    delivered_at: Option<String>,
    /// RFC 3339.
    created_at: String,
}

impl From<Row> for Brief {
    fn from(row: Row) -> Self {
        Self {
            message_id: message_id(&row.id),
            id: row.id,
            webhook_id: row.webhook_id,
            event_type: row.event_type,
            status: row.status,
            attempts: row.attempts,
            next_at: row.next_at,
            delivered_at: row.delivered_at,
            created_at: row.created_at,
        }
    }
}

/// Newest first.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Brief>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let text = |column, value: Option<String>| value.map(|value| Filter::Eq(column, value));
    let select = Select::from(col::TABLE, COLUMNS)
        .filter(Filter::Eq(col::direction, "out".to_owned()))
        .filter_if(uuid_filter(col::webhook_id, query.webhook_id)?)
        .filter_if(text(col::status, query.status.map(Status::name)))
        .filter_if(text(col::event_type, query.event_type))
        .filter_if(time("from", query.from)?.map(|at| Filter::Gte(col::created_at, at)))
        .filter_if(time("to", query.to)?.map(|at| Filter::Lt(col::created_at, at)))
        .page(
            col::created_at,
            col::id,
            after.map(|k| (k.at, k.id)),
            limit + 1,
        );
    let rows: Vec<Row> = caller.select(select).await?;
    let position = |row: &Brief| Keyset {
        at: row.created_at.clone(),
        id: row.id.clone(),
    };
    let rows = rows.into_iter().map(Brief::from).collect();
    Ok(Json::ok(Page::cut(rows, limit, position)))
}

fn time(name: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text.as_deref().map(clock::parse_rfc3339) {
        Some(None) => {
            let error = FieldError::parameter(name, "format", "must be a time in RFC 3339");
            Err(Problem::fields(vec![error]))
        }
        Some(Some(us)) => Ok(Some(clock::rfc3339(us))),
        None => Ok(None),
    }
}
