//! Project Wycheproof's vectors for the primitives behind HS256, ES256 and RS256, through the verifier that tokens use.

use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::json;
use wycheproof::{TestResult, ecdsa, mac, rsa_pkcs1_verify};

/// base64url without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes
        .chunks(3)
        .flat_map(|group| {
            let mut padded = [0; 3];
            padded[..group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
            (0..=group.len()).map(move |i| char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]))
        })
        .collect()
}

fn accepted(signature: &[u8], message: &[u8], key: &DecodingKey, algorithm: Algorithm) -> bool {
    verify(&base64url(signature), message, key, algorithm).unwrap_or(false)
}

#[test]
fn hs256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut seen = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let key = DecodingKey::from_secret(&test.key);
            let got = accepted(&test.tag, &test.msg, &key, Algorithm::HS256);
            assert_eq!(
                got,
                test.result == TestResult::Valid,
                "vector {}",
                test.tc_id
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} vectors were tried");
}

#[test]
fn es256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut seen = 0;
    for group in &set.test_groups {
        // SubjectPublicKeyInfo of P-256 ends with the uncompressed point: 04, x, y.
        let point = &group.der[group.der.len() - 64..];
        let (x, y) = (base64url(&point[..32]), base64url(&point[32..]));
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": x, "y": y});
        let jwk: Jwk = serde_json::from_value(jwk).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        for test in &group.tests {
            let got = accepted(&test.sig, &test.msg, &key, Algorithm::ES256);
            assert_eq!(
                got,
                test.result == TestResult::Valid,
                "vector {}",
                test.tc_id
            );
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} vectors were tried");
}

#[test]
fn rs256() {
    let set = rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).unwrap();
    let mut seen = 0;
    for group in &set.test_groups {
        let key = DecodingKey::from_rsa_pem(group.pem.as_bytes()).unwrap();
        for test in &group.tests {
            let got = accepted(&test.sig, &test.msg, &key, Algorithm::RS256);
            // "Acceptable" are signatures whose DigestInfo leaves out the NULL: RFC 8017 lets a verifier refuse them.
            if test.result != TestResult::Acceptable {
                assert_eq!(
                    got,
                    test.result == TestResult::Valid,
                    "vector {}",
                    test.tc_id
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "only {seen} vectors were tried");
}
