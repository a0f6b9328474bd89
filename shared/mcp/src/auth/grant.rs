//! What is asked of an issuer: registration (RFC 7591), authorization codes with PKCE (RFC 6749, RFC 7636), client
//! credentials; each for one resource (RFC 8707).

use super::Refused;
use super::challenge::Challenge;
use super::metadata::{Issuer, Resource};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

/// How a client says who it is at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
    /// `none`: a public client.
    None,
}

impl ClientAuth {
    /// The way for a client: the one that its registration names, else one that the issuer takes.
    pub fn choose(issuer: &Issuer, registered: Option<&str>, has_secret: bool) -> Self {
        let takes = |name: &str| {
            let offered = &issuer.token_endpoint_auth_methods_supported;
            offered.iter().any(|one| one == name)
        };
        match registered {
            Some("client_secret_basic") if has_secret => Self::Basic,
            Some("client_secret_post") if has_secret => Self::Post,
            Some("none") => Self::None,
            _ if !has_secret => Self::None,
            _ if takes("client_secret_basic") => Self::Basic,
            _ if takes("client_secret_post") => Self::Post,
            _ if takes("none") => Self::None,
            // RFC 8414, section 2: what counts where nothing is said.
            _ => Self::Basic,
        }
    }
}

/// A client as an issuer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Registered {
    /// Its id.
    pub client_id: String,
    /// Its secret; none for a public client.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// How it says who it is.
    #[serde(default)]
    pub token_endpoint_auth_method: Option<String>,
}

/// What an issuer gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// The token.
    pub access_token: String,
    /// For how long, s.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// To get another one with.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// What it allows.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Which scopes to ask for: those that the refusal names, else those that the server knows, else none by name. Where the
/// issuer offers `offline_access`, that too: else the grant would end with its first token.
pub fn scope(challenge: &Challenge, resource: &Resource, issuer: &Issuer) -> Option<String> {
    let known = resource.scopes_supported.join(" ");
    let known = Some(known).filter(|known| !known.is_empty());
    let wanted = challenge.scope.clone().or(known);
    let offline = "offline_access";
    let offered = issuer.scopes_supported.iter().any(|one| one == offline);
    match wanted {
        Some(wanted) if offered && !wanted.split(' ').any(|one| one == offline) => {
            Some(format!("{wanted} {offline}"))
        }
        None if offered => Some(offline.to_owned()),
        wanted => wanted,
    }
}

/// Both sets of scopes, each once: what a token has to allow that is to allow more than the one before.
pub fn union(before: Option<&str>, wanted: Option<&str>) -> Option<String> {
    let mut all: Vec<&str> = Vec::new();
    for one in before
        .into_iter()
        .chain(wanted)
        .flat_map(str::split_whitespace)
    {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Some(all.join(" ")).filter(|all| !all.is_empty())
}

/// One run of the code flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFlow {
    /// Who the client is.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// For which resource.
    pub resource: String,
    /// To allow what.
    pub scope: Option<String>,
    /// Comes back with the answer.
    pub state: String,
    /// Of which the request shows the hash: 43 to 128 characters.
    pub verifier: String,
}

impl CodeFlow {
    /// Where to send the person.
    ///
    /// # Errors
    /// The issuer has no such endpoint, or no PKCE with SHA-256, without which codes can be stolen.
    pub fn url(&self, issuer: &Issuer) -> Result<Url, Refused> {
        let endpoint = issuer.authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or(Refused::Unsupported("authorization endpoint"))?;
        let methods = &issuer.code_challenge_methods_supported;
        if !methods.iter().any(|one| one == "S256") {
            return Err(Refused::Unsupported("PKCE with S256"));
        }
        let mut url = Url::parse(endpoint)
            .map_err(|error| Refused::Malformed("authorization_endpoint", error.to_string()))?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("state", &self.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &self.resource);
        if let Some(scope) = &self.scope {
            query.append_pair("scope", scope);
            if scope.split(' ').any(|one| one == "offline_access") {
                // OpenID Connect Core 1.0, section 11.
                query.append_pair("prompt", "consent");
            }
        }
        drop(query);
        Ok(url)
    }

