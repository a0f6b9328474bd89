//! Patterns of hosts: where a secret may go, what a version may reach.

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

/// Whether a pattern means all that another one means: `*.example.com` covers `api.example.com` and `*.eu.example.com`.
pub fn covers(rule: &str, other: &str) -> bool {
    if rule == "*" {
        return true;
    }
    let ((rule, port), (name, other_port)) = (split_port(rule), split_port(other));
    let same_port = port.is_none() || port == other_port;
    let same_host = match (rule.strip_prefix("*."), name.strip_prefix("*.")) {
        (Some(parent), Some(below)) if parent == below => true,
        (Some(parent), below) => below
            .unwrap_or(name)
            .strip_suffix(parent)
            .is_some_and(|sub| sub.ends_with('.') && sub.len() > 1),
        (None, _) => rule == name,
    };
    same_port && same_host
}

/// Host and port of `host:port`; no port where there is none.
pub fn split_port(text: &str) -> (&str, Option<u16>) {
    let split = text.rsplit_once(':');
    let split = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.map_or((text, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_means_and_no_more() {
        for (rule, other) in [
            ("*", "*"),
            ("*", "a.example:8080"),
            ("a.example", "a.example"),
            ("a.example", "a.example:8080"),
            ("a.example:8080", "a.example:8080"),
            ("*.example", "a.example"),
            ("*.example", "*.example"),
            ("*.example", "*.a.example"),
            ("*.example", "b.a.example:1"),
        ] {
            assert!(covers(rule, other), "{rule} {other}");
        }
        for (rule, other) in [
            ("a.example", "*"),
            ("a.example", "b.example"),
            ("a.example", "*.a.example"),
            ("a.example:8080", "a.example"),
            ("a.example:8080", "a.example:9090"),
            ("*.example", "example"),
            ("*.example", "aexample"),
            ("*.a.example", "*.example"),
            ("*.a.example", "a.example"),
            ("*.example", "*"),
        ] {
            assert!(!covers(rule, other), "{rule} {other}");
        }
    }
}
