//! The providers that most people connect: endpoints, scopes and quirks, as their documentation has them.

use crate::provider::{Revocation, TokenAuth};
use schemars::JsonSchema;
use serde::Serialize;

/// A provider as its documentation describes it; client id and secret are the organisation's own.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Preset {
    /// How a new provider names it.
    pub preset: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The issuer's identifier, where it is an OpenID provider.
    pub issuer: Option<&'static str>,
    /// Where people are sent.
    pub authorization_endpoint: &'static str,
    /// Where codes become tokens.
    pub token_endpoint: &'static str,
    /// Where tokens are taken back.
    pub revocation_endpoint: Option<&'static str>,
    /// Who has been connected.
    pub userinfo_endpoint: Option<&'static str>,
    /// How the client names itself at the token endpoint.
    pub token_auth: TokenAuth,
    /// How tokens are taken back.
    pub revocation: Revocation,
    /// Scopes that are asked for unless others are given.
    pub scopes: &'static [&'static str],
    /// Further parameters of the authorization request, such as those that bring a refresh token.
    pub authorize_parameters: &'static [(&'static str, &'static str)],
    /// The only hosts that tokens may be sent to.
    pub hosts: &'static [&'static str],
    /// Where an app is registered.
    pub console: &'static str,
}

/// All presets.
pub const PRESETS: [Preset; 5] = [
    Preset {
        preset: "google",
        name: "Google",
        issuer: Some("https://accounts.google.com"),
        authorization_endpoint: "https://accounts.google.com/o/oauth2/v2/auth",
        token_endpoint: "https://oauth2.googleapis.com/token",
        revocation_endpoint: Some("https://oauth2.googleapis.com/revoke"),
        userinfo_endpoint: Some("https://openidconnect.googleapis.com/v1/userinfo"),
        token_auth: TokenAuth::Post,
        revocation: Revocation::Rfc7009,
        scopes: &["openid", "email"],
        authorize_parameters: &[("access_type", "offline"), ("prompt", "consent")],
        hosts: &["*.googleapis.com"],
        console: "https://console.cloud.google.com/apis/credentials",
    },
    Preset {
        preset: "github",
        name: "GitHub",
        issuer: None,
        authorization_endpoint: "https://github.com/login/oauth/authorize",
        token_endpoint: "https://github.com/login/oauth/access_token",
        revocation_endpoint: Some("https://api.github.com/applications/{client_id}/grant"),
        userinfo_endpoint: Some("https://api.github.com/user"),
        token_auth: TokenAuth::Post,
        revocation: Revocation::Github,
        scopes: &["read:user"],
        authorize_parameters: &[],
        hosts: &["api.github.com", "uploads.github.com"],
        console: "https://github.com/settings/developers",
    },
    Preset {
        preset: "slack",
        name: "Slack",
        issuer: None,
        authorization_endpoint: "https://slack.com/oauth/v2/authorize",
        token_endpoint: "https://slack.com/api/oauth.v2.access",
        revocation_endpoint: Some("https://slack.com/api/auth.revoke"),
        userinfo_endpoint: None,
        token_auth: TokenAuth::Post,
        revocation: Revocation::Bearer,
        scopes: &["chat:write"],
        authorize_parameters: &[],
        hosts: &["slack.com", "*.slack.com"],
        console: "https://api.slack.com/apps",
    },
    Preset {
        preset: "notion",
        name: "Notion",
        issuer: None,
        authorization_endpoint: "https://api.notion.com/v1/oauth/authorize",
        token_endpoint: "https://api.notion.com/v1/oauth/token",
        revocation_endpoint: Some("https://api.notion.com/v1/oauth/revoke"),
        userinfo_endpoint: None,
        token_auth: TokenAuth::Basic,
        revocation: Revocation::Json,
        scopes: &[],
        authorize_parameters: &[("owner", "user")],
        hosts: &["api.notion.com"],
        console: "https://www.notion.so/my-integrations",
    },
    Preset {
        preset: "microsoft",
        name: "Microsoft",
        // The issuer names the tenant, which is known only after the answer.
        issuer: None,
        authorization_endpoint: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        token_endpoint: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        revocation_endpoint: None,
        userinfo_endpoint: Some("https://graph.microsoft.com/oidc/userinfo"),
        token_auth: TokenAuth::Post,
        revocation: Revocation::None,
        scopes: &["openid", "email", "offline_access", "User.Read"],
        authorize_parameters: &[],
        hosts: &["graph.microsoft.com"],
        console: "https://entra.microsoft.com",
    },
];

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.preset == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_a_preset_travel_over_https_to_named_hosts() {
        for preset in PRESETS {
            let endpoints = [preset.authorization_endpoint, preset.token_endpoint];
            let optional = [preset.revocation_endpoint, preset.userinfo_endpoint];
            for url in endpoints.into_iter().chain(optional.into_iter().flatten()) {
                assert_eq!(url::Url::parse(url).unwrap().scheme(), "https", "{url}");
            }
            assert!(!preset.hosts.is_empty() && !preset.hosts.contains(&"*"));
        }
        assert_eq!(find("github").map(|p| p.name), Some("GitHub"));
        assert!(find("nobody").is_none());
    }
}