    /// The code of an answer.
    ///
    /// # Errors
    /// It is a refusal, or not the issuer's answer to this request (RFC 9207).
    pub fn code(&self, answer: &Url, issuer: &Issuer) -> Result<String, Refused> {
        let get = |name: &str| {
            let mut pairs = answer.query_pairs();
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.into_owned())
        };
        let differs = |what: &'static str, found: Option<String>, expected: &str| match found {
            Some(found) if found == expected => Ok(()),
            found => Err(Refused::Mismatch {
                what,
                found: found.unwrap_or_default(),
                expected: expected.to_owned(),
            }),
        };
        differs("state", get("state"), &self.state)?;
        // Before anything else of the answer is believed, its errors included.
        let iss = get("iss");
        if iss.is_some() || issuer.authorization_response_iss_parameter_supported {
            differs("iss", iss, &issuer.issuer)?;
        }
        if let Some(error) = get("error") {
            let about = get("error_description").map(|text| format!(": {text}"));
            return Err(Refused::Denied(error + &about.unwrap_or_default()));
        }
        let code = get("code");
        code.ok_or_else(|| Refused::Malformed("the answer", "it has no code".to_owned()))
    }

    /// The request that turns a code into a token.
    ///
    /// # Errors
    /// The issuer has no such endpoint.
    pub fn exchange(
        &self,
        issuer: &Issuer,
        client: &Registered,
        code: &str,
    ) -> Result<Request<Bytes>, Refused> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", self.verifier.as_str()),
            ("resource", self.resource.as_str()),
        ];
        token_request(issuer, client, &form)
    }
}

/// The request for a token with which a client acts for itself.
///
/// # Errors
/// The issuer has no token endpoint.
pub fn client_credentials(
    issuer: &Issuer,
    client: &Registered,
    resource: &str,
    scope: Option<&str>,
) -> Result<Request<Bytes>, Refused> {
    let mut form = vec![("grant_type", "client_credentials"), ("resource", resource)];
    form.extend(scope.map(|scope| ("scope", scope)));
    token_request(issuer, client, &form)
}

fn token_request(
    issuer: &Issuer,
    client: &Registered,
    form: &[(&str, &str)],
) -> Result<Request<Bytes>, Refused> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let mut request = Request::post(issuer.token_endpoint()?)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    let secret = client.client_secret.as_deref();
    let way = client.token_endpoint_auth_method.as_deref();
    match (ClientAuth::choose(issuer, way, secret.is_some()), secret) {
        (ClientAuth::Basic, Some(secret)) => {
            // RFC 6749, section 2.3.1: both are encoded as in a form first.
            let part =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", part(&client.client_id), part(secret));
            let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
            request = request.header(header::AUTHORIZATION, basic);
        }
        (ClientAuth::Post, Some(secret)) => {
            body.append_pair("client_id", &client.client_id);
            body.append_pair("client_secret", secret);
        }
        _ => {
            body.append_pair("client_id", &client.client_id);
        }
    }
    let made = request.body(Bytes::from(body.finish()));
    made.map_err(|error| Refused::Malformed("token_endpoint", error.to_string()))
}

/// The request that registers a client by its metadata, such as `redirect_uris` and `client_name`.
///
/// # Errors
/// The issuer lets nobody register.
pub fn registration(issuer: &Issuer, metadata: &Value) -> Result<Request<Bytes>, Refused> {
    let endpoint = issuer.registration_endpoint.as_deref();
    let endpoint = endpoint.ok_or(Refused::Unsupported("registration"))?;
    let made = Request::post(endpoint)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Bytes::from(metadata.to_string()));
    made.map_err(|error| Refused::Malformed("registration_endpoint", error.to_string()))
}

