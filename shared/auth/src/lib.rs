//! Who is calling: API keys (GitHub's shape) and user tokens (Supabase JWT; HS256, or RS256/ES256 by JWKS).
//!
//! Pure: fetching a JWKS document and looking a key up in the store are the caller's.

pub mod api_key;
pub mod jwks;
pub mod jwt;
pub mod link_token;
pub mod scope;

use thiserror::Error;

/// What an `Authorization` header holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// An API key of the right form and checksum.
    ApiKey(api_key::ApiKey),
    /// Something that looks like a JWT; not verified.
    Jwt(String),
}

/// Why a credential was not accepted. The text is safe to show to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejected {
    /// No `Authorization` header.
    #[error("send an API key or a user token as Authorization: Bearer …")]
    Missing,
    /// Not `Bearer`, or neither an API key nor a JWT.
    #[error("the Authorization header holds neither an API key nor a user token")]
    Malformed,
    /// The key's checksum does not fit: mistyped or cut off.
    #[error("the API key is mistyped or cut off")]
    BadChecksum,
    /// Signature, issuer, audience or algorithm is wrong.
    #[error("the user token is not valid here")]
    BadToken,
    /// The token's `exp` has passed.
    #[error("the user token has expired")]
    Expired,
    /// User tokens are not configured here.
    #[error("user tokens are not configured on this server; use an API key")]
    NotConfigured,
}

/// Reads the value of an `Authorization` header.
pub fn read_authorization(value: Option<&str>) -> Result<Presented, Rejected> {
    let value = value.ok_or(Rejected::Missing)?;
    let (scheme, token) = value.split_once(' ').ok_or(Rejected::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejected::Malformed);
    }
    let token = token.trim();
    if token.starts_with("nai_") {
        return api_key::ApiKey::parse(token).map(Presented::ApiKey);
    }
    match token.split('.').count() {
        3 => Ok(Presented::Jwt(token.to_owned())),
        _ => Err(Rejected::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_apart() {
        assert_eq!(read_authorization(None), Err(Rejected::Missing));
        for bad in ["", "Bearer", "Basic YTpi", "Bearer x", "Bearer a.b"] {
            assert_eq!(
                read_authorization(Some(bad)),
                Err(Rejected::Malformed),
                "{bad}"
            );
        }
        let jwt = read_authorization(Some("bearer a.b.c")).unwrap();
        assert_eq!(jwt, Presented::Jwt("a.b.c".into()));
        let short = read_authorization(Some("Bearer nai_live_abc"));
        assert_eq!(short, Err(Rejected::BadChecksum));
    }
}
