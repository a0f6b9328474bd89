//! Rules of a provider's fields.

use nodeai_app::{Caller, Scope};
use nodeai_guard::UrlGuard;
use nodeai_http::{Checker, Problem};
use std::collections::BTreeMap;
use url::{Host, Url};

/// Parameters of the authorization request that are the flow's own.
const OWN: [&str; 8] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Scopes: at most 100, of the characters that RFC 6749 (appendix A.4) gives them.
pub fn scopes(c: &mut Checker, scopes: &[String]) {
    c.require(
        scopes.len() <= 100,
        "/scopes",
        "length",
        "at most 100 scopes",
    );
    for (i, scope) in scopes.iter().enumerate() {
        let plain = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let holds = (1..=500).contains(&scope.len()) && scope.bytes().all(plain);
        let detail = "must have 1 to 500 characters of a scope token, no spaces";
        c.require(holds, &format!("/scopes/{i}"), "format", detail);
    }
}

/// Redirect URIs: https, or http to this machine; no fragment (RFC 6749, section 3.1.2).
pub fn redirect_uris(c: &mut Checker, uris: &[String]) {
    let some = (1..=20).contains(&uris.len());
    c.require(some, "/redirect_uris", "length", "1 to 20 URIs");
    for (i, uri) in uris.iter().enumerate() {
        let holds = uri.len() <= 2_000 && Url::parse(uri).is_ok_and(|url| goes_home(&url));
        let detail =
            "must be https://, or http:// to localhost or a loopback address, without a fragment";
        c.require(holds, &format!("/redirect_uris/{i}"), "format", detail);
    }
}

fn goes_home(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let scheme = url.scheme() == "https" || url.scheme() == "http" && local;
    scheme && url.host().is_some() && url.fragment().is_none() && url.username().is_empty()
}

/// The vault's name of a client secret.
pub fn client_secret(c: &mut Checker, name: &str) {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let holds = first && rest && name.len() <= 128;
    let detail = "must be the name of a secret: letters, digits and _";
    c.require(holds, "/client_secret", "format", detail);
}

/// Parameters that are added to the authorization request.
pub fn authorize_parameters(c: &mut Checker, parameters: &BTreeMap<String, String>) {
    let few = parameters.len() <= 20;
    c.require(few, "/authorize_parameters", "length", "at most 20");
    for (name, value) in parameters {
        let holds =
            !OWN.contains(&name.as_str()) && !name.is_empty() && name.len() + value.len() <= 2_000;
        let pointer = format!(
            "/authorize_parameters/{}",
            name.replace('~', "~0").replace('/', "~1")
        );
        c.require(
            holds,
            &pointer,
            "reserved",
            "is set by the flow itself, or too long",
        );
    }
}

/// Host patterns: names, `*.example.com`, with a port where one is meant.
pub fn hosts(c: &mut Checker, hosts: &[String]) {
    let some = (1..=100).contains(&hosts.len());
    c.require(some, "/hosts", "length", "1 to 100 hosts");
    for (i, host) in hosts.iter().enumerate() {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        let holds = bare.len() <= 260
            && !bare.contains(|c: char| c.is_ascii_uppercase() || "*/@".contains(c))
            && Url::parse(&format!("https://{bare}"))
                .is_ok_and(|url| url.path() == "/" && url.has_host());
        let detail = "must be a lower-case host such as api.example.com, *.example.com or api.example.com:8443";
        c.require(holds, &format!("/hosts/{i}"), "format", detail);
    }
}

/// URLs that credentials go to: https, public, unless the operator has excepted the host.
///
/// Errors: 400 with the pointer of each.
pub async fn endpoints<S: Scope>(
    caller: &Caller<S>,
    urls: &[(&str, Option<&str>)],
) -> Result<(), Problem> {
    let guard = UrlGuard::configured(&**caller.cx.env()).await;
    let mut checker = Checker::default();
    for (field, url) in urls {
        let Some(text) = url else { continue };
        // GitHub's names the client.
        let refused = match Url::parse(&text.replace("{client_id}", "id")) {
            Ok(url) => guard.check_confidential(&url).err().map(|e| e.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let detail = refused.as_deref().unwrap_or_default();
        checker.require(refused.is_none(), &format!("/{field}"), "url", detail);
    }
    checker.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(check: impl Fn(&mut Checker)) -> usize {
        let mut c = Checker::default();
        check(&mut c);
        c.finish()
            .map_or_else(|problem| problem.errors.len(), |()| 0)
    }

    #[test]
    fn redirects_lead_to_https_or_to_this_machine() {
        let one = |uri: &str| faults(|c| redirect_uris(c, &[uri.to_owned()]));
        for good in [
            "https://app.example/back?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1:3000/cb",
            "http://[::1]/cb",
        ] {
            assert_eq!(one(good), 0, "{good}");
        }
        for bad in [
            "http://app.example/cb",
            "http://localhost.evil.example/cb",
            "https://app.example/#x",
            "https://user@app.example/",
            "javascript:alert(1)",
            "/back",
            "",
        ] {
            assert_eq!(one(bad), 1, "{bad}");
        }
        assert_eq!(faults(|c| redirect_uris(c, &[])), 1);
    }

    #[test]
    fn hosts_scopes_and_parameters_have_their_form() {
        let host = |text: &str| faults(|c| hosts(c, &[text.to_owned()]));
        assert_eq!(
            host("*.example.com") + host("127.0.0.1:81") + host("a.example"),
            0
        );
        for bad in [
            "*",
            "https://a.example",
            "a.example/x",
            "a@b",
            "a.*.b",
            "API.example.com",
            "",
        ] {
            assert_eq!(host(bad), 1, "{bad}");
        }
        assert_eq!(
            faults(|c| scopes(c, &["a b".to_owned(), "a\"".to_owned(), "ok:1".to_owned()])),
            2
        );
        let own = BTreeMap::from([
            ("state".to_owned(), "1".to_owned()),
            ("prompt".to_owned(), "x".to_owned()),
        ]);
        assert_eq!(faults(|c| authorize_parameters(c, &own)), 1);
    }
}
