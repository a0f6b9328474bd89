//! One request's session with the store: admission first, then reads and calls as the admitted caller.

use crate::admission::{Admission, Credential, Outcome, Principal, Refusal};
use crate::config::Backend;
use crate::port::{Column, Error, Filter, Select, Ty};
use crate::supabase::Bearer;
use crate::{postgres, supabase};
use bytes::Bytes;
use nodeai_ports::{Env, PgConnection, PgParam};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const ORG_ID: Column = Column::new("org_id", Ty::Uuid);

/// A configured store; makes sessions.
#[derive(Clone)]
pub struct Store {
    pub(crate) backend: Rc<Backend>,
    pub(crate) env: Rc<dyn Env>,
}

#[derive(Serialize)]
struct AdmitRequest<'a> {
    kind: &'a str,
    key_hash: Option<&'a str>,
    claims: Option<&'a Value>,
    org_id: Option<&'a str>,
    scope: &'a str,
    route: &'a str,
    cost: u32,
    ip: Option<&'a str>,
    nonce: &'a str,
}

#[derive(Deserialize)]
struct Admitted {
    principal: Principal,
    claims: Option<String>,
    role: Option<String>,
}

impl Store {
    /// A store over `backend`.
    pub fn new(backend: Backend, env: Rc<dyn Env>) -> Self {
        Self {
            backend: Rc::new(backend),
            env,
        }
    }

    /// Admits a caller: one statement (or request) that resolves the credential, checks the scope, takes from the
    /// rate-limit bucket and makes the session.
    ///
    /// Errors: [`Error`] when the store fails; `Ok(Err(refusal))` when the caller may not come in.
    pub async fn admit(&self, ask: Admission<'_>) -> Result<Result<Session, Refusal>, Error> {
        let (kind, key_hash, claims) = match &ask.credential {
            Credential::ApiKey { hash } => ("api_key", Some(hash.as_str()), None),
            Credential::RunKey { hash } => ("run_key", Some(hash.as_str()), None),
            Credential::Jwt { claims, .. } => ("jwt", None, Some(claims)),
        };
        let request = AdmitRequest {
            kind,
            key_hash,
            claims,
            org_id: ask.org_id,
            scope: ask.scope,
            route: ask.route,
            cost: ask.cost,
            ip: ask.ip,
            nonce: ask.nonce,
        };
        let request = serde_json::to_string(&request).map_err(decode)?;
        match &*self.backend {
            Backend::Postgres { url } => self.admit_postgres(url, request, &ask).await,
            Backend::Supabase { .. } => self.admit_supabase(request, &ask).await,
        }
    }

    async fn admit_postgres(
        &self,
        url: &str,
        request: String,
        ask: &Admission<'_>,
    ) -> Result<Result<Session, Refusal>, Error> {
        let connection = self.env.open(url).await.map_err(postgres::from_pg)?;
        let (sql, params) = postgres::admission(ask.function(), request, ask.nonce);
        let row = connection
            .row(&sql, params)
            .await
            .map_err(|error| admission_error(error, url))?;
        let mut columns = row.ok_or(Error::SessionLost)?.into_iter();
        let principal = columns.next().flatten().ok_or(Error::SessionLost)?;
        let admitted = Admitted {
            principal: serde_json::from_str(&principal).map_err(decode)?,
            claims: columns.next().flatten(),
            role: columns.next().flatten(),
        };
        let link = Link::Postgres {
            url: url.to_owned(),
            connection: RefCell::new(Some(Rc::from(connection))),
        };
        Ok(self.session(admitted, ask, link))
    }

    async fn admit_supabase(
        &self,
        request: String,
        ask: &Admission<'_>,
    ) -> Result<Result<Session, Refusal>, Error> {
        let Backend::Supabase {
            url,
            anon_key,
            jwt_secret,
            service_key,
        } = &*self.backend
        else {
            return Err(Error::SessionLost);
        };
        let answer = self
            .project_call(url, service_key, ask.function(), Some(&request))
            .await?;
        let admitted: Admitted = serde_json::from_value(answer).map_err(decode)?;
        let bearer = match &ask.credential {
            Credential::Jwt { token, .. } => Bearer::Own(token.clone()),
            Credential::ApiKey { .. } | Credential::RunKey { .. } => {
                let claims = admitted.claims.as_deref().unwrap_or("{}");
                Bearer::minted(claims, jwt_secret, ask.now_s)?
            }
        };
        let link = Link::Supabase(Rest {
            url: url.clone(),
            apikey: anon_key.clone(),
            bearer,
        });
        Ok(self.session(admitted, ask, link))
    }

    fn session(
        &self,
        admitted: Admitted,
        ask: &Admission<'_>,
        link: Link,
    ) -> Result<Session, Refusal> {
        let principal = admitted.principal;
        if principal.outcome != Outcome::Ok {
            return Err(Refusal {
                outcome: principal.outcome,
                rate: principal.rate,
            });
        }
        Ok(Session {
            env: self.env.clone(),
            link,
            principal,
            claims: admitted.claims.unwrap_or_default(),
            role: admitted.role.unwrap_or_default(),
            nonce: ask.nonce.to_owned(),
            statements: Cell::new(1),
        })
    }

