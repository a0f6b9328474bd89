//! Which URLs of a user's may be called. This is the clear refusal for what the URL itself shows;
//! names that resolve to private addresses are the host's part.

mod hosts;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use hosts::{covers, host_matches, split_port};

use nodeai_ports::Env;
use url::{Host, Url};

/// A URL that may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not http(s).
    #[error("only http:// and https:// URLs may be called")]
    Scheme,
    /// Credentials would go out in clear.
    #[error("credentials go to https:// URLs only")]
    Plain,
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// The host is another component of this application.
    #[error("{0} is a part of this application; calls to it are not allowed")]
    Chained(String),
    /// The host is private.
    #[error("{0} is a private, local or reserved address; calls to it are not allowed")]
    Private(String),
    /// The host is not one of those that the caller's workflow may reach.
    #[error("{0} is not among the hosts of the workflow that calls (settings.egress)")]
    Unlisted(String),
}

/// The header field by which a run tells an area to which hosts its workflow keeps: patterns of hosts, separated by commas,
/// once for each list that counts. Whoever sends it can only be allowed less by it.
pub const EGRESS_FIELD: &str = "x-nodeai-egress";

/// The rule for URLs, with exceptions.
#[derive(Debug, Clone, Default)]
pub struct UrlGuard {
    allowed: Vec<String>,
    /// A URL's host must be in each of them.
    lists: Vec<Vec<String>>,
}

impl UrlGuard {
    /// A guard with exceptions: `host` or `host:port`; `*` allows every host.
    pub fn allowing(allowed: impl IntoIterator<Item = String>) -> Self {
        let tidy = |entry: String| entry.trim().trim_end_matches('/').to_ascii_lowercase();
        Self {
            allowed: allowed
                .into_iter()
                .map(tidy)
                .filter(|entry| !entry.is_empty())
                .collect(),
            lists: Vec::new(),
        }
    }

    /// The guard that also keeps to lists of hosts, as fields named [`EGRESS_FIELD`] have them.
    #[must_use]
    pub fn narrowed<'f>(mut self, fields: impl IntoIterator<Item = &'f str>) -> Self {
        self.lists.extend(fields.into_iter().map(|field| {
            let entries = field.split(',').map(|entry| entry.trim().to_owned());
            entries.filter(|entry| !entry.is_empty()).collect()
        }));
        self
    }

    /// The lists of hosts that it keeps to, as fields.
    pub fn lists(&self) -> impl Iterator<Item = String> {
        self.lists.iter().map(|list| list.join(","))
    }

    /// Checks a URL of any scheme against the lists alone.
    ///
    /// # Errors
    /// When its host is not in one of them.
    pub fn check_listed(&self, url: &Url) -> Result<(), Refused> {
        let listed = |list: &Vec<String>| list.iter().any(|entry| host_matches(entry, url));
        match self.lists.iter().all(listed) {
            true => Ok(()),
            false => Err(Refused::Unlisted(
                url.host_str().unwrap_or_default().to_owned(),
            )),
        }
    }

    /// The guard that the operator has configured: `nodeai_allow_private_hosts`, separated by commas.
    pub async fn configured(env: &dyn Env) -> Self {
        let allowed = env.get("nodeai_allow_private_hosts").await;
        Self::allowing(allowed.unwrap_or_default().split(',').map(str::to_owned))
    }

    /// Checks a URL that credentials go to: `https`, or a host that the operator has excepted.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check_confidential(&self, url: &Url) -> Result<(), Refused> {
        self.check(url)?;
        let host = url.host_str().unwrap_or_default();
        match url.scheme() == "https" || self.excepts(host, url.port_or_known_default()) {
            true => Ok(()),
            false => Err(Refused::Plain),
        }
    }

    /// Checks a URL. Odd spellings of addresses (`0x7f.1`, `2130706433`) have been made plain
    /// by the URL parser before.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        let host = url.host().ok_or(Refused::NoHost)?;
        // Service chaining: whatever the operator excepts, no user reaches into the application.
        if let Host::Domain(name) = &host
            && is_chained(name)
        {
            return Err(Refused::Chained(host.to_string()));
        }
        let private = match &host {
            Host::Ipv4(address) => !is_public_v4(*address),
            Host::Ipv6(address) => !is_public_v6(*address),
            Host::Domain(name) => !is_public_name(name),
        };
        if private && !self.excepts(&host.to_string(), url.port_or_known_default()) {
            return Err(Refused::Private(host.to_string()));
        }
        self.check_listed(url)
    }

    fn excepts(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = format!("{host}:{}", port.unwrap_or_default());
        self.allowed
            .iter()
            .any(|entry| entry == "*" || entry == host || *entry == with_port)
    }
}