/// A client as a person would describe it to an issuer.
pub fn metadata(name: &str, redirect_uri: &str, scope: Option<&str>) -> Value {
    let native = Url::parse(redirect_uri).is_ok_and(|url| {
        url.scheme() != "https"
            && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    });
    let mut metadata = json!({"client_name": name, "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "application_type": if native { "native" } else { "web" }});
    if let Some(scope) = scope {
        metadata["scope"] = json!(scope);
    }
    metadata
}

/// Reads what an issuer gives.
///
/// # Errors
/// It refuses, or gives something else.
pub fn read_token(status: u16, body: &[u8]) -> Result<Token, Refused> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = said.get("error").and_then(Value::as_str) {
        let about = said.get("error_description").and_then(Value::as_str);
        let about = about.map(|text| format!(": {text}")).unwrap_or_default();
        return Err(Refused::Denied(format!("{error}{about}")));
    }
    if !(200..=299).contains(&status) {
        return Err(Refused::Denied(format!("HTTP {status}")));
    }
    serde_json::from_value(said).map_err(|error| Refused::Malformed("the token", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer {
            issuer: "https://i.example".into(),
            authorization_endpoint: Some("https://i.example/authorize?a=1".into()),
            token_endpoint: Some("https://i.example/token".into()),
            code_challenge_methods_supported: vec!["S256".into()],
            ..Issuer::default()
        }
    }

    fn flow() -> CodeFlow {
        CodeFlow {
            client_id: "c".into(),
            redirect_uri: "http://localhost:1/cb".into(),
            resource: "https://a.example/mcp".into(),
            scope: Some("x".into()),
            state: "s".into(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
        }
    }

    #[test]
    fn the_published_challenge_is_made() {
        let url = flow().url(&issuer()).unwrap();
        let query = url.query().unwrap();
        assert!(query.starts_with("a=1&"));
        assert!(query.contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        let without = Issuer {
            code_challenge_methods_supported: vec!["plain".into()],
            ..issuer()
        };
        assert_eq!(
            flow().url(&without),
            Err(Refused::Unsupported("PKCE with S256"))
        );
    }

    #[test]
    fn an_answer_of_somebody_else_is_not_believed() {
        let code = |query: &str, issuer: &Issuer| {
            let url = Url::parse(&format!("http://localhost:1/cb?{query}")).unwrap();
            flow().code(&url, issuer).is_ok()
        };
        assert!(code("state=s&code=1", &issuer()));
        assert!(code(
            "state=s&code=1&iss=https%3A%2F%2Fi.example",
            &issuer()
        ));
        assert!(!code("state=t&code=1", &issuer()));
        assert!(!code(
            "state=s&code=1&iss=https%3A%2F%2Fi.example%2F",
            &issuer()
        ));
        assert!(!code("state=s&error=access_denied", &issuer()));
        let says = Issuer {
            authorization_response_iss_parameter_supported: true,
            ..issuer()
        };
        assert!(!code("state=s&code=1", &says));
    }

    #[test]
    fn clients_say_who_they_are_as_the_issuer_takes_it() {
        let client = |secret: Option<&str>, way: Option<&str>| Registered {
            client_id: "a:b".into(),
            client_secret: secret.map(str::to_owned),
            token_endpoint_auth_method: way.map(str::to_owned),
        };
        let sent = |issuer: &Issuer, client: &Registered| {
            let request =
                client_credentials(issuer, client, "https://a.example/mcp", Some("x")).unwrap();
            let authorization = request
                .headers()
                .get("authorization")
                .map(|v| v.to_str().unwrap().to_owned());
            (
                authorization,
                String::from_utf8(request.body().to_vec()).unwrap(),
            )
        };
        let (basic, body) = sent(&issuer(), &client(Some("s"), None));
        assert_eq!(basic.as_deref(), Some("Basic YSUzQWI6cw=="));
        assert_eq!(
            body,
            "grant_type=client_credentials&resource=https%3A%2F%2Fa.example%2Fmcp&scope=x"
        );
        let post = Issuer {
            token_endpoint_auth_methods_supported: vec!["client_secret_post".into()],
            ..issuer()
        };
        let (none, body) = sent(&post, &client(Some("s"), None));
        assert_eq!(none, None);
        assert!(body.ends_with("client_id=a%3Ab&client_secret=s"));
        let (none, body) = sent(&issuer(), &client(None, None));
        assert!(none.is_none() && body.ends_with("client_id=a%3Ab"));
    }

    #[test]
    fn scopes_come_from_the_refusal_first() {
        let resource = |scopes: &[&str]| Resource {
            resource: String::new(),
            authorization_servers: Vec::new(),
            scopes_supported: scopes.iter().map(|s| (*s).to_owned()).collect(),
        };
        let asked = |text: Option<&str>| Challenge {
            scope: text.map(str::to_owned),
            ..Challenge::default()
        };
        let of = |c: Option<&str>, r: &[&str]| scope(&asked(c), &resource(r), &issuer());
        assert_eq!(of(Some("a"), &["b"]).as_deref(), Some("a"));
        assert_eq!(of(None, &["b", "c"]).as_deref(), Some("b c"));
        assert_eq!(of(None, &[]), None);
        let offline = Issuer {
            scopes_supported: vec!["offline_access".into()],
            ..issuer()
        };
        assert_eq!(
            scope(&asked(Some("a")), &resource(&[]), &offline).as_deref(),
            Some("a offline_access")
        );
        assert_eq!(union(Some("a b"), Some("b c")).as_deref(), Some("a b c"));
        assert_eq!(union(None, None), None);
    }

    #[test]
    fn a_refusal_of_the_issuer_keeps_its_code() {
        let refused = read_token(
            400,
            br#"{"error":"invalid_grant","error_description":"gone"}"#,
        );
        assert_eq!(refused, Err(Refused::Denied("invalid_grant: gone".into())));
        assert!(read_token(200, br#"{"access_token":"t"}"#).is_ok());
        assert!(read_token(200, b"{}").is_err());
        assert!(read_token(500, b"x").is_err());
    }
}
