//! Taking tokens back at the provider.

use crate::provider::{Provider, Revocation, TokenAuth};
use crate::send::{self, Fault};
use crate::tokens::Tokens;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Builder;
use http::{Method, Request};
use nodeai_app::Cx;
use serde_json::json;
use url::form_urlencoded;

const FORM: &str = "application/x-www-form-urlencoded";

impl Provider {
    /// Takes the tokens back: the refresh token, which ends the grant, and the access token. Returns whether the
    /// provider knows how. Errors: the provider cannot be reached or says no.
    pub async fn revoke(
        &self,
        cx: &Cx,
        secret: Option<&str>,
        tokens: &Tokens,
    ) -> Result<bool, Fault> {
        let Some(endpoint) = self.revocation_endpoint.as_deref() else {
            return Ok(false);
        };
        let endpoint = endpoint.replace("{client_id}", &self.client_id);
        let request = Request::builder().uri(&endpoint);
        match self.revocation {
            Revocation::None => return Ok(false),
            Revocation::Rfc7009 => return self.rfc7009(cx, secret, tokens, &endpoint).await,
            Revocation::Bearer => {
                let bearer = format!("Bearer {}", tokens.access_token);
                let request = request.method(Method::POST).header(AUTHORIZATION, bearer);
                self.done(cx, request.header(CONTENT_TYPE, FORM), String::new())
                    .await?;
            }
            Revocation::Github | Revocation::Json => {
                let (method, member) = match self.revocation {
                    Revocation::Github => (Method::DELETE, "access_token"),
                    _ => (Method::POST, "token"),
                };
                let request = request.method(method);
                let request = request.header(AUTHORIZATION, self.basic(secret));
                let body = json!({member: tokens.access_token}).to_string();
                self.done(cx, request.header(CONTENT_TYPE, "application/json"), body)
                    .await?;
            }
        }
        Ok(true)
    }

    /// RFC 7009, section 2.1. A token that the provider does not know is one that is gone.
    async fn rfc7009(
        &self,
        cx: &Cx,
        secret: Option<&str>,
        tokens: &Tokens,
        endpoint: &str,
    ) -> Result<bool, Fault> {
        let refresh = tokens.refresh_token.as_deref();
        let both = [
            refresh.map(|token| (token, "refresh_token")),
            Some((tokens.access_token.as_str(), "access_token")),
        ];
        for (token, hint) in both.into_iter().flatten() {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("token", token);
            form.append_pair("token_type_hint", hint);
            let mut request = Request::post(endpoint).header(CONTENT_TYPE, FORM);
            match (self.token_auth, secret) {
                (TokenAuth::Basic, Some(_)) => {
                    request = request.header(AUTHORIZATION, self.basic(secret));
                }
                (_, secret) => {
                    form.append_pair("client_id", &self.client_id);
                    if let Some(secret) = secret {
                        form.append_pair("client_secret", secret);
                    }
                }
            }
            self.done(cx, request, form.finish()).await?;
        }
        Ok(true)
    }

    async fn done(&self, cx: &Cx, request: Builder, body: String) -> Result<(), Fault> {
        let answer = send::send(cx, send::request(request, body)?).await?;
        match answer.status().as_u16() {
            200..=299 | 404 => Ok(()),
            status @ (429 | 500..) => Err(Fault::Unavailable(format!("it answered {status}"))),
            status => Err(Fault::Refused(format!("status {status}"))),
        }
    }

    /// HTTP Basic as RFC 6749 has it: both parts form-encoded first.
    fn basic(&self, secret: Option<&str>) -> String {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!(
            "{}:{}",
            encode(&self.client_id),
            encode(secret.unwrap_or_default())
        );
        format!("Basic {}", STANDARD.encode(pair))
    }
}
