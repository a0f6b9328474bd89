//! `POST /api/v1/models/check`

use crate::ModelsRun;
use crate::context::{Context, Own};
use futures::future::join_all;
use nodeai_app::vault::OpenedSecret;
use nodeai_app::{Caller, Valid};
use nodeai_edge::http_client;
use nodeai_guard::{UrlGuard, host_matches};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_llm::listing;
use nodeai_models::{PROVIDERS, Protocol, Provider, provider};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Whom to ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckInput {
    /// Prefixes of providers; all that there is a key for unless given. Own entries with an address of their own are asked
    /// under their provider's prefix.
    #[serde(default)]
    providers: Vec<String>,
}

impl Check for CheckInput {
    fn check(&self, c: &mut Checker) {
        let few = self.providers.len() <= 50;
        c.require(few, "/providers", "too_many", "at most 50");
    }
}

/// What one address says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Checked {
    /// The provider's prefix.
    provider: String,
    /// Where it was asked.
    base_url: String,
    /// `usable`; `no_key`, `key_refused` (401, 403), `unreachable`, `failed`, `not_allowed` (the address or the secret's hosts
    /// forbid it).
    status: &'static str,
    /// Why not, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// References of models of the catalogue, own entries included, that the provider lists for this key.
    models: Vec<String>,
    /// References of models that it lists and the catalogue does not have.
    unlisted: Vec<String>,
}

/// One address to be asked.
struct Place {
    prefix: String,
    protocol: Protocol,
    base_url: String,
    key_secret: Option<String>,
}

impl Place {
    fn of_provider(known: &Provider) -> Self {
        Self {
            prefix: known.prefix.to_owned(),
            protocol: known.protocol,
            base_url: known.base_url.to_owned(),
            key_secret: Some(known.key_secret.to_owned()),
        }
    }

    fn of_own(own: &Own) -> Option<Self> {
        let prefix = own.model.split('/').next().unwrap_or_default();
        Some(Self {
            prefix: prefix.to_owned(),
            protocol: provider(prefix).map_or(Protocol::OpenAi, |known| known.protocol),
            base_url: own.base_url.clone()?,
            key_secret: own.key_secret.clone(),
        })
    }

    fn says(&self, status: &'static str, detail: impl Into<Option<String>>) -> Checked {
        Checked {
            provider: self.prefix.clone(),
            base_url: self.base_url.clone(),
            status,
            detail: detail.into(),
            models: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    /// Asks for the list of models. The key goes only where the URL guard and the secret's own hosts let it.
    async fn ask(
        &self,
        guard: &UrlGuard,
        keys: &BTreeMap<String, Key>,
        context: &Context,
    ) -> Checked {
        let key = self.key_secret.as_ref().map(|name| keys.get(name));
        let Some(key) = key.map_or(Some(None), |found| found.map(Some)) else {
            let name = self.key_secret.as_deref().unwrap_or_default();
            return self.says("no_key", format!("there is no secret {name}"));
        };
        let Ok(url) = Url::parse(&self.base_url) else {
            return self.says("not_allowed", "the address is no URL".to_owned());
        };
        if let Err(refused) = guard.check_confidential(&url) {
            return self.says("not_allowed", refused.to_string());
        }
        if key.is_some_and(|key| !key.may_go_to(&url)) {
            let detail = "the secret is bound to other hosts".to_owned();
            return self.says("not_allowed", detail);
        }
        let value = key.map(|key| key.value.as_str());
        let request = match listing::request(self.protocol, &self.base_url, value) {
            Ok(Some(request)) => request,
            Ok(None) => return self.says("usable", None),
            Err(error) => return self.says("failed", error.to_string()),
        };
        match http_client::send_buffered(request).await {
            Ok(reply) => self.read(reply.status().as_u16(), reply.body(), context),
            Err(error) => self.says("unreachable", error.to_string()),
        }
    }

    fn read(&self, status: u16, body: &[u8], context: &Context) -> Checked {
        match status {
            200..=299 => {}
            401 | 403 => return self.says("key_refused", format!("HTTP {status}")),
            _ => return self.says("failed", format!("HTTP {status}")),
        }
        let names = match listing::read(self.protocol, body) {
            Ok(names) => names,
            Err(error) => return self.says("failed", error.to_string()),
        };
        let references: BTreeSet<String> = names
            .iter()
            .map(|name| format!("{}/{name}", self.prefix))
            .collect();
        let (known, unlisted) = references
            .into_iter()
            .partition(|reference| context.find(reference).is_some());
        Checked {
            models: known,
            unlisted,
            ..self.says("usable", None)
        }
    }
}

/// An opened key.
struct Key {
    value: String,
    hosts: Option<Vec<String>>,
}

impl Key {
    fn may_go_to(&self, url: &Url) -> bool {
        let hosts = self.hosts.as_ref();
        hosts.is_none_or(|hosts| hosts.iter().any(|pattern| host_matches(pattern, url)))
    }
}

/// Opens the secrets; each opening is in the access log before its value is here.
async fn open(
    caller: &Caller<ModelsRun>,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, Key>, Problem> {
    let args = json!({"org_id": caller.org_id(), "names": names, "purpose": "model_check"});
    let opened: Vec<OpenedSecret> = caller.call("secrets_open", &args).await?;
    let mut keys = BTreeMap::new();
    for secret in opened {
        match secret.value(&caller.cx) {
            Ok(value) => {
                let hosts = secret.hosts;
                keys.insert(secret.name, Key { value, hosts });
            }
            Err(problem) => {
                let note = secret.tampering(&caller.cx.trace.trace_id.to_string());
                caller.call::<Value>("tampering_note", &note).await?;
                return Err(problem);
            }
        }
    }
    Ok(keys)
}

/// Which addresses are in question: those asked for, or all that there is a key for.
fn places(input: &CheckInput, context: &Context) -> Vec<Place> {
    let wanted = |place: &Place| match input.providers.as_slice() {
        [] => place
            .key_secret
            .as_ref()
            .is_none_or(|name| context.secrets.contains(name)),
        names => names.contains(&place.prefix),
    };
    let known = PROVIDERS
        .iter()
        .filter(|one| one.protocol != Protocol::BuiltIn);
    let known = known.map(Place::of_provider);
    let mut seen = BTreeSet::new();
    let all = known.chain(context.own.iter().filter_map(Place::of_own));
    all.filter(wanted)
        .filter(|place| seen.insert((place.base_url.clone(), place.key_secret.clone())))
        .collect()
}

/// Asks all of them at once; each has ten seconds.
pub async fn handle(
    caller: Caller<ModelsRun>,
    Valid(input): Valid<CheckInput>,
) -> Result<Json<Page<Checked>>, Problem> {
    let context = Context::of(&caller).await?;
    let places = places(&input, &context);
    let names = places.iter().filter_map(|place| place.key_secret.clone());
    let keys = open(&caller, &names.collect()).await?;
    let guard = UrlGuard::configured(&**caller.cx.env()).await;
    caller.session.release();
    let asked = places
        .iter()
        .map(|place| place.ask(&guard, &keys, &context));
    Ok(Json::ok(Page {
        data: join_all(asked).await,
        next_cursor: None,
    }))
}
