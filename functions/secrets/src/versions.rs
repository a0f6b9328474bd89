//! `GET` and `POST /api/v1/secrets/{id}/versions`

use crate::model::{Secret, check_value, secret_versions as col};
use crate::seal::version_row;
use crate::{SecretsRead, SecretsWrite};
use nodeai_app::{Caller, Command, Created, IfMatch, PathId, Query, Valid};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const SHOWN: &[Column] = &[
    col::number,
    col::id,
    col::key_version,
    col::created_by,
    col::created_at,
];

/// A version, without its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// From 1.
    number: i64,
    /// Id (UUIDv7).
    id: String,
    /// The master key that wraps its data key.
    key_version: i64,
    /// Who stored it.
    created_by: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The versions, newest first. A secret always has one: none means that there is no such secret here.
pub async fn list(
    caller: Caller<SecretsRead>,
    PathId(id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Version>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let first_page = after.is_none();
    let select = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::secret_id, id))
        .newest(col::number, after.map(|k| k.id), limit + 1);
    let rows: Vec<Version> = caller.select(select).await?;
    if rows.is_empty() && first_page {
        return Err(Problem::not_found("there is no such secret"));
    }
    let position = |row: &Version| Keyset {
        at: String::new(),
        id: row.number.to_string(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}

/// A new value.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueInput {
    /// 1 to 65,536 bytes.
    value: String,
}

impl Check for ValueInput {
    fn check(&self, c: &mut Checker) {
        check_value(c, &self.value);
    }
}

/// Stores the value as the version in use. Runs that have opened the one before go on with it.
pub async fn add(
    caller: Caller<SecretsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<ValueInput>,
) -> Result<Created<Secret>, Problem> {
    let version = version_row(&caller, &id, &input.value)?;
    let args = json!({"secret_id": id, "expect_version": expected, "version": version});
    let location = format!("/api/v1/secrets/{id}");
    let command = Command::named("secret_version", "secret", &id, args)
        .audit("secret.version_added", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
