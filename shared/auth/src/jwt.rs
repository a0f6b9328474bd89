//! Verifying user tokens (RFC 7519, RFC 8725): the algorithm is pinned by the key's type, never taken from the token.

use crate::Rejected;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::Value;

/// Clock difference that is tolerated, seconds.
const LEEWAY_S: u64 = 10;

/// What a token must say about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// Required `iss`, when known.
    pub issuer: Option<String>,
    /// Required `aud`, when known: `authenticated` for Supabase.
    pub audience: Option<String>,
}

/// What the header of a token asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyHint {
    /// HS256: the shared secret.
    SharedSecret,
    /// An asymmetric key of the issuer's JWKS.
    Jwks {
        /// Its id.
        kid: String,
    },
}

/// Reads which key a token asks for. Errors: [`Rejected::BadToken`] for `none` and for algorithms not in use here.
pub fn key_hint(token: &str) -> Result<KeyHint, Rejected> {
    let header = decode_header(token).map_err(|_| Rejected::BadToken)?;
    match header.alg {
        Algorithm::HS256 => Ok(KeyHint::SharedSecret),
        Algorithm::RS256 | Algorithm::ES256 => {
            let kid = header.kid.ok_or(Rejected::BadToken)?;
            Ok(KeyHint::Jwks { kid })
        }
        _ => Err(Rejected::BadToken),
    }
}

/// Verifies an HS256 token. Errors: see [`Rejected`].
pub fn verify_with_secret(token: &str, secret: &str, expect: &Expect) -> Result<Value, Rejected> {
    let key = DecodingKey::from_secret(secret.as_bytes());
    verify(token, &key, Algorithm::HS256, expect, &["exp", "sub"])
}

/// Verifies an HS256 token that says who sends a request, rather than which user: it needs no `sub`. Errors: see
/// [`Rejected`].
pub fn verify_sender_with_secret(
    token: &str,
    secret: &str,
    expect: &Expect,
) -> Result<Value, Rejected> {
    let key = DecodingKey::from_secret(secret.as_bytes());
    verify(token, &key, Algorithm::HS256, expect, &["exp"])
}

/// Verifies a token with a key of a JWKS: RS256 for RSA keys, ES256 for P-256 keys. Errors: see [`Rejected`].
pub fn verify_with_jwk(token: &str, jwk: &Jwk, expect: &Expect) -> Result<Value, Rejected> {
    let (key, algorithm) = of_jwk(jwk)?;
    verify(token, &key, algorithm, expect, &["exp", "sub"])
}

/// The same for a token that says who sends a request: it needs no `sub`. Errors: see [`Rejected`].
pub fn verify_sender_with_jwk(token: &str, jwk: &Jwk, expect: &Expect) -> Result<Value, Rejected> {
    let (key, algorithm) = of_jwk(jwk)?;
    verify(token, &key, algorithm, expect, &["exp"])
}

fn of_jwk(jwk: &Jwk) -> Result<(DecodingKey, Algorithm), Rejected> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return Err(Rejected::BadToken),
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| Rejected::BadToken)?;
    Ok((key, algorithm))
}

fn verify(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    expect: &Expect,
    required: &[&str],
) -> Result<Value, Rejected> {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY_S;
    rules.validate_nbf = true;
    // What is expected has to be there: the library only compares what a token says.
    let issuer = expect.issuer.as_ref().map(|_| "iss");
    let audience = expect.audience.as_ref().map(|_| "aud");
    let required: Vec<&str> = required
        .iter()
        .copied()
        .chain(issuer)
        .chain(audience)
        .collect();
    rules.set_required_spec_claims(&required);
    match &expect.issuer {
        Some(issuer) => rules.set_issuer(&[issuer]),
        None => rules.iss = None,
    }
    match &expect.audience {
        Some(audience) => rules.set_audience(&[audience]),
        None => rules.validate_aud = false,
    }
    let claims = decode::<Value>(token, key, &rules)
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Rejected::Expired,
            _ => Rejected::BadToken,
        })?;
    match issued_by_now(&claims) {
        true => Ok(claims),
        false => Err(Rejected::BadToken),
    }
}

