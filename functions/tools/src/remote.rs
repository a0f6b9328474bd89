//! MCP servers of others: our client on this host's HTTP.

use crate::config::McpServer;
use crate::learn::{self, Learned, TIMEOUT_MS};
use crate::outbound::{self, AGENT, Failure};
use crate::secrets::{Opened, token_of};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::BodyDataStream;
use nodeai_app::{Caller, Scope};
use nodeai_edge::http_client;
use nodeai_guard::UrlGuard;
use nodeai_http::Problem;
use nodeai_mcp::auth::challenge::Challenge;
use nodeai_mcp::auth::grant::{self, Registered};
use nodeai_mcp::auth::metadata::{Issuer, Resource, issuer_places, resource_places};
use nodeai_mcp::client::{CallResult, Client, Fault, Incoming, NoInputs, Spoken, Transport};
use nodeai_toolkit::credential::Auth;
use nodeai_toolkit::function::Function;
use nodeai_toolkit::openapi::LeftOut;
use nodeai_toolkit::request::Outgoing;
use nodeai_toolkit::template;
use serde_json::{Value, json};
use url::Url;

/// Who the client says that it is.
const NAME: &str = "nodeai";
/// Largest document of an issuer, bytes.
const MOST_METADATA: usize = 1 << 20;

/// Carries requests to one server, with its credentials.
struct Wire<'a> {
    guard: &'a UrlGuard,
    /// Where it is, with what the credentials add to its query.
    url: Url,
    headers: Vec<(String, String)>,
    confidential: bool,
}

impl Transport for Wire<'_> {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Incoming, Fault> {
        let transport = |failure: Failure| Fault::Transport {
            kind: failure.kind,
            message: failure.message,
        };
        outbound::guarded(self.guard, &self.url, self.confidential).map_err(transport)?;
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                value.set_sensitive(self.confidential);
                request.headers_mut().insert(name, value);
            }
        }
        let agent = HeaderValue::from_static(AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let uri = self.url.as_str().parse();
        *request.uri_mut() = uri.map_err(|_| Fault::Protocol("the URL is none".to_owned()))?;
        let sent = http_client::send(request).await;
        let response = sent.map_err(|error| transport(Failure::of(&error)))?;
        let (parts, body) = response.into_parts();
        if parts.status.is_redirection() {
            let message = "redirects are not followed".to_owned();
            return Err(Fault::Transport {
                kind: "redirect_refused",
                message,
            });
        }
        let chunks = BodyDataStream::new(body)
            .map_err(move |code| transport(Failure::of(&http_client::send_error(code))));
        Ok(Incoming {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: chunks.boxed_local(),
        })
    }
}

/// One server, with all that it takes to reach it.
struct Reach<'a, S> {
    caller: &'a Caller<S>,
    server: &'a McpServer,
    guard: UrlGuard,
    url: Url,
    opened: Opened,
}

impl<'a, S: Scope> Reach<'a, S> {
    /// Opens what the server's credentials need. Errors: those of the vault.
    async fn open(caller: &'a Caller<S>, server: &'a McpServer) -> Result<Self, Problem> {
        let opened = Opened::of(caller, &server.secrets()).await?;
        let url = Url::parse(&server.url);
        let url = url.map_err(|error| Problem::conflict(format!("the tool's URL: {error}")))?;
        Ok(Self {
            guard: caller.cx.guard().await,
            caller,
            server,
            url,
            opened,
        })
    }

