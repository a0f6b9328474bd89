//! `POST /api/v1/oauth/authorize`

use crate::OauthWrite;
use crate::model::{connections, oauth_providers};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Created, Op, Valid, Write, clock, vault};
use nodeai_crypto::Place;
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_oauth::Provider;
use nodeai_oauth::flow::Ask;
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long a person has to agree, µs.
const LIFE_US: i64 = 600_000_000;

/// What to connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeInput {
    /// Slug or id of the provider.
    provider: String,
    /// Where the answer goes: exactly one of the provider's; its first unless given.
    #[serde(default)]
    redirect_uri: Option<String>,
    /// Scopes instead of the provider's usual ones.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// A name for the connection, at most 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// A connection of the caller's that is connected anew and keeps its id.
    #[serde(default)]
    connection_id: Option<String>,
}

impl Check for AuthorizeInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.provider, 1, 64, "/provider");
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(id) = &self.connection_id {
            c.require(is_uuid(id), "/connection_id", "format", "must be a UUID");
        }
        super::providers::check::scopes(c, self.scopes.as_deref().unwrap_or_default());
    }
}

/// Where to send the account's owner.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Authorization {
    /// Open this in the owner's browser. It works once.
    authorization_url: String,
    /// When it ends (RFC 3339).
    expires_at: String,
}

/// Draws state and PKCE verifier, and keeps them until the provider has answered: the state as its hash, the verifier
/// sealed, both bound to the caller.
pub async fn handle(
    caller: Caller<OauthWrite>,
    Valid(input): Valid<AuthorizeInput>,
) -> Result<Created<Authorization>, Problem> {
    let provider = find(&caller, &input.provider).await?;
    if let Some(id) = &input.connection_id {
        must_be_own(&caller, id, &provider).await?;
    }
    let redirect_uri = redirect_uri(&provider, input.redirect_uri)?;
    let scopes = input.scopes.unwrap_or_else(|| provider.scopes.clone());
    let (state, verifier) = (random(), random());
    let url = provider.authorization_url(&Ask {
        redirect_uri: &redirect_uri,
        state: &state,
        verifier: &verifier,
        scopes: &scopes,
    })?;
    let id = clock::new_id();
    let expires_at = clock::rfc3339(clock::now_us() + LIFE_US);
    let sealed = vault::seal(&caller.cx, place(caller.org_id(), &id), verifier.as_bytes())?;
    let sealed = clock::hex(json!(sealed).to_string().as_bytes());
    let row = json!({"user_id": caller.session.user_id(), "state_hash": state_hash(&state),
        "provider": provider.slug, "provider_id": provider.id, "connection_id": input.connection_id,
        "verifier_ciphertext": format!("\\x{sealed}"), "redirect_uri": redirect_uri, "scopes": scopes,
        "name": input.name, "expires_at": expires_at});
    let write = Write::new(Op::Insert, "oauth_states", "authorization", &id)
        .row(row)
        .audit("oauth.authorization_started", json!({}))
        .answer(201, &[], &json!({"expires_at": expires_at}))
        .once("authorization_url", &url);
    caller.write(write).await.map(Created::from)
}

async fn find(caller: &Caller<OauthWrite>, named: &str) -> Result<Provider, Problem> {
    let by_name = match is_uuid(named) {
        true => Filter::Eq(oauth_providers::id, named.to_owned()),
        false => Filter::Eq(oauth_providers::slug, named.to_owned()),
    };
    let query = Select::from(oauth_providers::TABLE, crate::model::PROVIDER).filter(by_name);
    let found: Vec<Provider> = caller.select(query).await?;
    let none = || FieldError::body("/provider", "unknown", "there is no such provider");
    let found = found.into_iter().next();
    found.ok_or_else(|| Problem::fields(vec![none()]))
}

async fn must_be_own(
    caller: &Caller<OauthWrite>,
    id: &str,
    provider: &Provider,
) -> Result<(), Problem> {
    let query = Select::from(connections::TABLE, &[connections::id])
        .filter(Filter::Eq(connections::id, id.to_owned()))
        .filter(Filter::Eq(connections::provider_id, provider.id.clone()))
        .filter(Filter::Eq(
            connections::user_id,
            caller.session.user_id().to_owned(),
        ));
    caller
        .find::<Value>(query, "connection at this provider")
        .await
        .map(|_| ())
}

fn redirect_uri(provider: &Provider, wanted: Option<String>) -> Result<String, Problem> {
    let allowed = &provider.redirect_uris;
    let uri = wanted
        .or_else(|| allowed.first().cloned())
        .unwrap_or_default();
    match allowed.contains(&uri) {
        true => Ok(uri),
        false => {
            let detail = "must be exactly one of the provider's redirect_uris";
            let error = FieldError::body("/redirect_uri", "not_allowed", detail);
            Err(Problem::fields(vec![error]))
        }
    }
}

/// 256 bits, as RFC 7636 recommends for a verifier.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(clock::random::<32>())
}

/// How a state is stored.
pub fn state_hash(state: &str) -> String {
    clock::hex(&Sha256::digest(state.as_bytes()))
}

/// Where a sealed verifier belongs.
pub fn place<'a>(org_id: &'a str, state_id: &'a str) -> Place<'a> {
    Place {
        kind: "oauth_state",
        org_id,
        id: state_id,
        version: "",
    }
}
