//! `WWW-Authenticate` of a server that wants a token (RFC 6750, RFC 9728 section 5.1).

use std::collections::BTreeMap;

/// What a refusal says about how to get in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the server's metadata is.
    pub resource_metadata: Option<String>,
    /// What the token has to allow, with spaces between.
    pub scope: Option<String>,
    /// `invalid_token`, `insufficient_scope` and so on.
    pub error: Option<String>,
}

impl Challenge {
    /// Reads the `Bearer` challenge of a header field; nothing is known where there is none.
    pub fn read(field: &str) -> Self {
        let parameters = bearer(field);
        let get = |name: &str| parameters.get(name).cloned();
        Self {
            resource_metadata: get("resource_metadata"),
            scope: get("scope").filter(|scope| !scope.trim().is_empty()),
            error: get("error"),
        }
    }
}

/// The parameters of the first `Bearer` challenge among several.
fn bearer(field: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut here = false;
    for part in split(field) {
        // `Bearer realm="x"` begins a challenge, `scope="y"` goes on with it.
        let (scheme, rest) = match part.split_once([' ', '\t']) {
            Some((word, rest)) if !word.contains('=') => (Some(word), rest.trim()),
            _ if part.contains('=') => (None, part),
            _ => (Some(part), ""),
        };
        if let Some(scheme) = scheme {
            if here {
                break;
            }
            here = scheme.eq_ignore_ascii_case("bearer");
        }
        if let Some((name, value)) = rest.split_once('=').filter(|_| here) {
            let name = name.trim().to_ascii_lowercase();
            found.entry(name).or_insert_with(|| unquote(value.trim()));
        }
    }
    found
}

/// The parts between commas that are not in quotes.
fn split(field: &str) -> Vec<&str> {
    let (mut parts, mut begun) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in field.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(field[begun..at].trim());
                begun = at + 1;
            }
            _ => {}
        }
    }
    parts.push(field[begun..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_challenge_is_read_among_others() {
        let field = r#"Basic realm="a, b", Bearer realm="x", resource_metadata="https://a.example/m?x=1,2", Scope="a b", error=invalid_token, Digest nonce="n""#;
        let read = Challenge::read(field);
        assert_eq!(
            read.resource_metadata.as_deref(),
            Some("https://a.example/m?x=1,2")
        );
        assert_eq!(read.scope.as_deref(), Some("a b"));
        assert_eq!(read.error.as_deref(), Some("invalid_token"));
    }

    #[test]
    fn nothing_is_known_where_nothing_is_said() {
        for field in [
            "",
            "Bearer",
            "Basic realm=\"x\"",
            "Bearer ,,=",
            "Bearer scope=\"\"",
        ] {
            assert_eq!(Challenge::read(field).scope, None, "{field}");
        }
        let quoted = Challenge::read(r#"Bearer scope="a \"b\" c""#);
        assert_eq!(quoted.scope.as_deref(), Some("a \"b\" c"));
    }
}