    /// A call with one of the project's own keys.
    pub(crate) async fn project_call(
        &self,
        url: &str,
        project_key: &str,
        function: &str,
        args: Option<&str>,
    ) -> Result<Value, Error> {
        // Keys of the new kind (`sb_secret_…`) are no tokens and go in `apikey` alone.
        let bearer = project_key.starts_with("eyJ").then_some(project_key);
        let endpoint = supabase::Endpoint {
            base: url,
            apikey: project_key,
            bearer,
        };
        let request = supabase::function(&endpoint, function, args).map_err(decode)?;
        supabase::read_answer(self.env.send(request).await)
    }

    /// Calls the SQL function `public.<name>(jsonb) returns jsonb` as nobody (the role `anon`).
    pub async fn call_anonymous(
        &self,
        name: &str,
        args: &impl Serialize,
        nonce: &str,
    ) -> Result<Value, Error> {
        let args = serde_json::to_string(args).map_err(decode)?;
        match &*self.backend {
            Backend::Postgres { url } => {
                let connection = self.env.open(url).await.map_err(postgres::from_pg)?;
                let (sql, params) = postgres::restore("{\"role\":\"anon\"}", "anon", nonce);
                let made = connection.row(&sql, params).await;
                made.map_err(|error| admission_error(error, url))?;
                let (sql, params) = postgres::function(name, args, nonce);
                let row = connection.row(&sql, params).await;
                let text = first_text(row.map_err(postgres::from_pg)?)?;
                serde_json::from_str(&text).map_err(decode)
            }
            Backend::Supabase { url, anon_key, .. } => {
                self.project_call(url, anon_key, name, Some(&args)).await
            }
        }
    }

    /// Asks the store how it is, without a caller: schema version, role, whether it answers at all.
    pub async fn health(&self) -> Result<Value, Error> {
        match &*self.backend {
            Backend::Postgres { url } => {
                let connection = self.env.open(url).await.map_err(postgres::from_pg)?;
                let sql = "SELECT nodeai.health()::text";
                let row = connection
                    .row(sql, Vec::new())
                    .await
                    .map_err(|error| admission_error(error, url))?;
                let text = row.and_then(|r| r.into_iter().next().flatten());
                serde_json::from_str(&text.unwrap_or_default()).map_err(decode)
            }
            Backend::Supabase {
                url, service_key, ..
            } => self.project_call(url, service_key, "health", None).await,
        }
    }

    /// Which backend this is, for readiness and logs: `postgres` or `supabase`.
    pub fn kind(&self) -> &'static str {
        match &*self.backend {
            Backend::Postgres { .. } => "postgres",
            Backend::Supabase { .. } => "supabase",
        }
    }
}

pub(crate) enum Link {
    Postgres {
        url: String,
        connection: RefCell<Option<Rc<dyn PgConnection>>>,
    },
    Supabase(Rest),
}

/// How an admitted caller speaks to the project's REST interface.
pub(crate) struct Rest {
    pub(crate) url: String,
    pub(crate) apikey: String,
    pub(crate) bearer: Bearer,
}

impl Rest {
    fn endpoint<'a>(&'a self, bearer: &'a str) -> supabase::Endpoint<'a> {
        supabase::Endpoint {
            base: &self.url,
            apikey: &self.apikey,
            bearer: Some(bearer),
        }
    }
}

/// One admitted request's way to the store. All reads are narrowed to the principal's organisation.
pub struct Session {
    pub(crate) env: Rc<dyn Env>,
    pub(crate) link: Link,
    /// Who was admitted.
    pub principal: Principal,
    pub(crate) claims: String,
    pub(crate) role: String,
    pub(crate) nonce: String,
    pub(crate) statements: Cell<u32>,
}

impl Session {
    /// The tenant.
    pub fn org_id(&self) -> &str {
        self.principal.org_id.as_deref().unwrap_or_default()
    }

    /// The user.
    pub fn user_id(&self) -> &str {
        self.principal.user_id.as_deref().unwrap_or_default()
    }

    /// Statements (or REST requests) so far, admission included.
    pub fn statements(&self) -> u32 {
        self.statements.get()
    }

    /// Gives the database connection back; called before slow outbound calls. Later calls open another one.
    pub fn release(&self) {
        if let Link::Postgres { connection, .. } = &self.link {
            connection.borrow_mut().take();
        }
    }

