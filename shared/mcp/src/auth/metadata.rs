//! Metadata: of a server as a protected resource (RFC 9728), and of the issuer of its tokens (RFC 8414, OpenID Connect
//! Discovery 1.0). Where it is, and whether it may be believed.

use super::Refused;
use super::challenge::Challenge;
use serde::Deserialize;
use url::Url;

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Resource {
    /// Which server: tokens are asked for it.
    pub resource: String,
    /// Who issues tokens for it.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// What there is to be allowed.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

/// What an issuer says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Issuer {
    /// Who it is.
    pub issuer: String,
    /// Where people go.
    pub authorization_endpoint: Option<String>,
    /// Where tokens are.
    pub token_endpoint: Option<String>,
    /// Where clients register (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// What there is to be allowed.
    pub scopes_supported: Vec<String>,
    /// How clients say who they are at the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// PKCE.
    pub code_challenge_methods_supported: Vec<String>,
    /// Grants.
    pub grant_types_supported: Vec<String>,
    /// Whether answers to authorization requests say whose they are (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether a client may be known by the URL of a document about it.
    pub client_id_metadata_document_supported: bool,
}

/// Places of a server's metadata, to be tried in this order: what its refusal names, else the well-known ones.
pub fn resource_places(server: &Url, challenge: &Challenge) -> Vec<Url> {
    let named = challenge.resource_metadata.as_deref();
    if let Some(named) = named.and_then(|named| Url::parse(named).ok()) {
        return vec![named];
    }
    well_known(server, &["oauth-protected-resource"])
}

/// Places of an issuer's metadata, to be tried in this order.
pub fn issuer_places(issuer: &Url) -> Vec<Url> {
    let mut places = Vec::new();
    let path = issuer.path().trim_end_matches('/');
    if path.is_empty() {
        return well_known(
            issuer,
            &["oauth-authorization-server", "openid-configuration"],
        );
    }
    for name in ["oauth-authorization-server", "openid-configuration"] {
        places.push(at(issuer, &format!("/.well-known/{name}{path}")));
    }
    places.push(at(
        issuer,
        &format!("{path}/.well-known/openid-configuration"),
    ));
    places
}

fn well_known(base: &Url, names: &[&str]) -> Vec<Url> {
    let path = base.path().trim_end_matches('/');
    let mut places = Vec::new();
    for name in names {
        if !path.is_empty() {
            places.push(at(base, &format!("/.well-known/{name}{path}")));
        }
        places.push(at(base, &format!("/.well-known/{name}")));
    }
    places
}

fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

impl Resource {
    /// Reads a server's metadata.
    ///
    /// # Errors
    /// It is none, names no issuer, or speaks of another server: tokens would go astray.
    pub fn read(body: &[u8], server: &Url) -> Result<Self, Refused> {
        let what = "the server's metadata";
        let read: Self = serde_json::from_slice(body)
            .map_err(|error| Refused::Malformed(what, error.to_string()))?;
        let own = Url::parse(&read.resource).ok();
        if !own.is_some_and(|own| covers(&own, server)) {
            return Err(Refused::Mismatch {
                what: "resource",
                found: read.resource,
                expected: server.to_string(),
            });
        }
        match read.authorization_servers.is_empty() {
            true => Err(Refused::Malformed(what, "it names no issuer".to_owned())),
            false => Ok(read),
        }
    }
}

/// Whether a resource is this server, or what this server is below of.
fn covers(resource: &Url, server: &Url) -> bool {
    let path = resource.path().trim_end_matches('/');
    let below = server.path().strip_prefix(path);
    resource.origin() == server.origin()
        && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Issuer {
    /// Reads an issuer's metadata.
    ///
    /// # Errors
    /// It is none, or speaks of another issuer (RFC 8414, section 3.3: compared as texts).
    pub fn read(body: &[u8], issuer: &str) -> Result<Self, Refused> {
        let read: Self = serde_json::from_slice(body)
            .map_err(|error| Refused::Malformed("the issuer's metadata", error.to_string()))?;
        match read.issuer == issuer {
            true => Ok(read),
            false => Err(Refused::Mismatch {
                what: "issuer",
                found: read.issuer,
                expected: issuer.to_owned(),
            }),
        }
    }

    /// The token endpoint. Errors: there is none.
    pub fn token_endpoint(&self) -> Result<&str, Refused> {
        let endpoint = self.token_endpoint.as_deref();
        endpoint.ok_or(Refused::Unsupported("token endpoint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn texts(urls: Vec<Url>) -> Vec<String> {
        urls.into_iter().map(String::from).collect()
    }

    #[test]
    fn places_follow_the_specifications() {
        let nothing = Challenge::default();
        assert_eq!(
            texts(resource_places(
                &url("https://a.example/public/mcp?x=1"),
                &nothing
            )),
            [
                "https://a.example/.well-known/oauth-protected-resource/public/mcp",
                "https://a.example/.well-known/oauth-protected-resource"
            ]
        );
        let named = Challenge {
            resource_metadata: Some("https://a.example/m".into()),
            ..nothing
        };
        assert_eq!(
            texts(resource_places(&url("https://a.example/"), &named)),
            ["https://a.example/m"]
        );
        assert_eq!(
            texts(issuer_places(&url("https://i.example/tenant1"))),
            [
                "https://i.example/.well-known/oauth-authorization-server/tenant1",
                "https://i.example/.well-known/openid-configuration/tenant1",
                "https://i.example/tenant1/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            texts(issuer_places(&url("https://i.example"))),
            [
                "https://i.example/.well-known/oauth-authorization-server",
                "https://i.example/.well-known/openid-configuration"
            ]
        );
    }

    #[test]
    fn metadata_about_somebody_else_is_not_believed() {
        let server = url("https://a.example/mcp");
        let of = |resource: &str| {
            let body =
                json!({"resource": resource, "authorization_servers": ["https://i.example"]});
            Resource::read(body.to_string().as_bytes(), &server).is_ok()
        };
        for good in [
            "https://a.example/mcp",
            "https://a.example",
            "https://a.example/",
        ] {
            assert!(of(good), "{good}");
        }
        for bad in [
            "https://evil.example/mcp",
            "https://a.example/other",
            "https://a.example/mc",
            "http://a.example/mcp",
            "x",
        ] {
            assert!(!of(bad), "{bad}");
        }
        let issuer = |said: &str| {
            Issuer::read(
                json!({"issuer": said}).to_string().as_bytes(),
                "https://i.example",
            )
        };
        assert!(issuer("https://i.example").is_ok());
        assert!(issuer("https://i.example/").is_err());
    }
}
