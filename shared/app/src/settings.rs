//! Configuration of an instance, read once from the host's variables.

use nodeai_auth::jwt::Expect;
use nodeai_crypto::{MasterKeys, ParseError};
use nodeai_ports::Env;
use nodeai_store::{Backend, Config, Misconfigured};

/// How user tokens are verified.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// HS256 secrets: Supabase's and this server's own.
    pub secrets: Vec<String>,
    /// Where the issuer's JWKS is.
    pub jwks_url: Option<String>,
    /// What tokens must say about themselves.
    pub expect: Expect,
}

/// Which requests leave a trace of their own (runs always do).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestSpans {
    /// All.
    All,
    /// Those that write or fail.
    Writes,
    /// None.
    Off,
}

/// Everything configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The storage, or why there is none.
    pub backend: Result<Backend, Misconfigured>,
    /// User tokens.
    pub tokens: Tokens,
    /// The vault's master keys, for the areas that are given them.
    pub master_keys: Result<MasterKeys, ParseError>,
    /// Value of `Access-Control-Allow-Origin`.
    pub cors_origin: String,
    /// Which requests are traced.
    pub request_spans: RequestSpans,
    /// Largest request body, bytes.
    pub max_body: usize,
}

/// Largest request body unless `nodeai_max_body_bytes` says otherwise.
pub const DEFAULT_MAX_BODY: usize = 4 << 20;

impl Settings {
    /// Reads all variables.
    pub async fn read(env: &dyn Env) -> Self {
        let get = |name: &'static str| async move { env.get(name).await };
        let config = Config::read(env).await;
        let tokens = Self::tokens(&config, env).await;
        let request_spans = match get("nodeai_request_spans").await.as_deref() {
            Some("off") => RequestSpans::Off,
            Some("writes") => RequestSpans::Writes,
            _ => RequestSpans::All,
        };
        let max_body = get("nodeai_max_body_bytes").await;
        let master_keys = get("nodeai_master_keys").await.unwrap_or_default();
        Self {
            backend: config.backend(),
            tokens,
            master_keys: MasterKeys::parse(&master_keys),
            cors_origin: get("nodeai_cors_origin")
                .await
                .unwrap_or_else(|| "*".to_owned()),
            request_spans,
            max_body: max_body
                .and_then(|n| n.parse().ok())
                .unwrap_or(DEFAULT_MAX_BODY),
        }
    }

    async fn tokens(config: &Config, env: &dyn Env) -> Tokens {
        let project = config
            .supabase_url
            .as_deref()
            .map(|url| url.trim_end_matches('/'));
        let own_secret = env.get("nodeai_jwt_secret").await;
        let jwks_url = env.get("nodeai_supabase_jwks_url").await;
        let issuer = env.get("nodeai_jwt_issuer").await;
        Tokens {
            secrets: config
                .supabase_jwt_secret
                .iter()
                .cloned()
                .chain(own_secret)
                .collect(),
            jwks_url: jwks_url
                .or_else(|| project.map(|url| format!("{url}/auth/v1/.well-known/jwks.json"))),
            expect: Expect {
                issuer: issuer.or_else(|| project.map(|url| format!("{url}/auth/v1"))),
                audience: Some("authenticated".to_owned()),
            },
        }
    }
}
