//! Taking up a queued run: the store leases it, and makes a session with the claims of whoever asked for it.

use crate::admission::Principal;
use crate::config::Backend;
use crate::port::Error;
use crate::postgres;
use crate::session::{Link, Rest, Session, Store, admission_error, decode};
use crate::supabase::Bearer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What [`Store::claim`] asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Claim<'a> {
    /// Runs of this organisation alone; of all without.
    pub org_id: Option<&'a str>,
    /// This run alone.
    pub execution_id: Option<&'a str>,
    /// How long the lease is good without a sign of life, µs.
    pub lease_us: i64,
    /// How many queued runs may be at work at once, everywhere.
    pub workers: u32,
}

/// What [`Store::claim`] found.
pub enum Claimed {
    /// A run, and the way to the store as whoever asked for it.
    Run {
        /// Acts with the owner's claims.
        session: Box<Session>,
        /// The execution.
        execution: Value,
    },
    /// Enough runs are at work already.
    Busy,
    /// Nothing is due.
    Empty {
        /// When something will be, µs since the Unix epoch.
        due_us: Option<i64>,
    },
}

/// Background work that was taken up, and the way to the store as whoever asked for it.
pub struct TakenUp {
    /// Acts with the owner's claims.
    pub session: Box<Session>,
    /// What the SQL function said of it.
    pub answer: Value,
}

#[derive(Deserialize)]
struct Acting {
    principal: Principal,
    claims: String,
}

#[derive(Deserialize)]
struct ClaimAnswer {
    outcome: String,
    #[serde(default)]
    principal: Option<Principal>,
    #[serde(default)]
    execution: Value,
    #[serde(default)]
    due_us: Option<i64>,
}

#[derive(Deserialize)]
struct ClaimRow {
    answer: ClaimAnswer,
    claims: String,
    role: String,
}

impl Store {
    /// Takes up a queued run that is due: one statement (or request), which also makes a session with the claims of
    /// whoever asked for the run. `nonce`: unguessable mark of that session, hex; `now_s`: now, seconds.
    ///
    /// Errors: [`Error`] when the store fails.
    pub async fn claim(&self, ask: &Claim<'_>, nonce: &str, now_s: i64) -> Result<Claimed, Error> {
        let request = serde_json::to_string(ask).map_err(decode)?;
        let (row, link) = match &*self.backend {
            Backend::Postgres { url } => {
                let connection = self.env.open(url).await.map_err(postgres::from_pg)?;
                let (sql, params) = postgres::claim(request, nonce);
                let row = connection.row(&sql, params).await;
                let row = row.map_err(|error| admission_error(error, url))?;
                let mut columns = row
                    .ok_or(Error::SessionLost)?
                    .into_iter()
                    .map(Option::unwrap_or_default);
                let answer = columns.next().unwrap_or_default();
                let row = ClaimRow {
                    answer: serde_json::from_str(&answer).map_err(decode)?,
                    claims: columns.next().unwrap_or_default(),
                    role: columns.next().unwrap_or_default(),
                };
                let link = Link::Postgres {
                    url: url.clone(),
                    connection: RefCell::new(Some(Rc::from(connection))),
                };
                (row, link)
            }
            Backend::Supabase {
                url,
                anon_key,
                jwt_secret,
                service_key,
            } => {
                let answer = self
                    .project_call(url, service_key, "queue_claim", Some(&request))
                    .await?;
                let row: ClaimRow = serde_json::from_value(answer).map_err(decode)?;
                let bearer = Bearer::minted(&row.claims, jwt_secret, now_s)?;
                let link = Link::Supabase(Rest {
                    url: url.clone(),
                    apikey: anon_key.clone(),
                    bearer,
                });
                (row, link)
            }
        };
        let ClaimRow {
            answer,
            claims,
            role,
        } = row;
        Ok(match (answer.outcome.as_str(), answer.principal) {
            ("claimed", Some(principal)) => Claimed::Run {
                execution: answer.execution,
                session: Box::new(Session {
                    env: self.env.clone(),
                    link,
                    principal,
                    claims,
                    role,
                    nonce: nonce.to_owned(),
                    statements: Cell::new(1),
                }),
            },
            ("busy", _) => Claimed::Busy,
            _ => Claimed::Empty {
                due_us: answer.due_us,
            },
        })
    }

    /// Takes up background work by the SQL function `public.<name>(jsonb)`, as the application itself: one statement (or
    /// request). The function derives the claims of whoever asked for the work, and says `principal` and `claims`; without
    /// them there is nothing to do, and its answer comes back as it is. `nonce` and `now_s` as for [`Store::claim`].
    ///
    /// Errors: [`Error`] when the store fails.
    pub async fn take_up(
        &self,
        name: &str,
        args: &impl Serialize,
        nonce: &str,
        now_s: i64,
    ) -> Result<Result<TakenUp, Value>, Error> {
        let answer: Value = self.call_service(name, args).await?;
        if answer.get("claims").is_none_or(Value::is_null) {
            return Ok(Err(answer));
        }
        let acting = Acting::deserialize(&answer).map_err(decode)?;
        let link = match &*self.backend {
            // The first call opens a connection, and its claims travel with it.
            Backend::Postgres { url } => Link::Postgres {
                url: url.clone(),
                connection: RefCell::new(None),
            },
            Backend::Supabase {
                url,
                anon_key,
                jwt_secret,
                ..
            } => Link::Supabase(Rest {
                url: url.clone(),
                apikey: anon_key.clone(),
                bearer: Bearer::minted(&acting.claims, jwt_secret, now_s)?,
            }),
        };
        let session = Session {
            env: self.env.clone(),
            link,
            principal: acting.principal,
            claims: acting.claims,
            role: "authenticated".to_owned(),
            nonce: nonce.to_owned(),
            statements: Cell::new(1),
        };
        Ok(Ok(TakenUp {
            session: Box::new(session),
            answer,
        }))
    }
}