    /// A wire with the credentials. `token` stands for what an issuer or a connection has given.
    fn wire(&self, token: Option<&str>) -> Result<Wire<'_>, Failure> {
        let mut carried = Outgoing::new("POST", self.url.clone());
        for (name, text) in &self.server.headers {
            let value = template::render(text, &self.opened.values);
            let value = value.map_err(|wrong| Failure::new("secret_missing", wrong.to_string()))?;
            carried.confidential |= value != *text;
            carried.set_header(name, value);
        }
        match &self.server.auth {
            // The issuer gives nothing before the server has said who it is.
            Some(Auth::ClientCredentials { .. }) if token.is_none() => {}
            Some(auth) => {
                let applied = auth.apply(&mut carried, &self.opened.values, token);
                applied.map_err(|why| Failure::new("secret_missing", why))?;
                self.opened.may_go_to(&carried.url)?;
            }
            None => {}
        }
        Ok(Wire {
            guard: &self.guard,
            url: carried.url,
            headers: carried.headers,
            confidential: carried.confidential,
        })
    }

    /// Does something with a client; where the server refuses the credentials and there are others to be had, once more.
    async fn with_client<T>(
        &self,
        spoken: Option<&str>,
        most: usize,
        work: impl AsyncFn(&Client<'_, Wire<'_>>) -> Result<T, Fault>,
    ) -> Result<(T, Option<String>), Failure> {
        let mut token = match &self.server.auth {
            Some(auth) => token_of(self.caller, auth, &self.url, None).await?,
            None => None,
        };
        self.caller.session.release();
        for last in [false, true] {
            let wire = self.wire(token.as_deref())?;
            let client = Client::new(&wire, self.url.as_str(), NAME, env!("CARGO_PKG_VERSION"));
            let client = client.with_most(most);
            let client = match spoken {
                Some(version) => client.with_spoken(Spoken {
                    version: version.to_owned(),
                    session: None,
                }),
                None => client,
            };
            let done = match client.connect().await {
                Ok(()) => work(&client).await,
                Err(fault) => Err(fault),
            };
            let version = client.spoken().map(|spoken| spoken.version);
            client.close().await;
            match done {
                Ok(done) => return Ok((done, version)),
                Err(Fault::Unauthorized { challenge, .. }) if !last => {
                    let field = challenge.as_deref().unwrap_or_default();
                    token = self
                        .other_token(token.as_deref(), &Challenge::read(field))
                        .await?;
                }
                Err(fault) => return Err(failure(fault)),
            }
        }
        Err(Failure::new(
            "unauthorized",
            "the server refuses the credentials",
        ))
    }

    /// A token in place of one that was refused. Errors: there is none to be had.
    async fn other_token(
        &self,
        refused: Option<&str>,
        challenge: &Challenge,
    ) -> Result<Option<String>, Failure> {
        match &self.server.auth {
            Some(auth @ Auth::Connection(_)) => {
                let token = token_of(self.caller, auth, &self.url, refused).await?;
                self.caller.session.release();
                Ok(token)
            }
            Some(Auth::ClientCredentials {
                client_id,
                secret,
                scope,
            }) => {
                let token = self
                    .ask_issuer(challenge, client_id, secret, scope.as_deref())
                    .await;
                token.map(Some)
            }
            _ => {
                let text = "the server refuses the credentials, or wants some";
                Err(Failure::new("unauthorized", text).with_status(401))
            }
        }
    }

    /// Client credentials at the server's own issuer, whom its metadata names (RFC 9728, RFC 8414).
    async fn ask_issuer(
        &self,
        challenge: &Challenge,
        client_id: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Result<String, Failure> {
        let refused =
            |error: nodeai_mcp::auth::Refused| Failure::new("unauthorized", error.to_string());
        let places = resource_places(&self.url, challenge);
        let body = self.first_of(&places, "the server's metadata").await?;
        let resource = Resource::read(&body, &self.url).map_err(refused)?;
        let named = resource.authorization_servers[0].clone();
        let url =
            Url::parse(&named).map_err(|error| Failure::new("unauthorized", error.to_string()))?;
        let body = self
            .first_of(&issuer_places(&url), "the issuer's metadata")
            .await?;
        let issuer = Issuer::read(&body, &named).map_err(refused)?;
        let value = self.opened.values.get(secret);
        let value = value.ok_or_else(|| {
            Failure::new("secret_missing", format!("there is no secret {secret}"))
        })?;
        let client = Registered {
            client_id: client_id.to_owned(),
            client_secret: Some(value.clone()),
            token_endpoint_auth_method: None,
        };
        let wanted = scope.map(str::to_owned).or_else(|| challenge.scope.clone());
        let known = resource.scopes_supported.join(" ");
        let wanted = wanted.or_else(|| Some(known).filter(|known| !known.is_empty()));
        let request =
            grant::client_credentials(&issuer, &client, &resource.resource, wanted.as_deref());
        let answer = self.send(request.map_err(refused)?).await?;
        let token = grant::read_token(answer.status, &answer.body).map_err(refused)?;
        Ok(token.access_token)
    }

    /// The first document that is there.
    async fn first_of(&self, places: &[Url], what: &str) -> Result<Vec<u8>, Failure> {
        for place in places {
            let mut request = Outgoing::new("GET", place.clone());
            request.set_header("accept", "application/json");
            let answer = outbound::send(&self.guard, request, MOST_METADATA).await?;
            if answer.status == 200 {
                return Ok(answer.body);
            }
        }
        let text = format!("{what} is not to be found");
        Err(Failure::new("unauthorized", text))
    }

    /// Sends a request with the client's secret, to hosts that it is for.
    async fn send(&self, request: Request<Bytes>) -> Result<outbound::Answer, Failure> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string());
        let url = url.map_err(|error| Failure::new("unauthorized", error.to_string()))?;
        self.opened.may_go_to(&url)?;
        let mut outgoing = Outgoing::new(parts.method.as_str(), url);
        outgoing.confidential = true;
        for (name, value) in &parts.headers {
            outgoing.set_header(name.as_str(), value.to_str().unwrap_or_default());
        }
        outgoing.body = Some(body.to_vec());
        outbound::send(&self.guard, outgoing, MOST_METADATA).await
    }
}

