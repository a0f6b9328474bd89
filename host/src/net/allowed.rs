//! `allowed_outbound_hosts` as Spin reads it: `scheme://host[:port]`, each part may be `*`.
use anyhow::{Context, Result, bail, ensure};
use url::Host;

/// The suffix of in-process service chaining.
pub const CHAINING_SUFFIX: &str = ".spin.internal";

/// What one component may call.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    scheme: Option<String>,
    host: HostRule,
    port: PortRule,
}

#[derive(Debug, Clone, PartialEq)]
enum HostRule {
    Any,
    Subdomains(String),
    Own,
    Exact(Host),
    Network(ipnet::IpNet),
}

#[derive(Debug, Clone, PartialEq)]
enum PortRule {
    Any,
    One(u16),
    Range(std::ops::Range<u16>),
}

impl AllowedHosts {
    /// Reads rendered entries; an entry that a template left empty is skipped, as Spin does.
    ///
    /// # Errors
    /// When an entry is not in Spin's form.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut rules = Vec::new();
        for entry in entries {
            let entry = entry.as_ref().trim();
            if matches!(entry, "" | "http://" | "https://") {
                continue;
            }
            rules.push(
                Entry::parse(entry)
                    .with_context(|| format!("allowed_outbound_hosts entry {entry:?}"))?,
            );
        }
        Ok(Self(rules))
    }

    /// Whether `scheme://host:port` may be called; without a port the scheme's usual one counts.
    pub fn allows(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let Ok(host) = Host::parse(host) else {
            return false;
        };
        self.0.iter().any(|entry| {
            entry.scheme.as_deref().is_none_or(|s| s == scheme)
                && entry.host.covers(&host)
                && entry.port.covers(port.or_else(|| usual_port(scheme)))
        })
    }

    /// Whether relative requests ("self") may be made with `scheme`.
    pub fn allows_own(&self, scheme: &str) -> bool {
        self.0.iter().any(|entry| {
            entry.scheme.as_deref().is_none_or(|s| s == scheme)
                && matches!(entry.host, HostRule::Any | HostRule::Own)
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text
            .split_once("://")
            .context("has no scheme, such as https:// or *://")?;
        let (host, port) = split_port(rest)?;
        let scheme = match scheme {
            "*" => None,
            name => {
                ensure!(
                    !name.is_empty() && name.chars().all(char::is_alphabetic),
                    "the scheme may only have letters"
                );
                Some(name.to_owned())
            }
        };
        let port = PortRule::parse(port, scheme.as_deref())?;
        Ok(Self {
            host: HostRule::parse(host)?,
            port,
            scheme,
        })
    }
}

fn split_port(rest: &str) -> Result<(&str, &str)> {
    let Some((host, tail)) = rest.rsplit_once(':') else {
        return Ok((rest, ""));
    };
    if tail.is_empty() {
        return Ok((host, ""));
    }
    if HostRule::parse(rest).is_ok() {
        return Ok((rest, ""));
    }
    match tail.split_once('/') {
        Some((port, "")) => Ok((host, port)),
        Some(_) => bail!("must not have a path"),
        None => Ok((host, tail)),
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        match text {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::Own),
            _ => {}
        }
        if let Some(network) = parse_network(text) {
            return Ok(Self::Network(network));
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        ensure!(!text.contains('/'), "must not have a path");
        if let Some(domain) = text.strip_prefix("*.") {
            ensure!(!domain.contains('*'), "a wildcard may only stand first");
            let Host::Domain(domain) = Host::parse(domain)? else {
                bail!("a wildcard needs a domain")
            };
            return Ok(Self::Subdomains(format!(".{domain}")));
        }
        ensure!(
            !text.contains('*'),
            "a wildcard may only stand for whole subdomains"
        );
        Ok(Self::Exact(Host::parse(text)?))
    }

    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomains(suffix), Host::Domain(domain)) => domain.ends_with(suffix.as_str()),
            (Self::Exact(exact), host) => exact == host,
            (Self::Network(network), Host::Ipv4(ip)) => {
                network.contains(&std::net::IpAddr::V4(*ip))
            }
            (Self::Network(network), Host::Ipv6(ip)) => {
                network.contains(&std::net::IpAddr::V6(*ip))
            }
            (Self::Subdomains(_) | Self::Network(_) | Self::Own, _) => false,
        }
    }
}

fn parse_network(text: &str) -> Option<ipnet::IpNet> {
    text.parse::<ipnet::IpNet>()
        .ok()
        .map(|network| network.trunc())
}

impl PortRule {
    fn parse(text: &str, scheme: Option<&str>) -> Result<Self> {
        if text.is_empty() {
            let port = scheme
                .and_then(usual_port)
                .context("has no port and its scheme has no usual one")?;
            return Ok(Self::One(port));
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some((from, to)) = text.split_once("..") {
            return Ok(Self::Range(from.parse()?..to.parse()?));
        }
        Ok(Self::One(text.parse().with_context(|| {
            format!("port {text:?} is not a number")
        })?))
    }

    fn covers(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::One(one), Some(port)) => *one == port,
            (Self::Range(range), Some(port)) => range.contains(&port),
        }
    }
}

/// The port that a scheme means when none is said.
pub fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The component that `host` names, when it is a chaining host (`<component>.spin.internal`).
pub fn chained_component(host: &str) -> Option<&str> {
    host.strip_suffix(CHAINING_SUFFIX)
        .filter(|id| !id.is_empty() && !id.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> AllowedHosts {
        AllowedHosts::parse(entries).unwrap()
    }

    #[test]
    fn exact_entries_allow_themselves_only() {
        let allowed = hosts(&["https://api.openai.com"]);
        assert!(allowed.allows("https", "api.openai.com", None));
        assert!(allowed.allows("https", "api.openai.com", Some(443)));
        assert!(!allowed.allows("http", "api.openai.com", None));
        assert!(!allowed.allows("https", "api.openai.com", Some(8443)));
        assert!(!allowed.allows("https", "evil.com", None));
    }

    #[test]
    fn wildcards_cover_what_spin_says() {
        let allowed = hosts(&[
            "*://*.example.com:*",
            "postgres://*:*",
            "http://10.0.0.0/8:80..90",
        ]);
        assert!(allowed.allows("ftp", "a.b.example.com", Some(21)));
        assert!(!allowed.allows("ftp", "example.com", Some(21)));
        assert!(allowed.allows("postgres", "127.0.0.1", Some(6000)));
        assert!(!allowed.allows("mysql", "127.0.0.1", Some(6000)));
        assert!(allowed.allows("http", "10.3.4.5", Some(89)));
        assert!(!allowed.allows("http", "10.3.4.5", Some(90)));
    }

    #[test]
    fn empty_templates_are_skipped_and_nonsense_is_refused() {
        assert!(!hosts(&["", "https://"]).allows("https", "a.example", None));
        for wrong in [
            "example.com",
            "https://a.com/path",
            "https://a*.com",
            "odd://host",
            "https://x:port",
        ] {
            assert!(AllowedHosts::parse([wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn own_and_chaining_hosts_are_told_apart() {
        assert!(hosts(&["http://self"]).allows_own("http"));
        assert!(!hosts(&["http://self"]).allows("http", "example.com", None));
        assert_eq!(chained_component("traces.spin.internal"), Some("traces"));
        assert_eq!(chained_component("a.b.spin.internal"), None);
        assert_eq!(chained_component("traces.example"), None);
    }
}
