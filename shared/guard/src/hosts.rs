//! Patterns of hosts: names, `*.example.com`, each with a port where one is meant.

use url::Url;

/// Whether a URL's host is meant by `example.com` (itself), `*.example.com` (its subdomains at any depth) or `*`; without a
/// port, any port.
pub fn host_matches(pattern: &str, url: &Url) -> bool {
    let Some(host) = url.host_str().map(str::to_ascii_lowercase) else {
        return false;
    };
    if pattern == "*" {
        return true;
    }
    let (name, port) = split_port(pattern);
    let same_port = port.is_none() || port == url.port_or_known_default();
    let same_host = match name.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .is_some_and(|sub| sub.ends_with('.') && sub.len() > 1),
        None => host == name,
    };
    same_port && same_host
}

/// Host, and the port where there is one.
pub fn split_port(text: &str) -> (&str, Option<u16>) {
    let split = text.rsplit_once(':');
    let split = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.map_or((text, None), |(host, port)| (host, Some(port)))
}