    /// Reads rows of the tenant's data. The table must have an `org_id`.
    pub async fn select<T: DeserializeOwned>(&self, query: Select) -> Result<Vec<T>, Error> {
        let query = self.of_tenant(query);
        self.count();
        match &self.link {
            Link::Postgres { .. } => {
                let (sql, params) = postgres::select(&query, &self.nonce);
                let text = self.fenced_row(&sql, params).await?;
                serde_json::from_str(&text).map_err(decode)
            }
            Link::Supabase(rest) => {
                let bearer = rest.bearer.token()?;
                let request = supabase::select(&rest.endpoint(&bearer), &query).map_err(decode)?;
                self.send(request).await
            }
        }
    }

    /// Reads at most one row.
    pub async fn one<T: DeserializeOwned>(&self, query: Select) -> Result<Option<T>, Error> {
        Ok(self.select(query).await?.into_iter().next())
    }

    /// Calls the SQL function `public.<name>(jsonb) returns jsonb` as the caller.
    pub async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        args: &impl Serialize,
    ) -> Result<T, Error> {
        let args = serde_json::to_string(args).map_err(decode)?;
        self.count();
        match &self.link {
            Link::Postgres { .. } => {
                let text = self.call_postgres(name, args).await?;
                serde_json::from_str(&text).map_err(decode)
            }
            Link::Supabase(rest) => {
                let bearer = rest.bearer.token()?;
                let request = supabase::function(&rest.endpoint(&bearer), name, Some(&args));
                self.send(request.map_err(decode)?).await
            }
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: http::Request<Bytes>) -> Result<T, Error> {
        let answer = supabase::read_answer(self.env.send(request).await)?;
        serde_json::from_value(answer).map_err(decode)
    }

    async fn call_postgres(&self, name: &str, args: String) -> Result<String, Error> {
        let Link::Postgres { url, connection } = &self.link else {
            return Err(Error::SessionLost);
        };
        let open = connection.borrow().clone();
        if let Some(open) = open {
            let (sql, params) = postgres::function(name, args, &self.nonce);
            let row = open.row(&sql, params).await.map_err(postgres::from_pg)?;
            return first_text(row);
        }
        // No session to go on with: claims, role and call travel in one statement.
        let fresh = self.env.open(url).await.map_err(postgres::from_pg)?;
        let (sql, params) = postgres::act(name, args, &self.claims, &self.role);
        let row = fresh.row(&sql, params).await.map_err(postgres::from_pg)?;
        first_text(row)
    }

    async fn fenced_row(&self, sql: &str, params: Vec<PgParam>) -> Result<String, Error> {
        let connection = self.connection().await?;
        let row = connection
            .row(sql, params)
            .await
            .map_err(postgres::from_pg)?;
        first_text(row)
    }

    /// The request's connection, opened and made a session again after a release.
    async fn connection(&self) -> Result<Rc<dyn PgConnection>, Error> {
        let Link::Postgres { url, connection } = &self.link else {
            return Err(Error::SessionLost);
        };
        let open = connection.borrow().clone();
        if let Some(open) = open {
            return Ok(open);
        }
        let fresh: Rc<dyn PgConnection> =
            Rc::from(self.env.open(url).await.map_err(postgres::from_pg)?);
        let (sql, params) = postgres::restore(&self.claims, &self.role, &self.nonce);
        self.count();
        fresh.row(&sql, params).await.map_err(postgres::from_pg)?;
        connection.borrow_mut().replace(fresh.clone());
        Ok(fresh)
    }

    fn of_tenant(&self, query: Select) -> Select {
        if !names_tenant() {
            return query;
        }
        query.filter(Filter::Eq(ORG_ID, self.org_id().to_owned()))
    }

    fn count(&self) {
        self.statements.set(self.statements.get() + 1);
    }
}

/// Whether reads name their tenant: its last byte. No setting reaches it; the test of row-level security alone turns it
/// in its own copy of the built components, so that what it tests is what is deployed but for this byte.
static NAMES_TENANT: [u8; 33] = *b"nodeai: reads name their tenant=1";

fn names_tenant() -> bool {
    // Opaque to the compiler, or there would be no byte to turn.
    std::hint::black_box(&NAMES_TENANT).last() == Some(&b'1')
}

/// NULL means that the statement's check of the session failed.
pub(crate) fn first_text(row: Option<Vec<Option<String>>>) -> Result<String, Error> {
    row.and_then(|columns| columns.into_iter().next().flatten())
        .ok_or(Error::SessionLost)
}

/// Before there is a session, a privilege error means that the role may not even ask. `nodeai_app` may; if it is
/// refused, the connection still has another session's role, which only a transaction pooler brings about.
pub(crate) fn admission_error(error: nodeai_ports::PgError, url: &str) -> Error {
    let user = url.split("://").nth(1).unwrap_or_default();
    match postgres::from_pg(error) {
        Error::SessionLost if !user.starts_with("nodeai_app") => Error::SchemaMissing(
            "the database role may not call admission; log in as nodeai_app".to_owned(),
        ),
        other => other,
    }
}

pub(crate) fn decode(error: impl std::fmt::Display) -> Error {
    Error::Other {
        code: "decode".to_owned(),
        message: error.to_string(),
    }
}
