//! What a provider says about itself: OpenID Connect Discovery 1.0 and RFC 8414 metadata, and who was connected.

use crate::provider::Provider;
use crate::send::{self, Fault};
use crate::tokens::Granted;
use http::Request;
use http::header::AUTHORIZATION;
use nodeai_app::Cx;
use serde::Deserialize;
use serde_json::Value;

/// A provider's metadata, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// Must be the issuer that was asked for.
    pub issuer: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// RFC 7009.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// OpenID Connect.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// RFC 8414; `client_secret_basic` when absent.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Reads the metadata of `issuer`. Errors: none found, or they name another issuer.
pub async fn discover(cx: &Cx, issuer: &str) -> Result<Metadata, Fault> {
    let base = issuer.trim_end_matches('/');
    let url = send::parse(issuer)?;
    let path = url.path().trim_end_matches('/');
    let origin = url.origin().ascii_serialization();
    // OpenID appends, RFC 8414 inserts.
    let places = [
        format!("{base}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ];
    let mut last = Fault::Malformed("no metadata".to_owned());
    for place in places {
        match read(cx, &place).await {
            Ok(metadata) if metadata.issuer == issuer => return Ok(metadata),
            Ok(metadata) => {
                let other = metadata.issuer;
                return Err(Fault::Malformed(format!("{place} is about {other}")));
            }
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

async fn read(cx: &Cx, place: &str) -> Result<Metadata, Fault> {
    let request = send::request(Request::get(place), "")?;
    let answer = send::send(cx, request).await?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice(answer.body())
            .map_err(|error| Fault::Malformed(format!("{place}: {error}"))),
        status @ (429 | 500..) => Err(Fault::Unavailable(format!("{place} answered {status}"))),
        status => Err(Fault::Malformed(format!("{place} answered {status}"))),
    }
}

/// A name for the account behind a grant: from the provider's user information, else from the grant itself; empty when
/// neither says. Errors: the provider refuses its own token.
pub async fn account(cx: &Cx, provider: &Provider, granted: &Granted) -> Result<String, Fault> {
    let Some(endpoint) = provider.userinfo_endpoint.as_deref() else {
        return Ok(named(&granted.more));
    };
    let bearer = format!("Bearer {}", granted.tokens.access_token);
    let request = Request::get(endpoint).header(AUTHORIZATION, bearer);
    let answer = send::send(cx, send::request(request, "")?).await?;
    match answer.status().as_u16() {
        200 => Ok(named(
            &serde_json::from_slice(answer.body()).unwrap_or_default(),
        )),
        status @ (429 | 500..) => Err(Fault::Unavailable(format!("it answered {status}"))),
        // Scopes may not cover it; the connection is good all the same.
        _ => Ok(named(&granted.more)),
    }
}

fn named(said: &Value) -> String {
    let places = [
        "/email",
        "/login",
        "/preferred_username",
        "/owner/user/person/email",
        "/workspace_name",
        "/team/name",
        "/name",
        "/sub",
        "/id",
        "/bot_id",
    ];
    let found = places.iter().find_map(|place| match said.pointer(place)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    found.unwrap_or_default().chars().take(320).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_account_is_named_by_what_people_know() {
        let cases = [
            (json!({"sub": "1", "email": "a@b.c"}), "a@b.c"),
            (json!({"id": 7, "login": "octocat"}), "octocat"),
            (json!({"team": {"name": "Acme"}}), "Acme"),
            (json!({"workspace_name": "W", "bot_id": "b"}), "W"),
            (json!({"sub": "1"}), "1"),
            (json!({"email": ""}), ""),
            (json!(null), ""),
        ];
        for (said, want) in cases {
            assert_eq!(named(&said), want);
        }
    }
}