/// Whether an address is one of the public Internet's.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By IANA's special-purpose registry for IPv4, and the one public address at which a cloud (Azure) serves each machine's own
/// metadata.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., _, _)
    );
    !special && [a, b, c, d] != [168, 63, 129, 16]
}

/// By IANA's special-purpose registry for IPv6; addresses that carry an IPv4 address are
/// judged by that.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Only 2000::/3 has been given out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// `<component>.spin.internal`, and what others make of it.
fn is_chained(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "spin.internal" || name.ends_with(".spin.internal")
}

fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // RFC 6761, RFC 6762, RFC 8375; what ICANN keeps out of the root; what clusters use.
    let local = [
        "localhost",
        "local",
        "internal",
        "home.arpa",
        "localdomain",
        "lan",
        "home",
        "corp",
        "intranet",
        "private",
        "svc",
        "consul",
    ];
    let is_local = |suffix: &&str| name == **suffix || name.ends_with(&format!(".{suffix}"));
    // A name without a dot is one of the local network.
    name.contains('.') && !local.iter().any(is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &UrlGuard, url: &str, allowed: bool) {
        let parsed = Url::parse(url).expect(url);
        assert_eq!(guard.check(&parsed).is_ok(), allowed, "{url}");
    }

    #[test]
    fn the_public_internet_may_be_called() {
        for url in [
            "https://example.com/x",
            "http://8.8.8.8:80",
            "https://[2606:4700::1111]/",
        ] {
            check(&UrlGuard::default(), url, true);
        }
    }

    #[test]
    fn lists_allow_less_and_never_more() {
        let guard =
            UrlGuard::default().narrowed(["*.example.com, example.com", "api.example.com,*.org"]);
        check(&guard, "https://api.example.com/x", true);
        for url in [
            "https://example.com/",
            "https://other.org/",
            "http://10.0.0.1/",
        ] {
            check(&guard, url, false);
        }
        check(
            &UrlGuard::default().narrowed([""]),
            "https://example.com/",
            false,
        );
        check(
            &UrlGuard::default().narrowed(["*"]),
            "http://10.0.0.1/",
            false,
        );
        let lists: Vec<String> = guard.lists().collect();
        check(
            &UrlGuard::default().narrowed(lists.iter().map(String::as_str)),
            "https://example.com/",
            false,
        );
        let database = Url::parse("postgres://db.example.com/x").expect("a URL");
        assert!(UrlGuard::default().check_listed(&database).is_ok());
        assert!(guard.check_listed(&database).is_err());
    }

    #[test]
    fn private_places_may_not_however_they_are_spelled() {
        for url in [
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://metadata.google.internal/",
            "http://api.spin.internal/",
            "http://printer/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0/",
            "http://10.1.2.3/",
            "http://172.31.0.1/",
            "http://192.168.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://user:pass@127.0.0.1/",
            "http://１２７.0.0.1/",
            "ftp://example.com/",
            "file:///etc/passwd",
        ] {
            check(&UrlGuard::default(), url, false);
        }
    }

    #[test]
    fn credentials_go_over_https_or_to_excepted_hosts() {
        let guard = UrlGuard::allowing(["127.0.0.1".into()]);
        let ok = |url: &str| {
            guard
                .check_confidential(&Url::parse(url).expect(url))
                .is_ok()
        };
        assert!(ok("https://example.com/token"));
        assert!(ok("http://127.0.0.1:9/token"));
        assert!(!ok("http://example.com/token"));
        assert!(!ok("https://10.0.0.1/token"));
    }

    #[test]
    fn exceptions_are_by_host_and_port() {
        let guard = UrlGuard::allowing(["127.0.0.1:8080".into(), "LocalHost".into(), " ".into()]);
        check(&guard, "http://127.0.0.1:8080/", true);
        check(&guard, "http://127.0.0.1:8081/", false);
        check(&guard, "http://localhost:1/", true);
        check(&guard, "ftp://localhost/", false);
        check(&UrlGuard::allowing(["*".into()]), "http://10.0.0.1/", true);
    }

    #[test]
    fn parts_of_the_application_may_not_whatever_is_excepted() {
        let guard = UrlGuard::allowing(["*".into(), "code.spin.internal".into()]);
        for url in [
            "http://code.spin.internal/",
            "http://CODE.Spin.Internal.:80/x",
            "https://user@execute.spin.internal:8443/",
            "http://a.b.spin.internal/",
            "http://spin.internal/",
            "http://code.spin%2einternal/",
            "http://code。spin。internal/",
        ] {
            check(&guard, url, false);
        }
        check(&guard, "http://spin.internal.example.com/", true);
    }
}
