//! `GET /api/v1/models/providers`

use crate::ModelsRead;
use crate::context::Context;
use crate::model::today;
use nodeai_app::Caller;
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_models::{PROVIDERS, Protocol, Provider};
use schemars::JsonSchema;
use serde::Serialize;

/// One provider.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProviderShown {
    /// The part of a reference before the slash.
    id: &'static str,
    /// What it is called.
    title: &'static str,
    /// Where its API is; null for the test models.
    base_url: Option<&'static str>,
    /// The name of the secret that holds its key; null where none is needed.
    key_secret: Option<&'static str>,
    /// Whether the organisation has that secret, or none is needed.
    has_key: bool,
    /// How many of its models the catalogue has that are still served.
    models: usize,
}

/// All providers, on one page: they are part of the build and few.
pub async fn handle(caller: Caller<ModelsRead>) -> Result<Json<Page<ProviderShown>>, Problem> {
    let context = Context::of(&caller).await?;
    let today = today();
    let shown = |one: &Provider| {
        let none_needed = one.protocol == Protocol::BuiltIn;
        let all = context.all().into_iter();
        let served =
            all.filter(|model| model.provider() == one.prefix && !model.is_retired(&today));
        ProviderShown {
            id: one.prefix,
            title: one.title,
            base_url: (!none_needed).then_some(one.base_url),
            key_secret: (!none_needed).then_some(one.key_secret),
            has_key: none_needed || context.secrets.contains(one.key_secret),
            models: served.count(),
        }
    };
    Ok(Json::ok(Page {
        data: PROVIDERS.iter().map(shown).collect(),
        next_cursor: None,
    }))
}