/// Whether the token's `iat`, when it has one, is a time that has come: an issuer does not sign in advance.
fn issued_by_now(claims: &Value) -> bool {
    let now = jsonwebtoken::get_current_timestamp() + LEEWAY_S;
    match claims.get("iat") {
        None => true,
        Some(iat) => iat.as_f64().is_some_and(|at| at <= now as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn now() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() as i64
    }

    fn claims() -> Value {
        json!({"sub": "u", "aud": "authenticated", "iss": "https://x/auth/v1", "exp": now() + 60})
    }

    fn hs256(claims: &Value) -> String {
        let key = EncodingKey::from_secret(b"secret");
        encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    fn expect() -> Expect {
        Expect {
            issuer: Some("https://x/auth/v1".into()),
            audience: Some("authenticated".into()),
        }
    }

    #[test]
    fn a_good_token_gives_its_claims() {
        let got = verify_with_secret(&hs256(&claims()), "secret", &expect()).unwrap();
        assert_eq!(got["sub"], "u");
    }

    #[test]
    fn each_wrong_claim_is_refused() {
        let cases = [
            ("iss", json!("https://evil"), Rejected::BadToken),
            ("aud", json!("anon"), Rejected::BadToken),
            ("aud", Value::Null, Rejected::BadToken),
            ("iss", Value::Null, Rejected::BadToken),
            ("exp", json!(now() - 60), Rejected::Expired),
            ("nbf", json!(now() + 60), Rejected::BadToken),
            ("iat", json!(now() + 60), Rejected::BadToken),
            ("iat", json!("yesterday"), Rejected::BadToken),
            ("exp", Value::Null, Rejected::BadToken),
            ("sub", Value::Null, Rejected::BadToken),
        ];
        for (name, value, want) in cases {
            let mut claims = claims();
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
            let got = verify_with_secret(&hs256(&claims), "secret", &expect());
            assert_eq!(got, Err(want), "{name}");
        }
        let wrong_key = verify_with_secret(&hs256(&claims()), "other", &expect());
        assert_eq!(wrong_key, Err(Rejected::BadToken));
    }

    #[test]
    fn a_token_may_say_when_it_was_issued() {
        // RFC 7519, section 4.1.6: a NumericDate, which may have a fraction; clocks differ by seconds.
        for iat in [
            json!(now() - 60),
            json!(now() as f64 - 0.5),
            json!(now() + 5),
        ] {
            let mut claims = claims();
            claims["iat"] = iat;
            assert!(verify_with_secret(&hs256(&claims), "secret", &expect()).is_ok());
        }
    }

    #[test]
    fn the_algorithm_none_is_refused() {
        // {"alg":"none","typ":"JWT"} . {"sub":"u"} . (no signature): RFC 8725, section 2.1.
        let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1In0.";
        assert_eq!(key_hint(token), Err(Rejected::BadToken));
    }

    /// RFC 7515, appendix A.3: a P-256 key and a token signed with it. The token has expired since, which shows that
    /// the signature was accepted first.
    #[test]
    fn es256_follows_the_published_vector() {
        let jwk: Jwk = serde_json::from_value(json!({"kty": "EC", "crv": "P-256", "kid": "1",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}))
        .unwrap();
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
            cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8IS\
            lSApmWQxfKTUJqPP3-Kg6NU1Q";
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        assert!(decode::<Value>(token, &key, &rules).is_ok());
        let strict = verify_with_jwk(token, &jwk, &Expect::default());
        assert!(strict.is_err());
    }

    #[test]
    fn a_public_key_cannot_be_used_as_a_shared_secret() {
        // Algorithm confusion (RFC 8725, section 2.1): HS256 signed with the text of a public key.
        let jwk: Jwk = serde_json::from_value(json!({"kty": "RSA", "kid": "1", "e": "AQAB",
            "n": "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1Wl"}))
        .unwrap();
        assert_eq!(
            verify_with_jwk(&hs256(&claims()), &jwk, &expect()),
            Err(Rejected::BadToken)
        );
    }
}
