//! A provider as an organisation has configured it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the client names itself at the token endpoint (RFC 6749, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenAuth {
    /// HTTP Basic with id and secret.
    #[default]
    Basic,
    /// Id and secret in the body.
    Post,
    /// A public client: id alone, PKCE protects the code.
    None,
}

impl TokenAuth {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
            Self::None => "none",
        }
    }
}

/// How tokens are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// RFC 7009: the token in a form.
    #[default]
    Rfc7009,
    /// GitHub: `DELETE` of the app's grant, with the access token as JSON.
    Github,
    /// Slack: a call with the token itself.
    Bearer,
    /// Notion: the token as JSON, with the client's Basic credentials.
    Json,
    /// Not at all.
    None,
}

impl Revocation {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc7009 => "rfc7009",
            Self::Github => "github",
            Self::Bearer => "bearer",
            Self::Json => "json",
            Self::None => "none",
        }
    }
}

/// A provider's row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Provider {
    /// Id (UUIDv7).
    pub id: String,
    /// Its name in URLs.
    pub slug: String,
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
    /// How the client names itself.
    pub token_auth: TokenAuth,
    /// How tokens are taken back.
    pub revocation: Revocation,
    /// The client's id.
    pub client_id: String,
    /// Name of the vault's secret that holds the client's secret.
    pub client_secret: Option<String>,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub authorize_parameters: BTreeMap<String, String>,
    /// Where answers may go, compared exactly.
    pub redirect_uris: Vec<String>,
    /// The only hosts that tokens may be sent to.
    pub hosts: Vec<String>,
}
