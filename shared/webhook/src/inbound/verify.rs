//! Whether a request is from whom it should be from. Whatever is secret is compared in the same time whatever differs; each
//! of several secrets is taken, since a sender changes over at a time of its own.

use super::Request;
use super::scheme::{Algorithm, Encoding, Scheme};
use crate::key::Verifier;
use crate::{ID, SIGNATURE, TIMESTAMP, signature};
use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use nodeai_auth::Rejected;
use nodeai_auth::jwks::KeyCache;
use nodeai_auth::jwt::{self, Expect, KeyHint};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Why a request is not taken. For the webhook's owner; the sender only hears that it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The header field is not there.
    #[error("the header field {0} is missing")]
    Missing(String),
    /// The header field has not the form that the scheme asks for.
    #[error("the header field {0} has not the form that the scheme asks for")]
    Malformed(String),
    /// The timestamp is too long ago: it may be a replay.
    #[error("the message is too old")]
    TooOld,
    /// The timestamp is ahead.
    #[error("the message is from the future")]
    TooNew,
    /// No secret gives this signature.
    #[error("no signature fits")]
    Signature,
    /// The password or token is another one.
    #[error("the credential is not the one that is expected")]
    Credential,
    /// The token is not valid.
    #[error("the token is not valid: {0}")]
    Token(Rejected),
    /// The webhook has no secret to verify with.
    #[error("the webhook has no secret to verify with")]
    NoSecret,
}

/// Verifies a request by a scheme with any of `secrets`, at `now_s` (seconds since the Unix epoch).
///
/// # Errors
/// See [`Refused`].
pub fn verify(
    scheme: &Scheme,
    secrets: &[&str],
    request: &Request<'_>,
    now_s: i64,
) -> Result<(), Refused> {
    let check = Check {
        secrets,
        request,
        now_s,
    };
    match scheme {
        Scheme::None {} => Ok(()),
        Scheme::Jwt {
            header,
            issuer,
            audience,
            jwks,
        } => {
            let expect = Expect {
                issuer: issuer.clone(),
                audience: audience.clone(),
            };
            check.jwt(header.as_deref(), &expect, jwks.as_ref())
        }
        _ if secrets.is_empty() => Err(Refused::NoSecret),
        Scheme::StandardWebhooks { tolerance_s } => check.standard(*tolerance_s),
        Scheme::Github {} => {
            let (algorithm, encoding) = (Algorithm::Sha256, Encoding::Hex);
            check.body("x-hub-signature-256", "sha256=", algorithm, encoding)
        }
        Scheme::Stripe { tolerance_s } => check.stripe(*tolerance_s),
        Scheme::Slack { tolerance_s } => check.slack(*tolerance_s),
        Scheme::Hmac {
            header,
            algorithm,
            encoding,
            prefix,
        } => check.body(header, prefix, *algorithm, *encoding),
        Scheme::Basic { username } => check.basic(username),
        Scheme::HeaderToken { header } => check.token(header),
    }
}

struct Check<'a> {
    secrets: &'a [&'a str],
    request: &'a Request<'a>,
    now_s: i64,
}

