//! `GET /api/v1/models`

use crate::ModelsRead;
use crate::context::Context;
use crate::model::{ModelShown, today, word};
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_models::Model;
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelsQuery {
    /// Only this provider, such as `openai`.
    provider: Option<String>,
    /// Only `chat`, `embedding` or `rerank`.
    kind: Option<String>,
    /// What it must be able to do, separated by commas, such as `tools,json_schema`.
    capabilities: Option<String>,
    /// What it must read, separated by commas, such as `image,pdf`.
    input: Option<String>,
    /// Only models whose prompts may have so many tokens.
    min_input_tokens: Option<i64>,
    /// Only models that the organisation has a key for (`true`), or has not.
    has_key: Option<bool>,
    /// Also models that are no longer served.
    #[serde(default)]
    retired: bool,
    /// Part of the reference or name, whatever its case.
    q: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ModelsQuery {
    fn takes(&self, model: &Model, context: &Context, today: &str) -> bool {
        let has_all = |wanted: &Option<String>, given: Vec<String>| {
            let wanted = wanted.as_deref().unwrap_or_default().split(',');
            let mut wanted = wanted.map(str::trim).filter(|word| !word.is_empty());
            wanted.all(|word| given.iter().any(|one| one == word))
        };
        let named = self.q.as_deref().is_none_or(|part| {
            let part = part.to_lowercase();
            let name = model.name.as_deref().unwrap_or_default();
            model.id.to_lowercase().contains(&part) || name.to_lowercase().contains(&part)
        });
        let provider = self.provider.as_deref();
        let kind = self.kind.as_deref();
        named
            && provider.is_none_or(|provider| provider == model.provider())
            && kind.is_none_or(|kind| kind == word(model.kind))
            && has_all(
                &self.capabilities,
                model.capabilities.iter().map(word).collect(),
            )
            && has_all(&self.input, model.input.iter().map(word).collect())
            && self
                .min_input_tokens
                .is_none_or(|least| model.max_input_tokens.is_some_and(|most| most >= least))
            && self.has_key.is_none_or(|has| has == context.has_key(model))
            && (self.retired || !model.is_retired(today))
    }
}

/// The built-in catalogue and own entries, by reference.
pub async fn handle(
    caller: Caller<ModelsRead>,
    Query(query): Query<ModelsQuery>,
) -> Result<Json<Page<ModelShown>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let context = Context::of(&caller).await?;
    let today = today();
    let position = |model: &Model| Keyset {
        at: String::new(),
        id: model.id.to_ascii_lowercase(),
    };
    let all = context.all().into_iter();
    let found = all.filter(|model| query.takes(model, &context, &today));
    let rest = found.filter(|model| after.as_ref().is_none_or(|key| position(model).id > key.id));
    let page = Page::cut(
        rest.take(limit as usize + 1).collect(),
        limit,
        |model: &&Model| position(model),
    );
    let data = page
        .data
        .iter()
        .map(|model| ModelShown::of(model, &context));
    Ok(Json::ok(Page {
        data: data.collect(),
        next_cursor: page.next_cursor,
    }))
}
