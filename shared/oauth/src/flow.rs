//! The code flow: the authorization request, the code's exchange, the refresh.

use crate::provider::{Provider, TokenAuth};
use crate::send::{self, Fault};
use crate::tokens::{Granted, Tokens, ends_us};
use bytes::Bytes;
use nodeai_app::Cx;
use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenIntrospectionResponse, StandardTokenResponse, TokenResponse, TokenUrl, basic,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::Cell;

/// What a provider says beside the protocol's own fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More(Map<String, Value>);
impl ExtraTokenFields for More {}

type Answer = StandardTokenResponse<More, BasicTokenType>;
type AnyClient = Client<
    BasicErrorResponse,
    Answer,
    StandardTokenIntrospectionResponse<More, BasicTokenType>,
    StandardRevocableToken,
    basic::BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What a person is sent to the provider with.
pub struct Ask<'a> {
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// One-time state.
    pub state: &'a str,
    /// PKCE verifier; only its SHA-256 travels.
    pub verifier: &'a str,
    /// Scopes instead of the provider's usual ones.
    pub scopes: &'a [String],
}

impl Provider {
    fn client(&self, secret: Option<&str>) -> Result<AnyClient, Fault> {
        let bad = |what: &str| Fault::Configuration(format!("{what} is no URL"));
        let mut client = Client::new(ClientId::new(self.client_id.clone())).set_auth_type(
            match self.token_auth {
                TokenAuth::Basic => AuthType::BasicAuth,
                TokenAuth::Post | TokenAuth::None => AuthType::RequestBody,
            },
        );
        if let Some(secret) = secret {
            client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
        }
        let authorize = AuthUrl::new(self.authorization_endpoint.clone());
        let token = TokenUrl::new(self.token_endpoint.clone());
        Ok(client
            .set_auth_uri(authorize.map_err(|_| bad("authorization_endpoint"))?)
            .set_token_uri(token.map_err(|_| bad("token_endpoint"))?))
    }

