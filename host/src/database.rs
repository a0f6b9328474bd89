//! The database from the owner's side: connecting, the guests' login role, and the URL that guests get.
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use url::Url;

use crate::capabilities::pg::pool;

/// The role that guests log in as.
pub const APP_ROLE: &str = "nodeai_app";
/// Settings of a guest's session: nothing runs longer than a request, nothing idles in a transaction.
const SESSION_OPTIONS: &str = "-c statement_timeout=25s -c idle_in_transaction_session_timeout=10s";

/// PostgreSQL refuses to change a role that is being changed ("tuple concurrently updated", XX000): how often and after
/// what wait it is asked again.
const ROLE_TRIES: u32 = 20;
const ROLE_WAIT: Duration = Duration::from_millis(50);

/// A database URL taken apart.
#[derive(Debug, Clone)]
pub struct DatabaseUrl(Url);

impl DatabaseUrl {
    /// Reads a `postgres://` URL and refuses a transaction pooler, which would leak one request's role
    /// and claims into another's.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn parse(text: &str) -> Result<Self> {
        let url: Url = text.parse().context(
            "the database URL is not a URL of the form postgres://user:password@host/name",
        )?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            bail!("the database URL must begin with postgres://");
        }
        pool::parse_url(text)?;
        let pooled = url.port() == Some(6543)
            || url
                .query_pairs()
                .any(|(key, value)| key == "pgbouncer" && value == "true");
        if pooled {
            bail!(
                "the database URL is that of a transaction pooler; use the direct or the session-pooled one (port 5432)"
            );
        }
        Ok(Self(url))
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL without its password, for messages.
    pub fn shown(&self) -> String {
        let mut url = self.0.clone();
        if url.password().is_some() {
            // Only URLs without a host refuse a password.
            let _ = url.set_password(Some("***"));
        }
        url.set_query(None);
        url.to_string()
    }

    /// Whether this URL logs in as the guests' role already.
    pub fn is_app(&self) -> bool {
        self.0.username().split('.').next() == Some(APP_ROLE)
    }

    fn password(&self) -> Option<String> {
        self.0.password().map(decode)
    }

    /// The URL for guests: their own role, and limits on their sessions.
    pub fn for_guests(&self, password: Option<&str>) -> Result<String> {
        let mut url = self.0.clone();
        if let Some(password) = password {
            // Supabase's session pooler wants the project's reference after the role: `role.reference`.
            let user = match self.0.username().split_once('.') {
                Some((_, reference)) => format!("{APP_ROLE}.{reference}"),
                None => APP_ROLE.to_owned(),
            };
            let set = url
                .set_username(&user)
                .and_then(|()| url.set_password(Some(password)));
            set.map_err(|()| anyhow::anyhow!("the database URL has no host"))?;
        }
        if !url.query_pairs().any(|(key, _)| key == "options") {
            let options: String = SESSION_OPTIONS.replace(' ', "%20").replace('=', "%3D");
            let query = url.query().map_or_else(
                || format!("options={options}"),
                |query| format!("{query}&options={options}"),
            );
            url.set_query(Some(&query));
        }
        Ok(url.into())
    }
}

fn decode(text: &str) -> String {
    url::form_urlencoded::parse(
        format!("v={}", text.replace('+', "%2B").replace('&', "%26")).as_bytes(),
    )
    .next()
    .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// Connects once, as the owner.
///
/// # Errors
/// One sentence that says which server and what it answered.
pub async fn connect(url: &DatabaseUrl, root_ca: &[u8]) -> Result<Client> {
    pool::connect_once(url.as_str(), root_ca)
        .await
        .with_context(|| format!("cannot reach the database at {}", url.shown()))
}

/// Lets the guests' role log in, with a password that every host on this database derives alike.
/// `fallback` is the key for the derivation when the owner's URL has no password.
///
/// # Errors
/// When the role is not there (migrations make it) or the owner may not change it.
pub async fn open_app_role(owner: &Client, url: &DatabaseUrl, fallback: &str) -> Result<String> {
    let key = url.password().unwrap_or_else(|| fallback.to_owned());
    let password = derive_password(&key);
    // The password is hex, so it needs no quoting; the lock keeps two hosts of this database from changing the role
    // at once. Roles belong to the whole server: hosts of other databases can still come in between.
    let statement = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({}); ALTER ROLE {APP_ROLE} LOGIN PASSWORD '{password}'; COMMIT",
        crate::migrate::LOCK
    );
    let mut tries_left = ROLE_TRIES;
    while let Err(error) = owner.batch_execute(&statement).await {
        tries_left -= 1;
        owner.batch_execute("ROLLBACK").await.ok();
        if tries_left == 0 || error.code() != Some(&SqlState::INTERNAL_ERROR) {
            bail!(
                "the role {APP_ROLE} cannot be given its login: {}",
                pool::describe(&error)
            );
        }
        tokio::time::sleep(ROLE_WAIT).await;
    }
    Ok(password)
}

/// HMAC-SHA256 of the role's name under the owner's secret, in hex.
fn derive_password(key: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(APP_ROLE.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_get_their_own_role_and_limits() {
        let url = DatabaseUrl::parse("postgres://owner:s3cret@db.example:5433/app?sslmode=require")
            .unwrap();
        let guest = url.for_guests(Some("aa")).unwrap();
        assert!(
            guest.starts_with(
                "postgres://nodeai_app:aa@db.example:5433/app?sslmode=require&options="
            ),
            "{guest}"
        );
        let config = pool::parse_url(&guest).unwrap();
        assert_eq!(config.get_options(), Some(SESSION_OPTIONS));
        assert_eq!(config.get_user(), Some("nodeai_app"));
        assert!(!url.shown().contains("s3cret"));
    }

    #[test]
    fn supabases_session_pooler_keeps_its_reference() {
        let url = DatabaseUrl::parse(
            "postgres://postgres.abcd:x@aws-0-eu.pooler.supabase.com:5432/postgres",
        )
        .unwrap();
        assert!(
            url.for_guests(Some("aa"))
                .unwrap()
                .starts_with("postgres://nodeai_app.abcd:aa@")
        );
        assert!(!url.is_app());
        assert!(
            DatabaseUrl::parse("postgres://nodeai_app.abcd:x@h/d")
                .unwrap()
                .is_app()
        );
    }

    #[test]
    fn transaction_poolers_and_other_schemes_are_refused() {
        for wrong in [
            "postgres://a:b@h:6543/d",
            "postgres://a:b@h/d?pgbouncer=true",
            "mysql://a:b@h/d",
            "nonsense",
        ] {
            assert!(DatabaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_password_is_hmac_sha256() {
        // From `printf nodeai_app | openssl dgst -sha256 -hmac key`.
        assert_eq!(
            derive_password("key"),
            "c4837598829716a82f4a33d9a2f1e7fe0b930f0fc1d19cd748b44bb1211285cc"
        );
        assert_eq!(decode("a%40b+c"), "a@b+c");
    }
}
