//! Authentication and admission: [`Caller`] is an argument that a handler can only get from a caller who may be there.

use crate::clock;
use crate::cx::Cx;
use crate::errors::{refusal_problem, rejected_problem, store_problem};
use bytes::Bytes;
use nodeai_auth::jwt::{self, KeyHint};
use nodeai_auth::{Presented, Rejected, read_authorization};
use nodeai_http::openapi::Describe;
use nodeai_http::{FromCx, Problem};
use nodeai_store::{Admission, Credential, Session};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;
use std::rc::Rc;

/// A scope as a type, such as `workflows:read`. Areas declare theirs with [`scope!`](crate::scope).
pub trait Scope: 'static {
    /// `area:action`.
    const NAME: &'static str;
}

/// Declares scopes: `scope!(WorkflowsRead = "workflows:read");`
#[macro_export]
macro_rules! scope {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])*
        pub struct $name;
        impl $crate::Scope for $name {
            const NAME: &'static str = $text;
        })*
    };
}

/// A caller that was authenticated, holds the scope `S` and was admitted; the way to the store as that caller.
pub struct Caller<S> {
    /// The request.
    pub cx: Rc<Cx>,
    /// The admitted session.
    pub session: Rc<Session>,
    scope: PhantomData<S>,
}

impl<S: Scope> Caller<S> {
    /// A caller for whom the store made a session by itself: whoever asked for a queued run.
    pub fn acting(cx: Rc<Cx>, session: Rc<Session>) -> Self {
        Self {
            cx,
            session,
            scope: PhantomData,
        }
    }

    /// The tenant.
    pub fn org_id(&self) -> &str {
        self.session.org_id()
    }

    /// Reads rows of the tenant's data. Errors: 503, never an SQL message.
    pub async fn select<T: DeserializeOwned>(
        &self,
        query: nodeai_store::Select,
    ) -> Result<Vec<T>, Problem> {
        self.session.select(query).await.map_err(store_problem)
    }

    /// Reads one row or answers 404 with "there is no such {what}".
    pub async fn find<T: DeserializeOwned>(
        &self,
        query: nodeai_store::Select,
        what: &str,
    ) -> Result<T, Problem> {
        let row = self.session.one(query).await.map_err(store_problem)?;
        row.ok_or_else(|| Problem::not_found(format!("there is no such {what}")))
    }

    /// Calls a SQL function as the caller.
    pub async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        args: &impl Serialize,
    ) -> Result<T, Problem> {
        self.session.call(name, args).await.map_err(store_problem)
    }
}

impl<S: Scope> FromCx<Cx> for Caller<S> {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let session = Rc::new(admit(&cx, S::NAME).await?);
        cx.rate.replace(Some(session.principal.rate.clone()));
        cx.session.replace(Some(session.clone()));
        Ok(Self {
            cx,
            session,
            scope: PhantomData,
        })
    }

    fn describe(op: &mut Describe) {
        op.scope(S::NAME);
        let description = "The organisation to act in, for callers that belong to several";
        op.header("x-organization-id", false, description);
    }
}

async fn admit(cx: &Cx, scope: &str) -> Result<Session, Problem> {
    let store = cx.store()?;
    let credential = authenticate(cx).await.map_err(rejected_problem)?;
    let nonce = clock::hex(&clock::random::<16>());
    let org_id = organisation(cx)?;
    let ask = Admission {
        credential,
        org_id: org_id.as_deref(),
        scope,
        route: &cx.route(),
        cost: 1,
        ip: cx.client_ip(),
        nonce: &nonce,
        now_s: cx.started_us / 1_000_000,
    };
    let admitted = store.admit(ask).await.map_err(store_problem)?;
    admitted.map_err(|refusal| {
        cx.rate.replace(Some(refusal.rate.clone()));
        refusal_problem(&refusal, scope)
    })
}

fn organisation(cx: &Cx) -> Result<Option<String>, Problem> {
    let Some(text) = cx.header("x-organization-id") else {
        return Ok(None);
    };
    let id = uuid::Uuid::parse_str(text);
    id.map(|id| Some(id.to_string()))
        .map_err(|_| Problem::invalid_input("X-Organization-Id must be a UUID"))
}

async fn authenticate(cx: &Cx) -> Result<Credential, Rejected> {
    match read_authorization(cx.header("authorization"))? {
        Presented::ApiKey(key) if key.is_of_run() => Ok(Credential::RunKey { hash: key.hash() }),
        Presented::ApiKey(key) => Ok(Credential::ApiKey { hash: key.hash() }),
        Presented::Jwt(token) => {
            let claims = verify(cx, &token).await?;
            Ok(Credential::Jwt { claims, token })
        }
    }
}

async fn verify(cx: &Cx, token: &str) -> Result<Value, Rejected> {
    let tokens = &cx.settings.tokens;
    match jwt::key_hint(token)? {
        KeyHint::SharedSecret => {
            let mut result = Err(Rejected::NotConfigured);
            for secret in &tokens.secrets {
                result = jwt::verify_with_secret(token, secret, &tokens.expect);
                if !matches!(result, Err(Rejected::BadToken)) {
                    break;
                }
            }
            result
        }
        KeyHint::Jwks { kid } => {
            let url = tokens.jwks_url.as_deref().ok_or(Rejected::NotConfigured)?;
            refresh_keys(cx, url, &kid).await;
            let keys = cx.app.keys.borrow();
            let jwk = keys.get(&kid).ok_or(Rejected::BadToken)?;
            jwt::verify_with_jwk(token, jwk, &tokens.expect)
        }
    }
}

/// Fetches the issuer's keys when the cache asks for it. A failed fetch counts too: an outage must not become a storm.
async fn refresh_keys(cx: &Cx, url: &str, kid: &str) {
    let now_s = cx.started_us / 1_000_000;
    if !cx.app.keys.borrow().needs_fetch(kid, now_s) {
        return;
    }
    let Ok(request) = http::Request::get(url).body(Bytes::new()) else {
        return;
    };
    let document = match cx.env().send(request).await {
        Ok(response) if response.status().is_success() => response.into_body(),
        Ok(response) => {
            crate::errors::log("jwks", response.status().as_str());
            Bytes::new()
        }
        Err(error) => {
            crate::errors::log("jwks", &error.to_string());
            Bytes::new()
        }
    };
    cx.app.keys.borrow_mut().store(&document, now_s);
}
