//! Spin's route precedence: exact before pattern before wildcard, the longer prefix first, and the
//! `spin-*` headers that tell a component how it was reached.
use std::borrow::Cow;

use anyhow::{Result, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;

use crate::manifest::{Manifest, Route};

/// Finds the component for a path.
#[derive(Debug)]
pub struct Router {
    routes: routefinder::Router<Entry>,
}

#[derive(Debug)]
struct Entry {
    component: usize,
    route: RouteHeaders,
}

/// The headers that are the same for every request of a route.
#[derive(Debug, Clone, PartialEq)]
struct RouteHeaders {
    matched: Option<HeaderValue>,
    raw: Option<HeaderValue>,
    component: Option<HeaderValue>,
}

impl RouteHeaders {
    fn new(raw: &str, based: &str) -> Self {
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Self {
            matched: value(based),
            raw: value(raw),
            component: value(raw.strip_suffix("/...").unwrap_or(raw)),
        }
    }
}

/// How a path was matched.
#[derive(Debug, PartialEq)]
pub struct Match<'a> {
    /// Index of the component in the manifest.
    pub component: usize,
    route: Cow<'a, RouteHeaders>,
    path_info: String,
    named: Vec<(String, String)>,
}

impl Router {
    /// Builds the table from the manifest's HTTP triggers; of two equal routes the later one counts, as in Spin.
    ///
    /// # Errors
    /// When a route is not a valid pattern.
    pub fn build(manifest: &Manifest) -> Result<Self> {
        let mut entries: IndexMap<&str, usize> = IndexMap::new();
        for trigger in &manifest.trigger.http {
            let Route::Pattern(raw) = &trigger.route else {
                continue;
            };
            let component = manifest.component.get_index_of(&trigger.component);
            entries.insert(
                raw,
                component.ok_or_else(|| anyhow!("no component {:?}", trigger.component))?,
            );
        }
        let mut routes = routefinder::Router::new();
        for (raw, component) in entries {
            let based = with_base(manifest.base(), raw);
            let pattern = match based.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => based.clone(),
            };
            let entry = Entry {
                component,
                route: RouteHeaders::new(raw, &based),
            };
            routes
                .add(pattern.as_str(), entry)
                .map_err(|error| anyhow!("route {raw:?}: {error}"))?;
        }
        Ok(Self { routes })
    }

    /// The best match for `path`, or `None`.
    pub fn find(&self, path: &str) -> Option<Match<'_>> {
        let found = self.routes.best_match(path)?;
        let captures = found.captures();
        let path_info = captures
            .wildcard()
            .map(|rest| trailing(rest, path))
            .unwrap_or_default();
        let named = captures
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let entry = found.handler();
        Some(Match {
            component: entry.component,
            route: Cow::Borrowed(&entry.route),
            path_info,
            named,
        })
    }
}

/// Spin keeps a trailing slash in `spin-path-info`; the route finder does not.
fn trailing(rest: &str, path: &str) -> String {
    match (rest.is_empty(), path.ends_with('/')) {
        (true, false) => String::new(),
        (true, true) => "/".to_owned(),
        (false, false) => format!("/{rest}"),
        (false, true) => format!("/{rest}/"),
    }
}

fn with_base(base: &str, route: &str) -> String {
    let route = if route.starts_with('/') {
        route.to_owned()
    } else {
        format!("/{route}")
    };
    format!("{}{}", base.trim_end_matches('/'), strip_slash(&route))
}

fn strip_slash(route: &str) -> &str {
    route.strip_suffix('/').unwrap_or(route)
}

impl Match<'static> {
    /// The match of a chained call: the component's own wildcard route.
    pub fn chained(component: usize, path: &str) -> Self {
        Self {
            component,
            route: Cow::Owned(RouteHeaders::new("/...", "/...")),
            path_info: path.to_owned(),
            named: Vec::new(),
        }
    }
}

