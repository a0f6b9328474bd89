//! Which storage the configuration means.

use nodeai_ports::Variables;

/// Storage settings as they were found; empty counts as not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `nodeai_database_url`
    pub database_url: Option<String>,
    /// `nodeai_supabase_url`
    pub supabase_url: Option<String>,
    /// `nodeai_supabase_anon_key` (or publishable key)
    pub supabase_anon_key: Option<String>,
    /// `nodeai_supabase_service_key` (or secret key)
    pub supabase_service_key: Option<String>,
    /// `nodeai_supabase_jwt_secret`: signs tokens for callers with an API key
    pub supabase_jwt_secret: Option<String>,
}

/// The storage to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Postgres over the host's pg interface.
    Postgres {
        /// Connection URL of the role `nodeai_app`.
        url: String,
    },
    /// Supabase over its REST interface.
    Supabase {
        /// Project URL without a trailing slash.
        url: String,
        /// Public key: identifies the project for user requests.
        anon_key: String,
        /// Secret key: admission and housekeeping only.
        service_key: String,
        /// HS256 secret of the project.
        jwt_secret: String,
    },
}

/// Why no storage can be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Misconfigured {
    /// Neither Supabase nor a database URL.
    #[error(
        "no storage is configured: set nodeai_database_url, or nodeai_supabase_url with its keys"
    )]
    Nothing,
    /// Supabase settings are there in part.
    #[error("Supabase is configured in part: also set {}", .0.join(", "))]
    Half(Vec<&'static str>),
    /// The URL leads to a transaction pooler, which would mix up the sessions of different callers.
    #[error(
        "the database URL leads to a transaction pooler; use a direct connection or a session pooler (on Supabase port 5432)"
    )]
    TransactionPooler,
}

impl Config {
    /// Reads the settings. A Supabase URL under `.invalid` (RFC 2606: never a real host) is the manifest's default
    /// and counts as not set.
    pub async fn read(variables: &dyn Variables) -> Self {
        let supabase_url = variables.get("nodeai_supabase_url").await;
        Self {
            database_url: variables.get("nodeai_database_url").await,
            supabase_url: supabase_url
                .filter(|url| !url.trim_end_matches('/').ends_with(".invalid")),
            supabase_anon_key: variables.get("nodeai_supabase_anon_key").await,
            supabase_service_key: variables.get("nodeai_supabase_service_key").await,
            supabase_jwt_secret: variables.get("nodeai_supabase_jwt_secret").await,
        }
    }

    /// Supabase settings present → Supabase; else the database URL → Postgres; neither or half → an error that says
    /// what to set.
    pub fn backend(self) -> Result<Backend, Misconfigured> {
        let settings = [
            ("nodeai_supabase_url", &self.supabase_url),
            ("nodeai_supabase_anon_key", &self.supabase_anon_key),
            ("nodeai_supabase_service_key", &self.supabase_service_key),
            ("nodeai_supabase_jwt_secret", &self.supabase_jwt_secret),
        ];
        let missing: Vec<&'static str> = settings
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| *name)
            .collect();
        // A JWT secret alone does not mean Supabase: the name only says where it comes from.
        let any = settings[..3].iter().any(|(_, value)| value.is_some());
        match self {
            Self {
                supabase_url: Some(url),
                supabase_anon_key: Some(anon_key),
                supabase_service_key: Some(service_key),
                supabase_jwt_secret: Some(jwt_secret),
                ..
            } => Ok(Backend::Supabase {
                url: url.trim_end_matches('/').to_owned(),
                anon_key,
                service_key,
                jwt_secret,
            }),
            _ if any => Err(Misconfigured::Half(missing)),
            Self {
                database_url: Some(url),
                ..
            } if is_transaction_pooler(&url) => Err(Misconfigured::TransactionPooler),
            Self {
                database_url: Some(url),
                ..
            } => Ok(Backend::Postgres { url }),
            _ => Err(Misconfigured::Nothing),
        }
    }
}

/// What can be told from the URL: Supabase's and pgbouncer's customary marks. A pooler without marks is found out by
/// the session check of every statement.
fn is_transaction_pooler(url: &str) -> bool {
    let after_user = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let (authority, query) = after_user.split_once('?').unwrap_or((after_user, ""));
    let host = authority.split('/').next().unwrap_or("");
    let supavisor = host.ends_with(":6543");
    let marked = query
        .split('&')
        .any(|p| p == "pgbouncer=true" || p == "pool_mode=transaction");
    supavisor || marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supabase() -> Config {
        let some = |s: &str| Some(s.to_owned());
        Config {
            database_url: None,
            supabase_url: some("https://x.supabase.co/"),
            supabase_anon_key: some("a"),
            supabase_service_key: some("s"),
            supabase_jwt_secret: some("j"),
        }
    }

    fn database(url: &str) -> Config {
        Config {
            database_url: Some(url.to_owned()),
            ..Config::default()
        }
    }

    #[test]
    fn supabase_wins_over_a_database_url() {
        let both = Config {
            database_url: Some("postgres://x/y".into()),
            ..supabase()
        };
        for config in [supabase(), both] {
            let Backend::Supabase { url, .. } = config.backend().unwrap() else {
                panic!("not Supabase");
            };
            assert_eq!(url, "https://x.supabase.co");
        }
    }

    #[test]
    fn a_database_url_alone_means_postgres() {
        let backend = database("postgres://u:p@h/db").backend().unwrap();
        assert_eq!(
            backend,
            Backend::Postgres {
                url: "postgres://u:p@h/db".into()
            }
        );
    }

    #[test]
    fn half_of_supabase_is_refused_even_beside_a_database_url() {
        let config = Config {
            supabase_service_key: None,
            database_url: Some("postgres://x/y".into()),
            ..supabase()
        };
        let missing = vec!["nodeai_supabase_service_key"];
        assert_eq!(config.backend(), Err(Misconfigured::Half(missing)));
    }

    #[test]
    fn nothing_is_refused() {
        assert_eq!(Config::default().backend(), Err(Misconfigured::Nothing));
    }

    #[test]
    fn transaction_poolers_are_refused_by_their_marks() {
        for url in [
            "postgres://u:p@aws-0-eu.pooler.supabase.com:6543/postgres",
            "postgres://u:p@h:5432/db?pgbouncer=true",
        ] {
            assert_eq!(
                database(url).backend(),
                Err(Misconfigured::TransactionPooler)
            );
        }
        assert!(database("postgres://u:p6543@h:5432/db").backend().is_ok());
    }
}
