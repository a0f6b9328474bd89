//! Tokens by the code flow, for a client without a person: it goes to the authorization endpoint itself and reads the code
//! from where that leads.

use crate::wire::http;
use bytes::Bytes;
use http::Request;
use nodeai_mcp::auth::challenge::Challenge;
use nodeai_mcp::auth::grant::{self, CodeFlow, Registered, Token};
use nodeai_mcp::auth::metadata::{Issuer, Resource, issuer_places, resource_places};
use serde_json::Value;
use std::cell::RefCell;
use url::Url;

/// Where answers go; nobody listens there.
const REDIRECT: &str = "http://localhost:3000/callback";
/// By which an issuer may know this client.
const METADATA_URL: &str = "https://conformance-test.local/client-metadata.json";

/// What was granted so far.
#[derive(Default)]
struct State {
    token: Option<Token>,
    /// What was asked for, where the issuer does not say what it gave.
    scope: Option<String>,
    /// A client and its issuer: credentials of one are nobody's business elsewhere.
    registered: Option<(String, Registered)>,
}

/// Gets tokens for one server.
pub struct Grants {
    server: Url,
    context: Value,
    state: RefCell<State>,
}

impl Grants {
    /// For a server; `context` is what the suite tells the client beforehand.
    pub fn new(server: Url, context: Value) -> Self {
        Self {
            server,
            context,
            state: RefCell::default(),
        }
    }

    /// The token.
    pub fn token(&self) -> Option<String> {
        let state = self.state.borrow();
        state.token.as_ref().map(|token| token.access_token.clone())
    }

    /// Gets a token in place of none, or of one that does not do.
    ///
    /// # Errors
    /// Why there is none to be had.
    pub async fn authorize(&self, challenge: &str) -> Result<(), String> {
        let challenge = Challenge::read(challenge);
        let body = first_of(&resource_places(&self.server, &challenge)).await?;
        let resource = Resource::read(&body, &self.server).map_err(|e| e.to_string())?;
        let named = resource.authorization_servers[0].clone();
        let url = Url::parse(&named).map_err(|e| e.to_string())?;
        let body = first_of(&issuer_places(&url)).await?;
        let issuer = Issuer::read(&body, &named).map_err(|e| e.to_string())?;
        let wanted = grant::scope(&challenge, &resource, &issuer);
        let scope = {
            let state = self.state.borrow();
            let granted = state.token.as_ref().and_then(|token| token.scope.clone());
            grant::union(
                granted.or_else(|| state.scope.clone()).as_deref(),
                wanted.as_deref(),
            )
        };
        let client = self.client(&named, &issuer, scope.as_deref()).await?;
        let token = match self.acts_for_itself() {
            true => {
                let (of, wanted) = (&resource.resource, scope.as_deref());
                let request = grant::client_credentials(&issuer, &client, of, wanted);
                let (status, body) = send(request.map_err(|e| e.to_string())?).await?;
                grant::read_token(status, &body).map_err(|e| e.to_string())?
            }
            false => {
                let of = &resource.resource;
                self.code_flow(&issuer, &client, of, scope.clone()).await?
            }
        };
        let mut state = self.state.borrow_mut();
        state.token = Some(token);
        state.scope = scope;
        Ok(())
    }

    /// Whether there is no person behind this client.
    fn acts_for_itself(&self) -> bool {
        self.context["name"] == "auth/client-credentials-basic"
    }

    /// Who this client is at an issuer: as it was told, as it has registered, or as its document says.
    async fn client(
        &self,
        named: &str,
        issuer: &Issuer,
        scope: Option<&str>,
    ) -> Result<Registered, String> {
        if let Some((of, known)) = &self.state.borrow().registered
            && of == named
        {
            return Ok(known.clone());
        }
        let text = |name: &str| {
            self.context
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let client = if let Some(client_id) = text("client_id") {
            Registered {
                client_id,
                client_secret: text("client_secret"),
                token_endpoint_auth_method: None,
            }
        } else if issuer.client_id_metadata_document_supported {
            Registered {
                client_id: METADATA_URL.to_owned(),
                client_secret: None,
                token_endpoint_auth_method: Some("none".to_owned()),
            }
        } else {
            let metadata = grant::metadata("nodeai-conformance", REDIRECT, scope);
            let request = grant::registration(issuer, &metadata).map_err(|e| e.to_string())?;
            let (_, body) = send(request).await?;
            serde_json::from_slice(&body).map_err(|e| e.to_string())?
        };
        let mut state = self.state.borrow_mut();
        state.registered = Some((named.to_owned(), client.clone()));
        Ok(client)
    }

    async fn code_flow(
        &self,
        issuer: &Issuer,
        client: &Registered,
        resource: &str,
        scope: Option<String>,
    ) -> Result<Token, String> {
        let random = || uuid::Uuid::new_v4().simple().to_string();
        let flow = CodeFlow {
            client_id: client.client_id.clone(),
            redirect_uri: REDIRECT.to_owned(),
            resource: resource.to_owned(),
            scope,
            state: random(),
            verifier: random() + &random(),
        };
        let url = flow.url(issuer).map_err(|e| e.to_string())?;
        let answered = http().get(url).send().await.map_err(|e| e.to_string())?;
        let to = answered
            .headers()
            .get("location")
            .and_then(|to| to.to_str().ok());
        let to = Url::parse(to.ok_or("the authorization endpoint leads nowhere")?)
            .map_err(|e| e.to_string())?;
        let code = flow.code(&to, issuer).map_err(|e| e.to_string())?;
        let request = flow
            .exchange(issuer, client, &code)
            .map_err(|e| e.to_string())?;
        let (status, body) = send(request).await?;
        grant::read_token(status, &body).map_err(|e| e.to_string())
    }
}

async fn send(request: Request<Bytes>) -> Result<(u16, Bytes), String> {
    let request = reqwest::Request::try_from(request).map_err(|e| e.to_string())?;
    let response = http().execute(request).await.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    Ok((status, response.bytes().await.map_err(|e| e.to_string())?))
}

async fn first_of(places: &[Url]) -> Result<Bytes, String> {
    for place in places {
        let request = Request::get(place.as_str())
            .header("accept", "application/json")
            .body(Bytes::new());
        let (status, body) = send(request.map_err(|e| e.to_string())?).await?;
        if status == 200 {
            return Ok(body);
        }
    }
    Err(format!("there is no metadata at {places:?}"))
}