impl Match<'_> {
    /// Sets the `spin-*` headers, replacing any that the client sent. `client` is its address.
    pub fn set_headers(&self, headers: &mut HeaderMap, full_url: &str, client: &HeaderValue) {
        let mut set = |name: HeaderName, value: Option<HeaderValue>| match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        };
        let text = |text: &str| HeaderValue::from_str(text).ok();
        let route = &self.route;
        set(
            HeaderName::from_static("spin-path-info"),
            text(&self.path_info),
        );
        set(HeaderName::from_static("spin-full-url"), text(full_url));
        set(
            HeaderName::from_static("spin-matched-route"),
            route.matched.clone(),
        );
        set(
            HeaderName::from_static("spin-base-path"),
            Some(HeaderValue::from_static("/")),
        );
        set(
            HeaderName::from_static("spin-raw-component-route"),
            route.raw.clone(),
        );
        set(
            HeaderName::from_static("spin-component-route"),
            route.component.clone(),
        );
        set(
            HeaderName::from_static("spin-client-addr"),
            Some(client.clone()),
        );
        for (name, value) in &self.named {
            let name = format!(
                "spin-path-match-{}",
                name.to_ascii_lowercase().replace('_', "-")
            );
            if let Ok(name) = HeaderName::try_from(name) {
                set(name, text(value));
            }
        }
    }
}

/// A client's address as the components see it.
pub fn client_header(client: std::net::SocketAddr) -> HeaderValue {
    let value = HeaderValue::from_str(&client.to_string());
    value.unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> (Router, Manifest) {
        let mut text = "spin_manifest_version = 2\n[application]\nname = \"x\"\n".to_owned();
        for (route, component) in routes {
            text += &format!("[[trigger.http]]\nroute = {route:?}\ncomponent = {component:?}\n");
        }
        let mut names: Vec<_> = routes.iter().map(|(_, component)| component).collect();
        names.sort();
        names.dedup();
        for name in names {
            text += &format!("[component.{name}]\nsource = \"{name}.wasm\"\n");
        }
        let manifest = Manifest::parse(&text).unwrap();
        (Router::build(&manifest).unwrap(), manifest)
    }

    fn found(routes: &[(&str, &str)], path: &str) -> String {
        let (router, manifest) = router(routes);
        router.find(path).map_or("none".into(), |m| {
            manifest.component.get_index(m.component).unwrap().0.clone()
        })
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = [
            ("/...", "all"),
            ("/api/...", "api"),
            ("/api/v1/traces", "exact"),
            ("/api/:version/x", "named"),
        ];
        assert_eq!(found(&routes, "/"), "all");
        assert_eq!(found(&routes, "/other"), "all");
        assert_eq!(found(&routes, "/api"), "api");
        assert_eq!(found(&routes, "/api/"), "api");
        assert_eq!(found(&routes, "/api/a/b"), "api");
        assert_eq!(found(&routes, "/api/v1/traces"), "exact");
        assert_eq!(found(&routes, "/api/v2/x"), "named");
        assert_eq!(found(&routes, "/apifoo"), "all");
    }

    #[test]
    fn longer_wildcards_win_whatever_their_order() {
        for routes in [
            [
                ("/api/v1/workflows/...", "w"),
                ("/api/v1/workflows/execute/...", "e"),
            ],
            [
                ("/api/v1/workflows/execute/...", "e"),
                ("/api/v1/workflows/...", "w"),
            ],
        ] {
            assert_eq!(found(&routes, "/api/v1/workflows/execute"), "e");
            assert_eq!(found(&routes, "/api/v1/workflows/execute/x/cancel"), "e");
            assert_eq!(found(&routes, "/api/v1/workflows/abc"), "w");
            assert_eq!(found(&routes, "/api/v1/workflows"), "w");
            assert_eq!(found(&routes, "/api/v1"), "none");
        }
    }

    #[test]
    fn headers_say_what_spin_says() {
        let (router, _) = router(&[("/foo/:userid/...", "c")]);
        let mut headers = HeaderMap::new();
        headers.insert("spin-path-info", HeaderValue::from_static("forged"));
        let client = client_header("127.0.0.1:8777".parse().unwrap());
        router.find("/foo/42/bar").unwrap().set_headers(
            &mut headers,
            "http://h/foo/42/bar?k=v",
            &client,
        );
        assert_eq!(headers["spin-path-info"], "/bar");
        assert_eq!(headers["spin-matched-route"], "/foo/:userid/...");
        assert_eq!(headers["spin-component-route"], "/foo/:userid");
        assert_eq!(headers["spin-raw-component-route"], "/foo/:userid/...");
        assert_eq!(headers["spin-full-url"], "http://h/foo/42/bar?k=v");
        assert_eq!(headers["spin-path-match-userid"], "42");
        assert_eq!(headers["spin-client-addr"], "127.0.0.1:8777");
        assert_eq!(headers["spin-base-path"], "/");
    }
}
