//! The secrets that a node holds, and where they may go.

use std::collections::BTreeMap;

use nodeai_engine::NodeError;
use nodeai_guard::host_matches;
use url::Url;

/// A secret's value and the hosts that it may be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The value.
    pub value: String,
    /// Host names, `*.example.com`, each with a port where one is meant; `None` for any host.
    pub hosts: Option<Vec<String>>,
}

impl Secret {
    /// A secret that may go anywhere.
    pub fn unbound(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            hosts: None,
        }
    }

    /// Whether it may be sent to `url`.
    pub fn may_go_to(&self, url: &Url) -> bool {
        let Some(hosts) = &self.hosts else {
            return true;
        };
        hosts.iter().any(|pattern| host_matches(pattern, url))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Secret(hosts: {:?})", self.hosts)
    }
}

/// What one node has opened.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<String, Secret>);

impl Held {
    pub(crate) fn new(secrets: BTreeMap<String, Secret>) -> Self {
        Self(secrets)
    }

    /// The values by name, as templates see them.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, secret)| (name.clone(), secret.value.clone()))
            .collect()
    }

    /// Refuses a URL that one of the secrets is not meant for.
    pub(crate) fn check(&self, url: &Url) -> Result<(), NodeError> {
        match self.0.iter().find(|(_, secret)| !secret.may_go_to(url)) {
            Some((name, _)) => Err(refused(
                name,
                &format!("is not for {}", url.host_str().unwrap_or("")),
            )),
            None => Ok(()),
        }
    }

    /// Refuses to hand a bound secret to a node that sends nothing: its value would go on from there.
    pub(crate) fn check_unsent(&self) -> Result<(), NodeError> {
        match self.0.iter().find(|(_, secret)| secret.hosts.is_some()) {
            Some((name, _)) => Err(refused(
                name,
                "may be used in nodes that call its hosts only",
            )),
            None => Ok(()),
        }
    }
}

/// The error of a secret that would have gone where it may not.
pub(crate) fn refused(name: &str, why: &str) -> NodeError {
    NodeError::new(
        "secret_host_refused",
        format!("the secret {name} {why}"),
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(hosts: &[&str], url: &str) -> bool {
        let secret = Secret {
            value: "v".to_owned(),
            hosts: Some(hosts.iter().map(|host| (*host).to_owned()).collect()),
        };
        secret.may_go_to(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_bound_secret_goes_to_its_hosts_only() {
        assert!(goes(&["api.example.com"], "https://api.example.com/x"));
        assert!(goes(&["api.example.com"], "https://API.Example.com:8443/"));
        assert!(goes(&["*.example.com"], "https://a.b.example.com/"));
        assert!(goes(&["127.0.0.1:81"], "http://127.0.0.1:81/"));
        for url in [
            "https://example.com/",
            "https://badexample.com/",
            "https://api.example.com.evil.org/",
            "https://evil.org/?api.example.com",
            "https://api.example.com@evil.org/",
        ] {
            assert!(!goes(&["api.example.com", "*.example.com"], url), "{url}");
        }
        assert!(!goes(&["127.0.0.1:81"], "http://127.0.0.1:82/"));
        assert!(!goes(&[], "https://api.example.com/"));
    }

    #[test]
    fn it_does_not_print_itself() {
        let text = format!("{:?}", Secret::unbound("hush"));
        assert!(!text.contains("hush"));
    }
}
