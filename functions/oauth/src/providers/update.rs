//! `PATCH /api/v1/oauth/providers/{id}`

use super::check;
use crate::OauthWrite;
use crate::model::{PROVIDER, ProviderShown, oauth_providers};
use nodeai_app::{Caller, IfMatch, Op, PathId, Reply, Valid, Write};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use nodeai_oauth::{Revocation, TokenAuth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderPatch {
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The issuer's identifier; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    issuer: Option<Option<String>>,
    /// Whether an answer without `iss` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer_in_response: Option<bool>,
    /// Where people are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_endpoint: Option<String>,
    /// Where tokens are taken back; null for nowhere.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    revocation_endpoint: Option<Option<String>>,
    /// Who has been connected; null for not asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    userinfo_endpoint: Option<Option<String>>,
    /// How the client names itself at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_auth: Option<TokenAuth>,
    /// How tokens are taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocation: Option<Revocation>,
    /// The client's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Name of the secret that holds the client's secret; null for a public client.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    client_secret: Option<Option<String>>,
    /// Scopes that are asked for unless a request names others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorize_parameters: Option<BTreeMap<String, String>>,
    /// Where answers may go, compared exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect_uris: Option<Vec<String>>,
    /// The only hosts that tokens may be sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<String>>,
}

impl Check for ProviderPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(id) = &self.client_id {
            c.length(id, 1, 500, "/client_id");
        }
        if let Some(Some(name)) = &self.client_secret {
            check::client_secret(c, name);
        }
        check::scopes(c, self.scopes.as_deref().unwrap_or_default());
        if let Some(uris) = &self.redirect_uris {
            check::redirect_uris(c, uris);
        }
        if let Some(parameters) = &self.authorize_parameters {
            check::authorize_parameters(c, parameters);
        }
        if let Some(hosts) = &self.hosts {
            check::hosts(c, hosts);
        }
    }
}

/// Changes the provider; connections go on with what it says now.
pub async fn handle(
    caller: Caller<OauthWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<ProviderPatch>,
) -> Result<Reply<ProviderShown>, Problem> {
    fn inner(url: &Option<Option<String>>) -> Option<&str> {
        url.as_ref().and_then(|url| url.as_deref())
    }
    let urls = [
        ("issuer", inner(&patch.issuer)),
        (
            "authorization_endpoint",
            patch.authorization_endpoint.as_deref(),
        ),
        ("token_endpoint", patch.token_endpoint.as_deref()),
        ("revocation_endpoint", inner(&patch.revocation_endpoint)),
        ("userinfo_endpoint", inner(&patch.userinfo_endpoint)),
    ];
    check::endpoints(&caller, &urls).await?;
    let write = Write::new(Op::Update, oauth_providers::TABLE, "provider", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(PROVIDER)
        .audit("oauth_provider.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
