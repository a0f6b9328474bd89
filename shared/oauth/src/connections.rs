//! Opening a stored connection, with an access token that is fresh.

use crate::provider::Provider;
use crate::send::Fault;
use crate::tokens::Tokens;
use nodeai_app::errors::store_problem;
use nodeai_app::vault::{OpenedSecret, SealedText};
use nodeai_app::{Cx, clock};
use nodeai_http::Problem;
use nodeai_store::Session;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::rc::Rc;

/// A token that ends sooner than this is refreshed first, µs.
const EARLY_US: i64 = 60_000_000;
/// How long one caller may take over a refresh before another tries, µs.
const LEASE_US: i64 = 20_000_000;
/// How often the others look whether it is done, ms, and how many times.
const LOOK_MS: u64 = 50;
const LOOKS: u32 = 500;
/// How many refreshes of others one caller sits through.
const ROUNDS: u32 = 5;

/// The caller's connections.
pub struct Connections {
    /// The request.
    pub cx: Rc<Cx>,
    /// Its admitted session.
    pub session: Rc<Session>,
    /// The run that uses them, for the access log.
    pub execution_id: Option<String>,
    /// Whose provider secrets come first; none for those of all environments alone.
    pub environment: Option<String>,
}

/// A token that may be sent.
pub struct AccessToken {
    /// The token.
    pub value: String,
    /// The only hosts that it may be sent to.
    pub hosts: Vec<String>,
}

/// A connection with its tokens and its provider, as the store hands it out with a row of the access log.
#[derive(Deserialize)]
pub struct Opened {
    /// The connection.
    pub connection: Found,
    sealed: SealedText,
    /// Its provider.
    pub provider: Provider,
}

/// What is known of an opened connection.
#[derive(Deserialize)]
pub struct Found {
    /// Id (UUIDv7).
    pub id: String,
    org_id: String,
    /// `active`, `expired`, `revoked` or `failed`.
    pub status: String,
    /// Its version.
    pub version: i64,
    /// Whether it is the caller's own.
    pub own: bool,
    token_expires_us: Option<i64>,
}

impl Opened {
    /// The tokens. Errors: 503 without their master key, 409 when they were tampered with.
    pub fn tokens(&self, cx: &Cx) -> Result<Tokens, Problem> {
        Tokens::open(
            cx,
            &self.connection.org_id,
            &self.connection.id,
            &self.sealed,
        )
    }

    fn token(self, tokens: Tokens) -> AccessToken {
        AccessToken {
            value: tokens.access_token,
            hosts: self.provider.hosts,
        }
    }
}

impl Connections {
    /// A fresh access token of a connection (id or name) for a node. `refused` is a token that the provider's API did
    /// not take: it is refreshed even if it should still be good.
    ///
    /// Errors: no such connection, its grant has ended, its provider cannot be reached.
    pub async fn token(
        &self,
        connection: &str,
        node: &str,
        refused: Option<&str>,
    ) -> Result<AccessToken, Fault> {
        for _ in 0..ROUNDS {
            let opened = self.open(connection, "run", Some(node)).await?;
            let tokens = opened.tokens(&self.cx)?;
            if opened.connection.status != "active" {
                return Err(ended(connection));
            }
            let ends = opened.connection.token_expires_us.unwrap_or(i64::MAX);
            let good = ends - EARLY_US > clock::now_us() && refused != Some(&tokens.access_token);
            if good {
                return Ok(opened.token(tokens));
            }
            // Without a refresh token it is as good as it gets: the API has the last word.
            let Some(refresh) = tokens.refresh_token.clone() else {
                return match refused {
                    Some(_) => Err(ended(connection)),
                    None => Ok(opened.token(tokens)),
                };
            };
            if self.is_first(&opened).await? {
                let fresh = self.refresh(&opened, &refresh).await?;
                return Ok(opened.token(fresh));
            }
        }
        Err(stuck())
    }

    /// Refreshes a connection whether or not it must be. Errors: as for [`token`](Self::token).
    pub async fn refresh_now(&self, connection: &str) -> Result<(), Fault> {
        let opened = self.open(connection, "refresh", None).await?;
        let tokens = opened.tokens(&self.cx)?;
        let Some(refresh) = tokens.refresh_token else {
            let text = "the provider gave no refresh token; connect the account again";
            return Err(Fault::Configuration(text.to_owned()));
        };
        match self.is_first(&opened).await? {
            true => self.refresh(&opened, &refresh).await.map(|_| ()),
            // Another one has just done it.
            false => Ok(()),
        }
    }