fn failure(fault: Fault) -> Failure {
    let text = fault.to_string();
    match fault {
        Fault::Transport { kind, message } => Failure {
            retryable: matches!(kind, "timeout" | "unreachable" | "network"),
            ..Failure::new(kind, message)
        },
        Fault::Unauthorized { status, .. } => {
            Failure::new("unauthorized", text).with_status(status)
        }
        Fault::Http { status, .. } => Failure {
            retryable: matches!(status, 429 | 502..=504),
            ..Failure::new("http_status", text).with_status(status)
        },
        Fault::Rpc(error) => Failure::new("mcp_error", error.to_string()),
        Fault::Protocol(_) => Failure::new("mcp_protocol", text),
        Fault::TooLarge(_) => Failure::new("too_large", text),
        Fault::InputRequired(_) => Failure::new("input_required", text),
    }
}

/// Asks a server for its tools. Errors: those of the vault; 422 where it cannot be asked.
pub async fn list<S: Scope>(
    caller: &Caller<S>,
    server: &McpServer,
    spoken: Option<&str>,
) -> Result<Learned, Problem> {
    let reach = Reach::open(caller, server).await?;
    let listing = reach.with_client(spoken, 8 << 20, async |client| client.list_tools().await);
    let listed = learn::within(caller, TIMEOUT_MS, listing).await;
    let (listing, protocol) = listed.map_err(|failure| learn::failed(&failure))?;
    let functions = listing.tools.into_iter().map(|tool| Function {
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input_schema: tool.input_schema,
        output_schema: tool.output_schema,
        annotations: tool.annotations,
        operation: None,
    });
    let left_out = listing.left_out.into_iter();
    Ok(Learned {
        functions: functions.collect(),
        left_out: left_out
            .map(|(name, reason)| LeftOut { name, reason })
            .collect(),
        protocol,
    })
}

/// What a call of a remote tool gave.
pub struct Called {
    /// Its structured output, else its text.
    pub output: Value,
    /// Its content.
    pub content: Vec<Value>,
    /// Whether the output is structured.
    pub structured: bool,
    /// Whether it says that it failed.
    pub is_error: bool,
    /// What must not be seen in it.
    pub secrets: Vec<String>,
}

/// Calls a tool of a server. Errors: those of the vault, or why the call brought nothing.
pub async fn call<S: Scope>(
    caller: &Caller<S>,
    server: &McpServer,
    spoken: Option<&str>,
    function: &Function,
    arguments: &Value,
    most: usize,
) -> Result<Result<Called, Failure>, Problem> {
    let reach = Reach::open(caller, server).await?;
    let called = reach
        .with_client(spoken, most, async |client| {
            let schema = Some(&function.input_schema);
            client
                .call_tool(&function.name, arguments, schema, &NoInputs)
                .await
        })
        .await;
    Ok(called.map(|(result, _)| Called::of(result, reach.opened.texts())))
}

impl Called {
    fn of(result: CallResult, secrets: Vec<String>) -> Self {
        let structured = result.structured.is_some();
        let text = result.text();
        Self {
            output: result.structured.unwrap_or_else(|| json!(text)),
            content: result.content,
            structured,
            is_error: result.is_error,
            secrets,
        }
    }
}
