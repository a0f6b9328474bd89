//! What a call is authenticated with: secrets out of the vault and tokens of connected accounts, each only for its hosts.

use nodeai_app::vault::OpenedSecret;
use nodeai_app::{Caller, Scope};
use nodeai_guard::host_matches;
use nodeai_http::Problem;
use nodeai_oauth::Connections;
use nodeai_toolkit::credential::Auth;
use nodeai_toolkit::template::Values;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Why credentials cannot be used: a stable word and a message, as a call's answer has them.
pub type Unusable = (&'static str, String);

/// Opened credentials.
#[derive(Default)]
pub struct Opened {
    /// Values by name.
    pub values: Values,
    hosts: BTreeMap<String, Vec<String>>,
}

impl Opened {
    /// Opens secrets by name; each opening is in the access log before its value is here.
    ///
    /// Errors: 403 for a viewer, 503 without the master key, 409 for a value that was tampered with.
    pub async fn of<S: Scope>(
        caller: &Caller<S>,
        names: &BTreeSet<String>,
    ) -> Result<Self, Problem> {
        let mut opened = Self::default();
        if names.is_empty() {
            return Ok(opened);
        }
        let args = json!({"org_id": caller.org_id(), "names": names, "purpose": "tool"});
        let found: Vec<OpenedSecret> = caller.call("secrets_open", &args).await?;
        for secret in found {
            match secret.value(&caller.cx) {
                Ok(value) => {
                    if let Some(hosts) = secret.hosts {
                        opened.hosts.insert(secret.name.clone(), hosts);
                    }
                    opened.values.insert(secret.name, value);
                }
                Err(problem) => {
                    let note = secret.tampering(&caller.cx.trace.trace_id.to_string());
                    caller.call::<Value>("tampering_note", &note).await?;
                    return Err(problem);
                }
            }
        }
        Ok(opened)
    }

    /// Refuses secrets that are bound to other hosts than this URL's.
    ///
    /// Errors: which one.
    pub fn may_go_to(&self, url: &Url) -> Result<(), Unusable> {
        let mut bound = self.hosts.iter();
        match bound.find(|(_, hosts)| !hosts.iter().any(|host| host_matches(host, url))) {
            None => Ok(()),
            Some((name, _)) => {
                let host = url.host_str().unwrap_or_default();
                Err((
                    "secret_refused",
                    format!("the secret {name} is not for {host}"),
                ))
            }
        }
    }

    /// The values, to be blanked in whatever comes back.
    pub fn texts(&self) -> Vec<String> {
        self.values.values().cloned().collect()
    }
}

/// A fresh token of a connected account. `refused` is one that the other side did not take.
///
/// Errors: there is no such account, its grant has ended, or the token is not for this URL's host.
pub async fn token_of<S: Scope>(
    caller: &Caller<S>,
    auth: &Auth,
    url: &Url,
    refused: Option<&str>,
) -> Result<Option<String>, Unusable> {
    let Auth::Connection(name) = auth else {
        return Ok(None);
    };
    let connections = Connections {
        cx: caller.cx.clone(),
        session: caller.session.clone(),
        execution_id: None,
        environment: None,
    };
    let token = connections.token(name, "tool", refused).await;
    let token = token.map_err(|fault| ("connection_failed", fault.to_string()))?;
    match token.hosts.iter().any(|host| host_matches(host, url)) {
        true => Ok(Some(token.value)),
        false => {
            let host = url.host_str().unwrap_or_default();
            let text = format!("the connection {name} is not for {host}");
            Err(("connection_failed", text))
        }
    }
}