    /// The URL that a person is sent to (RFC 6749, section 4.1.1; PKCE S256, RFC 7636).
    ///
    /// Errors: an endpoint that is no URL.
    pub fn authorization_url(&self, ask: &Ask<'_>) -> Result<String, Fault> {
        let redirect = redirect(ask.redirect_uri)?;
        let verifier = PkceCodeVerifier::new(ask.verifier.to_owned());
        let scopes = ask.scopes.iter().cloned().map(Scope::new);
        let client = self.client(None)?;
        let mut request = client
            .authorize_url(|| CsrfToken::new(ask.state.to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(scopes);
        for (name, value) in &self.authorize_parameters {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        Ok(request.url().0.into())
    }

    /// Turns a code into tokens (RFC 6749, section 4.1.3). Errors: what the provider says, or that it does not.
    pub async fn exchange(
        &self,
        cx: &Cx,
        secret: Option<&str>,
        (code, verifier, redirect_uri): (&str, &str, &str),
    ) -> Result<Granted, Fault> {
        let client = self.client(secret)?;
        let http = Http::new(cx);
        let sent = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .set_redirect_uri(Cow::Owned(redirect(redirect_uri)?))
            .request_async(&|request| http.send(request))
            .await;
        sent.map(granted).map_err(|error| http.fault(error))
    }

    /// Asks for the next access token (RFC 6749, section 6). A provider that rotates gives a new refresh token too;
    /// otherwise the old one stays. Errors: as for a code; `Refused` means that the grant has ended.
    pub async fn refresh(
        &self,
        cx: &Cx,
        secret: Option<&str>,
        refresh_token: &str,
    ) -> Result<Granted, Fault> {
        let client = self.client(secret)?;
        let http = Http::new(cx);
        let sent = client
            .exchange_refresh_token(&RefreshToken::new(refresh_token.to_owned()))
            .request_async(&|request| http.send(request))
            .await;
        let mut granted = sent.map(granted).map_err(|error| http.fault(error))?;
        let kept = || Some(refresh_token.to_owned());
        granted.tokens.refresh_token = granted.tokens.refresh_token.or_else(kept);
        Ok(granted)
    }
}

fn redirect(uri: &str) -> Result<RedirectUrl, Fault> {
    let made = RedirectUrl::new(uri.to_owned());
    made.map_err(|_| Fault::Configuration("the redirect URI is no URL".to_owned()))
}

fn granted(answer: Answer) -> Granted {
    // Slack separates scopes by commas.
    let scopes = answer.scopes().map(|scopes| {
        let all = scopes.iter().flat_map(|scope| scope.split(','));
        let named = all.filter(|scope| !scope.is_empty());
        named.map(str::to_owned).collect()
    });
    Granted {
        tokens: Tokens {
            access_token: answer.access_token().secret().clone(),
            refresh_token: answer.refresh_token().map(|token| token.secret().clone()),
        },
        expires_us: ends_us(answer.expires_in().map(|duration| duration.as_secs())),
        scopes,
        more: Value::Object(answer.extra_fields().0.clone()),
    }
}

/// The token endpoint's transport; remembers the status for what is no answer of the protocol.
struct Http<'a> {
    cx: &'a Cx,
    status: Cell<u16>,
}

impl<'a> Http<'a> {
    fn new(cx: &'a Cx) -> Self {
        Self {
            cx,
            status: Cell::new(0),
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let answer = send::send(self.cx, request.map(Bytes::from)).await?;
        self.status.set(answer.status().as_u16());
        Ok(answer.map(|body| body.to_vec()))
    }

    fn fault(&self, error: RequestTokenError<Fault, BasicErrorResponse>) -> Fault {
        let status = self.status.get();
        match error {
            RequestTokenError::Request(fault) => fault,
            _ if status >= 500 || status == 429 => {
                Fault::Unavailable(format!("it answered {status}"))
            }
            RequestTokenError::ServerResponse(said) => Fault::Refused(said.to_string()),
            // GitHub and Slack refuse with status 200.
            RequestTokenError::Parse(error, body) => match said_in(&body) {
                Some(code) => Fault::Refused(code),
                None => Fault::Malformed(format!("status {status}, {error}")),
            },
            RequestTokenError::Other(text) => Fault::Malformed(format!("status {status}, {text}")),
        }
    }
}

fn said_in(body: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let code = said["error"].as_str()?;
    Some(match said["error_description"].as_str() {
        Some(text) => format!("{code}: {text}"),
        None => code.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Revocation;

    fn provider() -> Provider {
        Provider {
            id: String::new(),
            slug: "p".into(),
            issuer: None,
            issuer_in_response: false,
            authorization_endpoint: "https://p.example/authorize?tenant=1".into(),
            token_endpoint: "https://p.example/token".into(),
            revocation_endpoint: None,
            userinfo_endpoint: None,
            token_auth: TokenAuth::Basic,
            revocation: Revocation::Rfc7009,
            client_id: "me".into(),
            client_secret: None,
            scopes: vec![],
            authorize_parameters: [("access_type".into(), "offline".into())].into(),
            redirect_uris: vec![],
            hosts: vec![],
        }
    }

    #[test]
    fn the_request_carries_the_challenge_of_rfc_7636_and_not_the_verifier() {
        // Appendix B of the RFC.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let ask = Ask {
            redirect_uri: "https://app.example/back?x=1",
            state: "st",
            verifier,
            scopes: &["a".to_owned(), "b".to_owned()],
        };
        let url = provider().authorization_url(&ask).unwrap();
        let url = url::Url::parse(&url).unwrap();
        let sent: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(
            sent["code_challenge"],
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let want = [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "me"),
            ("redirect_uri", "https://app.example/back?x=1"),
            ("state", "st"),
            ("scope", "a b"),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
        ];
        for (name, value) in want {
            assert_eq!(sent[name], value, "{name}");
        }
        assert!(!url.as_str().contains(verifier));
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        assert_eq!(
            said_in(br#"{"error":"bad_verification_code","error_description":"expired"}"#),
            Some("bad_verification_code: expired".to_owned())
        );
        assert_eq!(
            said_in(br#"{"ok":false,"error":"invalid_code"}"#).as_deref(),
            Some("invalid_code")
        );
        assert_eq!(said_in(b"<html>"), None);
    }
}