    /// Opens a connection, which leaves a row in the access log. Errors: 404, 409 when a name means several.
    pub async fn open(
        &self,
        connection: &str,
        purpose: &str,
        node: Option<&str>,
    ) -> Result<Opened, Fault> {
        let args = json!({"org_id": self.session.org_id(), "connection": connection,
            "purpose": purpose, "execution_id": self.execution_id, "node_id": node});
        let found: Value = self.call("connection_open", &args).await?;
        if found.is_null() {
            let text = format!("there is no connection {connection}");
            return Err(Problem::not_found(text).into());
        }
        if found["ambiguous"] == true {
            let text = format!("several connections have the name {connection}; use its id");
            return Err(Fault::Configuration(text));
        }
        let read = serde_json::from_value(found);
        read.map_err(|_| Problem::internal("the store gave no connection").into())
    }

    /// The client secret of a provider, from the vault. Errors: it is not there, or may not go to the token endpoint.
    pub async fn client_secret(&self, provider: &Provider) -> Result<Option<String>, Fault> {
        let Some(name) = &provider.client_secret else {
            return Ok(None);
        };
        let args = json!({"org_id": self.session.org_id(), "names": [name], "purpose": "oauth",
            "execution_id": self.execution_id, "environment": self.environment});
        let opened: Vec<OpenedSecret> = self.call("secrets_open", &args).await?;
        let secret = opened.into_iter().next().ok_or_else(|| {
            let slug = &provider.slug;
            Fault::Configuration(format!("the provider {slug} needs the secret {name}"))
        })?;
        Ok(Some(secret.value(&self.cx)?))
    }

    /// Whether this caller is the one that refreshes. If another one is at it, waits until that has ended: the
    /// connection is another then, or, when the provider could not be reached or its caller died, free to be claimed.
    async fn is_first(&self, opened: &Opened) -> Result<bool, Fault> {
        let version = opened.connection.version;
        let args = json!({"org_id": self.session.org_id(), "id": opened.connection.id,
            "version": version, "lease_us": LEASE_US});
        for _ in 0..LOOKS {
            let answer: Value = self.call("connection_claim_refresh", &args).await?;
            if answer["claimed"] == true {
                return Ok(true);
            }
            if answer["version"] != version {
                return Ok(false);
            }
            self.session.release();
            self.cx.env().sleep_ms(LOOK_MS).await;
        }
        Err(stuck())
    }

    /// Asks the provider and stores what it says; the lease ends in any case.
    async fn refresh(&self, opened: &Opened, refresh_token: &str) -> Result<Tokens, Fault> {
        let asked = self.ask(opened, refresh_token).await;
        let (id, org_id) = (&opened.connection.id, &opened.connection.org_id);
        let mut end = json!({"org_id": self.session.org_id(), "id": id,
            "version": opened.connection.version, "request_id": self.cx.trace.trace_id});
        match &asked {
            Ok(granted) => {
                end["sealed"] = json!(granted.tokens.seal(&self.cx, org_id, id)?);
                end["token_expires_us"] = json!(granted.expires_us);
            }
            Err(fault) => {
                end["error"] = json!(fault.to_string());
                if fault.ends_grant() {
                    end["status"] = json!("expired");
                }
            }
        }
        self.call::<Value>("connection_end_refresh", &end).await?;
        match asked {
            Ok(granted) => Ok(granted.tokens),
            Err(fault) if fault.ends_grant() => Err(ended(id)),
            Err(fault) => Err(fault),
        }
    }

    async fn ask(&self, opened: &Opened, refresh_token: &str) -> Result<crate::Granted, Fault> {
        let secret = self.client_secret(&opened.provider).await?;
        self.session.release();
        let provider = &opened.provider;
        provider
            .refresh(&self.cx, secret.as_deref(), refresh_token)
            .await
    }

    async fn call<T: DeserializeOwned>(&self, name: &str, args: &Value) -> Result<T, Fault> {
        let called = self.session.call(name, args).await;
        called.map_err(|error| Fault::from(store_problem(error)))
    }
}

fn stuck() -> Fault {
    Fault::Unavailable("another refresh of this connection does not end".to_owned())
}

fn ended(connection: &str) -> Fault {
    let text = format!("the grant of the connection {connection} has ended; connect it again");
    Fault::Configuration(text)
}
