//! A short-lived user token for callers that came with an API key: PostgREST needs one to set role and claims.

use crate::port::Error;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// Seconds that a minted token is good for: one request, with slack for clocks that differ.
pub(crate) const LIFETIME_S: i64 = 300;

/// Signs `claims` (from admission) with the project's HS256 secret.
///
/// Errors: [`Error::Other`] when the claims are no JSON object.
pub(crate) fn mint(claims: &str, secret: &str, now_s: i64) -> Result<String, Error> {
    let defect = |message: String| Error::Other {
        code: "token".to_owned(),
        message,
    };
    let mut claims: Value = serde_json::from_str(claims).map_err(|e| defect(e.to_string()))?;
    let fields = claims
        .as_object_mut()
        .ok_or_else(|| defect("claims are not an object".to_owned()))?;
    fields.insert("aud".to_owned(), json!("authenticated"));
    fields.insert("iat".to_owned(), json!(now_s));
    fields.insert("exp".to_owned(), json!(now_s + LIFETIME_S));
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|e| defect(e.to_string()))
}
