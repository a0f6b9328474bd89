//! Providers and connections as the API shows them: never with a token.

use nodeai_oauth::{Revocation, TokenAuth};
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

nodeai_store::columns! {
    /// Providers.
    oauth_providers {
        id: Uuid, slug: Text, name: Text, issuer: Text, issuer_in_response: Bool, authorization_endpoint: Text,
        token_endpoint: Text, revocation_endpoint: Text, userinfo_endpoint: Text, token_auth: Text, revocation: Text,
        client_id: Text, client_secret: Text, scopes: TextArray, authorize_parameters: Json,
        redirect_uris: TextArray, hosts: TextArray, version: Int, created_by: Uuid, created_at: Time, updated_at: Time,
    }
}

nodeai_store::columns! {
    /// Connections; what is readable of them.
    connections {
        id: Uuid, user_id: Uuid, provider_id: Uuid, provider: Text, account: Text, name: Text, scopes: TextArray,
        status: Text, shared: Bool, last_error: Text, token_expires_at: Time, version: Int, created_by: Uuid,
        created_at: Time, updated_at: Time,
    }
}

/// What is shown of a provider.
pub const PROVIDER: &[Column] = &[
    oauth_providers::id,
    oauth_providers::slug,
    oauth_providers::name,
    oauth_providers::issuer,
    oauth_providers::issuer_in_response,
    oauth_providers::authorization_endpoint,
    oauth_providers::token_endpoint,
    oauth_providers::revocation_endpoint,
    oauth_providers::userinfo_endpoint,
    oauth_providers::token_auth,
    oauth_providers::revocation,
    oauth_providers::client_id,
    oauth_providers::client_secret,
    oauth_providers::scopes,
    oauth_providers::authorize_parameters,
    oauth_providers::redirect_uris,
    oauth_providers::hosts,
    oauth_providers::version,
    oauth_providers::created_by,
    oauth_providers::created_at,
    oauth_providers::updated_at,
];

/// What is shown of a connection.
pub const CONNECTION: &[Column] = &[
    connections::id,
    connections::user_id,
    connections::provider_id,
    connections::provider,
    connections::account,
    connections::name,
    connections::scopes,
    connections::status,
    connections::shared,
    connections::last_error,
    connections::token_expires_at,
    connections::version,
    connections::created_by,
    connections::created_at,
    connections::updated_at,
];

/// A configured provider.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProviderShown {
    /// Id (UUIDv7).
    pub id: String,
    /// Its name in requests.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The issuer's identifier; `iss` of an answer must be this one (RFC 9207).
    pub issuer: Option<String>,
    /// Whether an answer without `iss` is refused.
    pub issuer_in_response: bool,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where tokens are taken back.
    pub revocation_endpoint: Option<String>,
    /// Who has been connected.
    pub userinfo_endpoint: Option<String>,
    /// How the client names itself at the token endpoint.
    pub token_auth: TokenAuth,
    /// How tokens are taken back.
    pub revocation: Revocation,
    /// The client's id.
    pub client_id: String,
    /// Name of the secret that holds the client's secret.
    pub client_secret: Option<String>,
    /// Scopes that are asked for unless others are given.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub authorize_parameters: BTreeMap<String, String>,
    /// Where answers may go, compared exactly.
    pub redirect_uris: Vec<String>,
    /// The only hosts that its tokens may be sent to.
    pub hosts: Vec<String>,
    /// Version of this record, for `If-Match`.
    pub version: i64,
    /// Who configured it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A connected account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// Id (UUIDv7); what `auth.connection` of a node names, or the name.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Its provider.
    pub provider_id: Option<String>,
    /// The provider's slug.
    pub provider: String,
    /// The account there, such as an e-mail address; empty when the provider does not say.
    pub account: String,
    /// Its name here.
    pub name: Option<String>,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// `active`, or `expired`: the provider has ended the grant, connect again.
    pub status: String,
    /// Whether the organisation's editors may use it too.
    pub shared: bool,
    /// Why the last refresh failed.
    pub last_error: Option<String>,
    /// When the access token ends (RFC 3339); it is refreshed by itself.
    pub token_expires_at: Option<String>,
    /// Version of this record, for `If-Match`.
    pub version: i64,
    /// Who connected it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}
