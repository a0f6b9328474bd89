//! How a sender shows who it is. What is secret about it is not in here.

use crate::key::Verifier;
use http::HeaderName;
use nodeai_auth::jwks::KeyCache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far a sender's clock may be off, seconds, unless something else is said.
pub const TOLERANCE_S: u32 = 300;

fn tolerance() -> u32 {
    TOLERANCE_S
}

/// A hash function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-1, for senders that know nothing better.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How bytes are written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64 (RFC 4648, section 4).
    Base64,
}

/// How a sender shows who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "scheme", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Verification")]
pub enum Scheme {
    /// Standard Webhooks 1.0: `v1` with a secret `whsec_…`, `v1a` with the sender's public key `whpk_…`.
    StandardWebhooks {
        /// How old a message may be, seconds.
        #[serde(default = "tolerance")]
        tolerance_s: u32,
    },
    /// GitHub: `X-Hub-Signature-256`.
    Github {},
    /// Stripe: `Stripe-Signature`.
    Stripe {
        /// How old a message may be, seconds.
        #[serde(default = "tolerance")]
        tolerance_s: u32,
    },
    /// Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`.
    Slack {
        /// How old a message may be, seconds.
        #[serde(default = "tolerance")]
        tolerance_s: u32,
    },
    /// Any other HMAC over the body.
    Hmac {
        /// The header field of the signature.
        header: String,
        /// SHA-256 unless something else is said.
        #[serde(default)]
        algorithm: Algorithm,
        /// Hexadecimal unless something else is said.
        #[serde(default)]
        encoding: Encoding,
        /// What stands before the signature, such as `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// A JWT: HS256 with a secret, or RS256 and ES256 with one of `jwks`. It must have `exp`.
    Jwt {
        /// The header field; `authorization`, with `Bearer` before the token, unless something else is said.
        #[serde(default)]
        header: Option<String>,
        /// The `iss` that it must have.
        #[serde(default)]
        issuer: Option<String>,
        /// The `aud` that it must have.
        #[serde(default)]
        audience: Option<String>,
        /// The sender's public keys, a JWK set (RFC 7517) whose keys have a `kid`; then there is no secret.
        #[serde(default)]
        jwks: Option<Value>,
    },
    /// Basic authentication (RFC 7617); the secret is the password.
    Basic {
        /// The user.
        username: String,
    },
    /// A header field that has the secret as its value.
    HeaderToken {
        /// The header field.
        header: String,
    },
    /// Nothing: whoever knows the URL starts runs.
    None {},
}

/// A scheme without its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "VerificationScheme")]
pub enum Kind {
    /// Standard Webhooks 1.0.
    StandardWebhooks,
    /// GitHub.
    Github,
    /// Stripe.
    Stripe,
    /// Slack.
    Slack,
    /// Any other HMAC.
    Hmac,
    /// A JWT.
    Jwt,
    /// Basic authentication.
    Basic,
    /// A header field.
    HeaderToken,
    /// Nothing.
    None,
}

impl Kind {
    /// How it comes by its secret.
    pub fn secret(self) -> Secret {
        match self {
            Self::None => Secret::None,
            Self::Stripe | Self::Slack => Secret::Given,
            _ => Secret::Drawn,
        }
    }

    /// Whether a text can be its secret.
    pub fn takes(self, secret: &str) -> bool {
        match self {
            Self::StandardWebhooks => {
                !secret.starts_with("whsk_") && Verifier::parse(secret).is_ok()
            }
            // Sent as it is in a header field.
            Self::HeaderToken => {
                (16..=1_000).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic())
            }
            _ => (8..=1_000).contains(&secret.len()),
        }
    }
}

/// How a scheme comes by its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// There is none.
    None,
    /// The sender has it, and it has to be given.
    Given,
    /// It may be given; otherwise one is drawn.
    Drawn,
}

/// A field of a scheme that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub detail: &'static str,
}

impl Scheme {
    /// Which one it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::StandardWebhooks { .. } => Kind::StandardWebhooks,
            Self::Github {} => Kind::Github,
            Self::Stripe { .. } => Kind::Stripe,
            Self::Slack { .. } => Kind::Slack,
            Self::Hmac { .. } => Kind::Hmac,
            Self::Jwt { .. } => Kind::Jwt,
            Self::Basic { .. } => Kind::Basic,
            Self::HeaderToken { .. } => Kind::HeaderToken,
            Self::None {} => Kind::None,
        }
    }

    /// How it comes by its secret.
    pub fn secret(&self) -> Secret {
        match self {
            Self::Jwt { jwks: Some(_), .. } => Secret::None,
            other => other.kind().secret(),
        }
    }

    /// The header field that carries what is checked.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::StandardWebhooks { .. } => Some(crate::SIGNATURE),
            Self::Github {} => Some("x-hub-signature-256"),
            Self::Stripe { .. } => Some("stripe-signature"),
            Self::Slack { .. } => Some("x-slack-signature"),
            Self::Hmac { header, .. } | Self::HeaderToken { header } => Some(header),
            Self::Jwt { header, .. } => Some(header.as_deref().unwrap_or("authorization")),
            Self::Basic { .. } => Some("authorization"),
            Self::None {} => None,
        }
    }

    /// Why it cannot be used as it stands.
    pub fn fault(&self) -> Option<Fault> {
        let fault = |field, detail| Some(Fault { field, detail });
        match self {
            Self::StandardWebhooks { tolerance_s }
            | Self::Stripe { tolerance_s }
            | Self::Slack { tolerance_s }
                if !(1..=86_400).contains(tolerance_s) =>
            {
                fault("tolerance_s", "must be from 1 to 86400")
            }
            Self::Hmac { header, .. } | Self::HeaderToken { header } if !is_field(header) => {
                fault("header", "must be the name of a header field")
            }
            Self::Hmac { prefix, .. } if prefix.len() > 50 => fault("prefix", "at most 50 bytes"),
            Self::Jwt {
                header: Some(header),
                ..
            } if !is_field(header) => fault("header", "must be the name of a header field"),
            Self::Jwt {
                jwks: Some(jwks), ..
            } if !has_keys(jwks) => fault("jwks", "must be a JWK set whose keys have a kid"),
            Self::Basic { username }
                if username.is_empty() || username.len() > 200 || username.contains(':') =>
            {
                fault("username", "must have 1 to 200 bytes and no colon")
            }
            _ => None,
        }
    }
}

fn is_field(name: &str) -> bool {
    name.len() <= 100 && HeaderName::try_from(name).is_ok()
}

fn has_keys(jwks: &Value) -> bool {
    let mut keys = KeyCache::default();
    keys.store(jwks.to_string().as_bytes(), 0);
    let ids = jwks["keys"].as_array().into_iter().flatten();
    let mut ids = ids.map(|key| key["kid"].as_str()).peekable();
    ids.peek().is_some() && ids.all(|kid| kid.is_some_and(|kid| keys.get(kid).is_some()))
}
