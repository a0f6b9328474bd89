//! User tokens and project keys, signed as Supabase's older projects sign them (HS256).

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
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