impl<'a> Check<'a> {
    fn header(&self, name: &str) -> Result<&'a str, Refused> {
        let value = self.request.header(name);
        value.ok_or_else(|| Refused::Missing(name.to_owned()))
    }

    fn fresh(&self, timestamp: &str, name: &str, tolerance_s: u32) -> Result<(), Refused> {
        let at: i64 = timestamp
            .parse()
            .map_err(|_| Refused::Malformed(name.to_owned()))?;
        match self.now_s.saturating_sub(at) {
            age if age > i64::from(tolerance_s) => Err(Refused::TooOld),
            age if age < -i64::from(tolerance_s) => Err(Refused::TooNew),
            _ => Ok(()),
        }
    }

    /// Whether any of the tags is one of the content under any of the secrets.
    fn signed(
        &self,
        algorithm: Algorithm,
        content: &[&[u8]],
        tags: &[Vec<u8>],
    ) -> Result<(), Refused> {
        let fits = |secret: &&str| {
            let fits = |tag: &Vec<u8>| is_tag(algorithm, secret.as_bytes(), content, tag);
            tags.iter().any(fits)
        };
        match self.secrets.iter().any(fits) {
            true => Ok(()),
            false => Err(Refused::Signature),
        }
    }

    fn body(
        &self,
        header: &str,
        prefix: &str,
        algorithm: Algorithm,
        encoding: Encoding,
    ) -> Result<(), Refused> {
        let said = self.header(header)?.strip_prefix(prefix);
        let tag = said.and_then(|text| decode(text.trim(), encoding));
        let tag = tag.ok_or_else(|| Refused::Malformed(header.to_owned()))?;
        self.signed(algorithm, &[self.request.body], &[tag])
    }

    /// <https://docs.stripe.com/webhooks/signature>: `t=<seconds>,v1=<hex>,v1=<hex>` over `<seconds>.<body>`.
    fn stripe(&self, tolerance_s: u32) -> Result<(), Refused> {
        const NAME: &str = "stripe-signature";
        let parts = self.header(NAME)?.split(',');
        let parts: Vec<_> = parts
            .filter_map(|part| part.trim().split_once('='))
            .collect();
        let of = |wanted: &'static str| {
            let named = parts.iter().filter(move |(name, _)| *name == wanted);
            named.map(|(_, value)| *value)
        };
        let timestamp = of("t").next();
        let timestamp = timestamp.ok_or_else(|| Refused::Malformed(NAME.to_owned()))?;
        let tags = of("v1").filter_map(|text| decode(text, Encoding::Hex));
        let tags: Vec<_> = tags.collect();
        let content: [&[u8]; 3] = [timestamp.as_bytes(), b".", self.request.body];
        self.signed(Algorithm::Sha256, &content, &tags)?;
        self.fresh(timestamp, NAME, tolerance_s)
    }

    /// <https://docs.slack.dev/authentication/verifying-requests-from-slack>: `v0=<hex>` over `v0:<seconds>:<body>`.
    fn slack(&self, tolerance_s: u32) -> Result<(), Refused> {
        const NAME: &str = "x-slack-signature";
        const AT: &str = "x-slack-request-timestamp";
        let said = self.header(NAME)?.strip_prefix("v0=");
        let tag = said.and_then(|text| decode(text, Encoding::Hex));
        let tag = tag.ok_or_else(|| Refused::Malformed(NAME.to_owned()))?;
        let timestamp = self.header(AT)?;
        let content: [&[u8]; 4] = [b"v0:", timestamp.as_bytes(), b":", self.request.body];
        self.signed(Algorithm::Sha256, &content, &[tag])?;
        self.fresh(timestamp, AT, tolerance_s)
    }

    fn standard(&self, tolerance_s: u32) -> Result<(), Refused> {
        let (id, timestamp) = (self.header(ID)?, self.header(TIMESTAMP)?);
        let signatures = self.header(SIGNATURE)?;
        self.fresh(timestamp, TIMESTAMP, tolerance_s)?;
        // Freshness was judged by the webhook's own tolerance.
        let at = timestamp.parse().unwrap_or(self.now_s);
        let fits = |secret: &&str| {
            let verifier = Verifier::parse(secret).ok()?;
            let said = (id, timestamp, signatures);
            signature::verify(&verifier, said, self.request.body, at).ok()
        };
        match self.secrets.iter().any(|secret| fits(secret).is_some()) {
            true => Ok(()),
            false => Err(Refused::Signature),
        }
    }

    fn basic(&self, username: &str) -> Result<(), Refused> {
        const NAME: &str = "authorization";
        let said = self.header(NAME)?.split_once(' ');
        let said = said.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let said = said.and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok());
        let said = said.ok_or_else(|| Refused::Malformed(NAME.to_owned()))?;
        let wanted = self.secrets.iter().map(|s| format!("{username}:{s}"));
        one_is(wanted, &said)
    }

    fn token(&self, header: &str) -> Result<(), Refused> {
        let said = self.header(header)?;
        one_is(self.secrets.iter(), said.as_bytes())
    }

    fn jwt(
        &self,
        header: Option<&str>,
        expect: &Expect,
        jwks: Option<&Value>,
    ) -> Result<(), Refused> {
        let name = header.unwrap_or("authorization");
        let said = self.header(name)?;
        let bearer = said
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map_or(said, |(_, token)| token.trim());
        let hint = jwt::key_hint(token).map_err(Refused::Token)?;
        match (hint, jwks) {
            (KeyHint::Jwks { kid }, Some(jwks)) => {
                let mut keys = KeyCache::default();
                keys.store(jwks.to_string().as_bytes(), 0);
                let key = keys.get(&kid).ok_or(Refused::Token(Rejected::BadToken))?;
                let verified = jwt::verify_sender_with_jwk(token, key, expect);
                verified.map(drop).map_err(Refused::Token)
            }
            // The algorithm is pinned by what the webhook has, never taken from the token.
            (KeyHint::SharedSecret, None) if self.secrets.is_empty() => Err(Refused::NoSecret),
            (KeyHint::SharedSecret, None) => {
                let tried = self.secrets.iter();
                let mut tried = tried.map(|s| jwt::verify_sender_with_secret(token, s, expect));
                let first = tried.next().unwrap_or(Err(Rejected::BadToken));
                let found = tried.fold(first, |found, next| found.or(next));
                found.map(drop).map_err(Refused::Token)
            }
            _ => Err(Refused::Token(Rejected::BadToken)),
        }
    }
}

/// Compares hashes, so that not even the length shows.
fn one_is(wanted: impl Iterator<Item = impl AsRef<[u8]>>, said: &[u8]) -> Result<(), Refused> {
    let said = Sha256::digest(said);
    let mut found = subtle::Choice::from(0);
    for one in wanted {
        found |= Sha256::digest(one.as_ref()).ct_eq(&said);
    }
    match bool::from(found) {
        true => Ok(()),
        false => Err(Refused::Credential),
    }
}

fn is_tag(algorithm: Algorithm, secret: &[u8], content: &[&[u8]], tag: &[u8]) -> bool {
    fn check<M: Mac + KeyInit>(secret: &[u8], content: &[&[u8]], tag: &[u8]) -> bool {
        let Ok(mut mac) = <M as Mac>::new_from_slice(secret) else {
            return false;
        };
        content.iter().for_each(|part| mac.update(part));
        mac.verify_slice(tag).is_ok()
    }
    match algorithm {
        Algorithm::Sha1 => check::<Hmac<Sha1>>(secret, content, tag),
        Algorithm::Sha256 => check::<Hmac<Sha256>>(secret, content, tag),
        Algorithm::Sha512 => check::<Hmac<Sha512>>(secret, content, tag),
    }
}

fn decode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Base64 => BASE64_STANDARD.decode(text).ok(),
        Encoding::Hex => {
            let pairs = text.as_bytes().chunks(2);
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = |pair: &[u8]| match pair {
                [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
                _ => None,
            };
            pairs.map(byte).collect()
        }
    }
}
