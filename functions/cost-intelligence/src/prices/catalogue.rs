//! `GET /api/v1/cost-intelligence/catalogue` and `…/catalogue/versions`

use crate::CostsRead;
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogueQuery {
    /// Only this provider, such as `openai`.
    provider: Option<String>,
    /// Only the model that this reference (`openai/gpt-4o-2024-08-06`) means.
    model: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One model's prices.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    /// `provider/model`.
    id: String,
    /// Other names of it.
    names: Vec<String>,
    /// Its prices in USD per million tokens, with the day from which they count or the minutes of the UTC day; the last that
    /// counts wins. A list is a price and then what all tokens cost when the prompt has more than so many.
    prices: Value,
    /// Prices of other tiers, where they differ.
    tiers: Value,
}

/// The models, by name.
pub async fn list(
    _caller: Caller<CostsRead>,
    Query(query): Query<CatalogueQuery>,
) -> Result<Json<Page<Model>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let after = after.map(|position| position.id).unwrap_or_default();
    let book = nodeai_pricing::catalogue();
    let only = query
        .model
        .as_deref()
        .map(|model| book.find(model).map(|entry| entry.id.as_str()));
    let provider = query
        .provider
        .as_deref()
        .map(|name| format!("{}/", nodeai_pricing::normal_provider(name)));
    let mut fitting: Vec<_> = book.models.iter().collect();
    fitting.retain(|entry| {
        let of_provider = provider
            .as_deref()
            .is_none_or(|prefix| entry.id.starts_with(prefix));
        of_provider && only.is_none_or(|only| only == Some(entry.id.as_str())) && entry.id > after
    });
    fitting.sort_by(|a, b| a.id.cmp(&b.id));
    let rows = fitting
        .into_iter()
        .take(limit as usize + 1)
        .map(|entry| Model {
            id: entry.id.clone(),
            names: entry.names.clone(),
            prices: json!(entry.prices),
            tiers: json!(entry.tiers),
        });
    let position = |row: &Model| Keyset {
        at: String::new(),
        id: row.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows.collect(), limit, position)))
}

/// A day on which prices changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Version {
    /// The first day of the new prices, UTC; `base` for what counted before all of them.
    from: String,
    /// The models whose prices changed then.
    models: Vec<String>,
}

/// The catalogue and its history.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Versions {
    /// Its name; a span's `price_version` begins with it.
    catalogue: String,
    /// The day of which it is.
    as_of: String,
    /// Where it comes from, and its licence.
    source: String,
    /// Newest first.
    versions: Vec<Version>,
}

/// The days on which prices changed.
pub async fn versions(_caller: Caller<CostsRead>) -> Result<Json<Versions>, Problem> {
    let book = nodeai_pricing::catalogue();
    let changes = book
        .changes()
        .into_iter()
        .rev()
        .map(|(from, models)| Version {
            from,
            models: models.into_iter().map(str::to_owned).collect(),
        });
    let base = Version {
        from: "base".to_owned(),
        models: Vec::new(),
    };
    Ok(Json::ok(Versions {
        catalogue: book.version.clone(),
        as_of: book.as_of.clone(),
        source: book.source.clone(),
        versions: changes.chain([base]).collect(),
    }))
}
