//! User tokens and project keys, signed as Supabase's projects sign them: HS256 the older ones, ES256 the newer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use p256::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Signs claims.
pub fn sign(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// A user's token, good for ten minutes.
pub fn user(user_id: &str, issuer: Option<&str>, secret: &str) -> String {
    let mut claims = json!({"sub": user_id, "email": format!("{user_id}@example.com"), "aud": "authenticated",
        "role": "authenticated", "exp": now_s() + 600});
    if let Some(issuer) = issuer {
        claims["iss"] = json!(issuer);
    }
    sign(&claims, secret)
}

/// A project key (`anon` or `service_role`), the same at each call, good until 2100.
pub fn project_key(role: &str, secret: &str) -> String {
    sign(
        &json!({"role": role, "iss": "supabase", "exp": 4_102_444_800_u64}),
        secret,
    )
}

/// An issuer's P-256 key, new for each run of the tests.
pub struct IssuerKey {
    secret: p256::SecretKey,
    kid: String,
}

impl IssuerKey {
    /// Draws a key.
    pub fn new() -> Self {
        let bytes = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()]
            .map(uuid::Uuid::into_bytes)
            .concat();
        let secret = p256::SecretKey::from_slice(&bytes).expect("a key");
        let kid = uuid::Uuid::new_v4().to_string();
        Self { secret, kid }
    }

    /// The public half as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        use p256::elliptic_curve::sec1::ToEncodedPoint;
        let point = self.secret.public_key().to_encoded_point(false);
        let text = |bytes: Option<&_>| bytes.map(|b: &p256::FieldBytes| URL_SAFE_NO_PAD.encode(b));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": text(point.x()), "y": text(point.y())})
    }

    /// The key set of this key and the HS256 `secret`, as PostgREST takes it.
    pub fn with_secret(&self, secret: &str) -> String {
        let shared = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret)});
        json!({"keys": [shared, self.jwk()]}).to_string()
    }

    /// A user's ES256 token, good for ten minutes; `kid` in place of the key's own when given.
    pub fn user(&self, user_id: &str, issuer: &str, kid: Option<&str>) -> String {
        let claims = json!({"sub": user_id, "email": format!("{user_id}@example.com"), "aud": "authenticated",
            "role": "authenticated", "iss": issuer, "exp": now_s() + 600});
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.unwrap_or(&self.kid).to_owned());
        let der = self.secret.to_pkcs8_der().expect("a key");
        encode(&header, &claims, &EncodingKey::from_ec_der(der.as_bytes())).unwrap()
    }
}
