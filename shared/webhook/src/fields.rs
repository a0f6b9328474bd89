//! Header fields that a subscription adds to its requests.

use http::{HeaderName, HeaderValue};

/// Most fields of one subscription.
pub const MOST: usize = 20;
/// Longest value, bytes.
const LONGEST: usize = 1_000;

/// Fields that are the protocol's or the connection's own. Credentials are not for fields that are stored in clear: the
/// signature says who calls.
const RESERVED: [&str; 20] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// A field that may not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a name of HTTP.
    #[error("is not the name of a header field")]
    Name,
    /// [`RESERVED`], or the specification's own.
    #[error("is a header field that is set here, or one for credentials")]
    Reserved,
    /// Not a value of HTTP, or too long.
    #[error("must have at most 1000 visible characters")]
    Value,
}

/// Checks one field. Errors: see [`Refused`].
pub fn check(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Refused> {
    let name = HeaderName::try_from(name).map_err(|_| Refused::Name)?;
    let text = name.as_str();
    if RESERVED.contains(&text) || text.starts_with("webhook-") || text.starts_with("x-forwarded-")
    {
        return Err(Refused::Reserved);
    }
    let visible = value.len() <= LONGEST && value.bytes().all(|b| (0x20..0x7f).contains(&b));
    let parsed = HeaderValue::try_from(value).ok().filter(|_| visible);
    parsed.map(|value| (name, value)).ok_or(Refused::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_fields_may_be_added_and_others_may_not() {
        assert!(check("X-Team", "growth").is_ok());
        let cases = [
            ("", "x", Refused::Name),
            ("a b", "x", Refused::Name),
            ("Host", "x", Refused::Reserved),
            ("Authorization", "Bearer x", Refused::Reserved),
            ("Webhook-Id", "x", Refused::Reserved),
            ("webhook-signature", "x", Refused::Reserved),
            ("X-Forwarded-For", "x", Refused::Reserved),
            ("x-a", "a\r\nb: c", Refused::Value),
            ("x-a", "é", Refused::Value),
        ];
        for (name, value, refused) in cases {
            assert_eq!(check(name, value).err(), Some(refused), "{name}: {value}");
        }
        assert_eq!(check("x-a", &"x".repeat(1_001)).err(), Some(Refused::Value));
    }
}
