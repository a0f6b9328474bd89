//! Pools of Postgres connections, one per URL, shared by all components. A connection goes back to its
//! pool only after its role, claims and transaction were reset, so that nobody inherits another's.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::Session;
use crate::capabilities::http::tls_config;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a request waits for a free connection.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// How many URLs may have a pool before those without work lose theirs: nodes bring URLs of their own.
const MOST_POOLS: usize = 64;

/// A pool of sessions.
pub type Pool = managed::Pool<Manager>;
/// A session that was taken from its pool.
pub type Pooled = Object<Manager>;

/// All pools.
pub struct Pools {
    size: usize,
    root_ca: Vec<u8>,
    pools: RwLock<HashMap<String, Pool>>,
}

impl Pools {
    /// Pools of `size` connections each; `root_ca` (PEM, may be empty) is trusted besides the system's roots.
    pub fn new(size: usize, root_ca: Vec<u8>) -> Self {
        Self {
            size,
            root_ca,
            pools: RwLock::default(),
        }
    }

    /// The pool for `url`; `root_ca` (PEM) is what the guest asked to trust.
    ///
    /// # Errors
    /// When the URL cannot be read or TLS cannot be set up.
    pub fn get(&self, url: &str, root_ca: Option<&str>) -> Result<Pool> {
        let key = format!("{url}\n{}", root_ca.unwrap_or_default());
        if let Some(pool) = self
            .pools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(pool.clone());
        }
        let mut ca = self.root_ca.clone();
        ca.extend_from_slice(root_ca.unwrap_or_default().as_bytes());
        let pool = Pool::builder(Manager::new(url, &ca)?)
            .max_size(self.size)
            // A server's process keeps plans and pages at hand for whoever comes next: few of them are kept at work.
            .queue_mode(managed::QueueMode::Lifo)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(Some(WAIT_LIMIT))
            .build()?;
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= MOST_POOLS {
            pools.retain(|_, pool| is_at_work(pool));
        }
        Ok(pools.entry(key).or_insert(pool).clone())
    }
}

/// Whether a session is on loan, or somebody waits for one.
fn is_at_work(pool: &Pool) -> bool {
    let status = pool.status();
    status.waiting > 0 || status.available < status.size
}

/// Makes sessions.
pub struct Manager {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Manager {
    fn new(url: &str, root_ca: &[u8]) -> Result<Self> {
        let mut config = parse_url(url)?;
        config
            .connect_timeout(CONNECT_LIMIT)
            .keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("nodeai");
        }
        let tls = needs_tls(&config)
            .then(|| tls_config(root_ca).map(MakeRustlsConnect::new))
            .transpose()?;
        Ok(Self { config, tls })
    }

    async fn connect(&self) -> Result<Session, tokio_postgres::Error> {
        match &self.tls {
            Some(tls) => Session::open(self.config.connect(tls.clone()).await?),
            None => Session::open(self.config.connect(NoTls).await?),
        }
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = ConnectError;

    async fn create(&self) -> Result<Session, ConnectError> {
        tokio::time::timeout(CONNECT_LIMIT, self.connect())
            .await
            .map_err(|_| ConnectError::Timeout)?
            .map_err(ConnectError::Refused)
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<ConnectError> {
        if session.is_clean() {
            Ok(())
        } else {
            Err(RecycleError::message("the session is not usable any more"))
        }
    }
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server did not answer in time.
    #[error("the database did not answer within {} s", CONNECT_LIMIT.as_secs())]
    Timeout,
    /// It refused.
    #[error("{}", describe(.0))]
    Refused(tokio_postgres::Error),
}

/// The driver's error with its cause; the driver's own text leaves that out.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Reads a connection URL or string.
///
/// # Errors
/// When it is neither.
pub fn parse_url(url: &str) -> Result<Config> {
    url.parse().context("the database URL cannot be read")
}

/// Whether TLS may be needed: asked for, or preferred with a server on another machine.
fn needs_tls(config: &Config) -> bool {
    match config.get_ssl_mode() {
        SslMode::Disable => false,
        SslMode::Prefer => !config.get_hosts().iter().all(is_local),
        _ => true,
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// A session on loan; dropping it resets the session in the background and then gives it back.
pub struct Loan(Option<Pooled>);

impl Loan {
    /// Takes a session from `pool`.
    ///
    /// # Errors
    /// When none is free in time or none can be made.
    pub async fn take(pool: &Pool) -> Result<Self, String> {
        match pool.get().await {
            Ok(session) => Ok(Self(Some(session))),
            Err(managed::PoolError::Timeout(_)) => Err(format!(
                "no connection to the database became free within {} s",
                WAIT_LIMIT.as_secs()
            )),
            Err(managed::PoolError::Backend(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The session.
    pub fn session(&self) -> Option<&Session> {
        self.0.as_deref()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(pooled) = self.0.take() else { return };
        if !pooled.was_used() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move { give_back(pooled).await });
            }
            // Without a runtime nothing can be reset, so the connection ends here.
            Err(_) => drop(Object::take(pooled)),
        }
    }
}

async fn give_back(mut pooled: Pooled) {
    if !pooled.reset().await {
        drop(Object::take(pooled));
    }
}

/// A loan that a connection handle and its running queries share.
pub type SharedLoan = Arc<Loan>;

/// Connects outside any pool, for the host's own work.
///
/// # Errors
/// When the URL cannot be read, or the server cannot be reached or refuses.
pub async fn connect_once(url: &str, root_ca: &[u8]) -> Result<tokio_postgres::Client> {
    let manager = Manager::new(url, root_ca)?;
    let session = managed::Manager::create(&manager)
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(session.into_client())
}
