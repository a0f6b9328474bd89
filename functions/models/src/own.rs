//! `/api/v1/models/own`: entries of the organisation's own.

use crate::{ModelsRead, ModelsWrite};
use http::header;
use nodeai_app::{Caller, Created, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_guard::UrlGuard;
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, FieldError, Problem, etag, reply::Json};
use nodeai_models::Model;
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

nodeai_store::columns! {
    /// Own entries.
    own_models {
        id: Uuid, model: Text, base_url: Text, key_secret: Text, facts: Json, version: Int, created_at: Time,
        updated_at: Time,
    }
}

use own_models as col;

const SHOWN: &[Column] = &[
    col::id,
    col::model,
    col::base_url,
    col::key_secret,
    col::facts,
    col::version,
    col::created_at,
    col::updated_at,
];

/// An own entry.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnModel {
    /// Id (UUIDv7).
    id: String,
    /// The reference, `provider/model`.
    model: String,
    /// Where it is served; null for its provider.
    base_url: Option<String>,
    /// The secret with its key; null for its provider's, or none.
    key_secret: Option<String>,
    /// What it can do, as models of the catalogue show it.
    facts: Map<String, Value>,
    /// For `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// A model to be entered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnModelInput {
    /// The reference, `provider/model`, 3 to 200 characters. One that the built-in catalogue has is replaced for this
    /// organisation.
    model: String,
    /// See `PUT`.
    #[serde(default)]
    base_url: Option<String>,
    /// See `PUT`.
    #[serde(default)]
    key_secret: Option<String>,
    /// See `PUT`.
    facts: Map<String, Value>,
}

impl OwnModelInput {
    fn change(&self) -> OwnModelChange {
        OwnModelChange {
            base_url: self.base_url.clone(),
            key_secret: self.key_secret.clone(),
            facts: self.facts.clone(),
        }
    }
}

/// What an own entry is to be from now on.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnModelChange {
    /// Where it is served, an OpenAI-compatible address; its provider's unless given.
    #[serde(default)]
    base_url: Option<String>,
    /// The name of the secret with its key, 1 to 100 characters.
    #[serde(default)]
    key_secret: Option<String>,
    /// `kind` (`chat`, `embedding`, `rerank`), `input`, `output`, and where they are known `name`, `max_input_tokens`,
    /// `max_output_tokens`, `dimensions`, `capabilities`, `retires_on`, `successor`, `note`. What it costs is an own price
    /// (`POST /api/v1/cost-intelligence/overrides`).
    facts: Map<String, Value>,
}

impl Check for OwnModelInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.model, 3, 200, "/model");
        let (prefix, rest) = self.model.split_once('/').unwrap_or_default();
        let formed = !prefix.is_empty() && !rest.is_empty() && prefix != "builtin";
        let detail = "must be provider/model, and not a built-in test model";
        c.require(formed, "/model", "format", detail);
        self.change().check(c);
    }
}

impl Check for OwnModelChange {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.key_secret {
            c.length(name, 1, 100, "/key_secret");
        }
        let formed = self.base_url.as_deref().is_none_or(|url| {
            Url::parse(url).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
                && url.len() <= 2_000
        });
        let detail = "must be a URL of at most 2000 characters without credentials";
        c.require(formed, "/base_url", "format", detail);
        c.require(
            !self.facts.contains_key("id"),
            "/facts/id",
            "unknown",
            "belongs into model",
        );
        let mut facts = self.facts.clone();
        facts.insert("id".to_owned(), json!("x/y"));
        if let Err(error) = serde_json::from_value::<Model>(Value::Object(facts)) {
            c.report(FieldError::body("/facts", "format", error.to_string()));
        }
        let small = json!(self.facts).to_string().len() <= 10_000;
        c.require(small, "/facts", "length", "at most 10000 bytes");
    }
}

impl OwnModelChange {
    /// Refuses a base URL that must not be called: its key would go there. Errors: 400 at `/base_url`.
    async fn may_be_called<S: nodeai_app::Scope>(&self, caller: &Caller<S>) -> Result<(), Problem> {
        let Some(url) = self
            .base_url
            .as_deref()
            .and_then(|url| Url::parse(url).ok())
        else {
            return Ok(());
        };
        let guard = UrlGuard::configured(&**caller.cx.env()).await;
        guard.check_confidential(&url).map_err(|refused| {
            Problem::fields(vec![FieldError::body(
                "/base_url",
                "refused",
                refused.to_string(),
            )])
        })
    }
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

/// Own entries, newest first.
pub async fn list(
    caller: Caller<ModelsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<OwnModel>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |row: &OwnModel| &row.id)
        .await
}

/// One own entry.
pub async fn get(
    caller: Caller<ModelsRead>,
    PathId(id): PathId,
) -> Result<Json<OwnModel>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: OwnModel = caller.find(select, "own model").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}

/// Enters a model.
pub async fn create(
    caller: Caller<ModelsWrite>,
    Valid(input): Valid<OwnModelInput>,
) -> Result<Created<OwnModel>, Problem> {
    let change = input.change();
    change.may_be_called(&caller).await?;
    let id = clock::new_id();
    let location = format!("/api/v1/models/own/{id}");
    let mut row = json!(change);
    row["model"] = json!(input.model);
    let write = Write::new(Op::Insert, col::TABLE, "own model", &id)
        .row(row)
        .returning(SHOWN)
        .audit("model.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Replaces an own entry.
pub async fn replace(
    caller: Caller<ModelsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(change): Valid<OwnModelChange>,
) -> Result<Reply<OwnModel>, Problem> {
    change.may_be_called(&caller).await?;
    let write = Write::new(Op::Update, col::TABLE, "own model", &id)
        .row(json!(change))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("model.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes an own entry; the built-in one with its reference counts again.
pub async fn remove(
    caller: Caller<ModelsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "own model", &id)
        .expect_version(expected)
        .audit("model.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
