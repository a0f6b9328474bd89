//! Credentials of a tool: by name, never by value. The values come when a request is made.

use crate::Fault;
use crate::request::Outgoing;
use crate::template::{Values, is_secret_name};
use base64::prelude::{BASE64_STANDARD, Engine};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How a tool's requests are authenticated: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// The access token of a connected account (its id or name).
    Connection(String),
    /// `Authorization: Bearer`, with this secret.
    Bearer(String),
    /// A header field of this name, with a secret, perhaps behind a word.
    Header {
        /// The field.
        name: String,
        /// The secret.
        secret: String,
        /// What stands before it, such as `Token `.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
    },
    /// A query parameter of this name, with a secret.
    Query {
        /// The parameter.
        name: String,
        /// The secret.
        secret: String,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        username: String,
        /// The secret with the password.
        secret: String,
    },
    /// A token that the server's issuer gives to this client for itself (OAuth 2.0 client credentials); for MCP servers, which
    /// say who their issuer is.
    ClientCredentials {
        /// The client.
        client_id: String,
        /// The secret with its secret.
        secret: String,
        /// What the token is to allow; what the server asks for unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}

impl Auth {
    /// The secret that it needs.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Connection(_) => None,
            Self::Bearer(secret)
            | Self::Header { secret, .. }
            | Self::Query { secret, .. }
            | Self::Basic { secret, .. }
            | Self::ClientCredentials { secret, .. } => Some(secret),
        }
    }

    /// Faults of its own.
    pub fn check(&self, at: &str, faults: &mut Vec<Fault>) {
        if let Some(secret) = self.secret()
            && !is_secret_name(secret)
        {
            faults.push(Fault::new(at, "format", "must name a secret"));
        }
        match self {
            Self::Connection(name) if name.is_empty() || name.len() > 200 => {
                faults.push(Fault::new(
                    format!("{at}/connection"),
                    "length",
                    "1 to 200 characters",
                ));
            }
            Self::Header { name, .. } => {
                let at = format!("{at}/header/name");
                crate::request::check_header(name, &at, true, faults);
            }
            Self::Query { name, .. } if name.is_empty() => {
                faults.push(Fault::new(
                    format!("{at}/query/name"),
                    "length",
                    "must not be empty",
                ));
            }
            _ => {}
        }
    }

    /// Puts it into a request. `token` is what a connection or an issuer has given.
    ///
    /// # Errors
    /// Its value is not there.
    pub fn apply(
        &self,
        request: &mut Outgoing,
        values: &Values,
        token: Option<&str>,
    ) -> Result<(), String> {
        let value = |name: &str| {
            let found = values.get(name).cloned();
            found.ok_or_else(|| format!("there is no secret {name}"))
        };
        match self {
            Self::Connection(_) | Self::ClientCredentials { .. } => {
                let token = token.ok_or("there is no token")?;
                request.secret_header("authorization", format!("Bearer {token}"));
            }
            Self::Bearer(secret) => {
                request.secret_header("authorization", format!("Bearer {}", value(secret)?));
            }
            Self::Header {
                name,
                secret,
                prefix,
            } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                request.secret_header(name, format!("{prefix}{}", value(secret)?));
            }
            Self::Query { name, secret } => request.secret_query(name, &value(secret)?),
            Self::Basic { username, secret } => {
                let pair = BASE64_STANDARD.encode(format!("{username}:{}", value(secret)?));
                request.secret_header("authorization", format!("Basic {pair}"));
            }
        }
        Ok(())
    }
}

/// The secrets that several credentials need.
pub fn secrets<'a>(all: impl IntoIterator<Item = &'a Auth>) -> BTreeSet<String> {
    all.into_iter()
        .filter_map(Auth::secret)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use url::Url;

    #[test]
    fn each_kind_is_written_as_one_member() {
        let read = |value| serde_json::from_value::<Auth>(value).ok();
        assert_eq!(
            read(json!({"connection": "Mine"})),
            Some(Auth::Connection("Mine".into()))
        );
        assert!(read(json!({"basic": {"username": "u", "secret": "S"}})).is_some());
        assert_eq!(read(json!({"bearer": "A", "connection": "B"})), None);
        assert_eq!(read(json!({"nothing": "A"})), None);
    }

    #[test]
    fn values_go_where_the_kind_says() {
        let values = Values::from([("S".into(), "x y".into())]);
        let sent = |auth: Auth| {
            let mut request = Outgoing::new("GET", Url::parse("https://a.example/?p=1").unwrap());
            auth.apply(&mut request, &values, None).map(|()| request)
        };
        let basic = sent(Auth::Basic {
            username: "u".into(),
            secret: "S".into(),
        })
        .unwrap();
        assert_eq!(basic.header("authorization"), Some("Basic dTp4IHk="));
        let query = sent(Auth::Query {
            name: "key".into(),
            secret: "S".into(),
        })
        .unwrap();
        assert_eq!(query.url.as_str(), "https://a.example/?p=1&key=x+y");
        assert_eq!(query.shown_url(), "https://a.example/");
        assert!(sent(Auth::Bearer("T".into())).is_err());
        let mut faults = Vec::new();
        Auth::Bearer("a b".into()).check("/auth", &mut faults);
        assert_eq!(faults[0].pointer, "/auth");
    }
}
