//! Who sent a request: published vectors, then each way in which one can be wrong.

use http::{HeaderMap, HeaderName, HeaderValue};
use nodeai_webhook::inbound::scheme::Secret;
use nodeai_webhook::inbound::{Refused, Request, Scheme, verify};
use serde_json::{Value, json};

fn scheme(value: Value) -> Scheme {
    serde_json::from_value(value).expect("a scheme")
}

/// A request with these header fields and this body.
fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
    Request {
        method: "POST",
        path: "",
        query: "",
        headers,
        body,
    }
}

fn fields(given: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name = HeaderName::try_from(*name).expect("a name");
        (name, HeaderValue::try_from(*value).expect("a value"))
    };
    given.iter().map(field).collect()
}

fn check(
    given: Value,
    secrets: &[&str],
    headers: &[(&str, &str)],
    body: &[u8],
    now_s: i64,
) -> Result<(), Refused> {
    let headers = fields(headers);
    verify(&scheme(given), secrets, &request(&headers, body), now_s)
}

/// The example of GitHub's documentation, "Validating webhook deliveries".
#[test]
fn githubs_vector_holds() {
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let of = |secret, signature, body| {
        let headers = [("X-Hub-Signature-256", signature)];
        check(json!({"scheme": "github"}), &[secret], &headers, body, 0)
    };
    let secret = "It's a Secret to Everybody";
    assert_eq!(of(secret, SIGNATURE, b"Hello, World!"), Ok(()));
    let wrong = Err(Refused::Signature);
    assert_eq!(of(secret, SIGNATURE, b"Hello, World."), wrong);
    assert_eq!(of("It's a Secret", SIGNATURE, b"Hello, World!"), wrong);
    let short = &SIGNATURE[..SIGNATURE.len() - 2];
    assert_eq!(of(secret, short, b"Hello, World!"), wrong);
    let malformed = Err(Refused::Malformed("x-hub-signature-256".into()));
    for bad in ["", "sha256", "sha1=757107ea", "sha256=zz", "sha256=757"] {
        assert_eq!(of(secret, bad, b"Hello, World!"), malformed, "{bad}");
    }
    let none = check(json!({"scheme": "github"}), &[secret], &[], b"", 0);
    assert_eq!(none, Err(Refused::Missing("x-hub-signature-256".into())));
}

/// The example of Slack's documentation, "Verifying requests from Slack".
#[test]
fn slacks_vector_holds() {
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let at = |timestamp, now_s| {
        let headers = [
            ("X-Slack-Signature", signature),
            ("X-Slack-Request-Timestamp", timestamp),
        ];
        let secrets = ["8f742231b10e8888abcd99yyyzzz85a5"];
        check(json!({"scheme": "slack"}), &secrets, &headers, body, now_s)
    };
    assert_eq!(at("1531420618", 1_531_420_618), Ok(()));
    assert_eq!(at("1531420618", 1_531_420_618 + 300), Ok(()));
    assert_eq!(at("1531420618", 1_531_420_618 + 301), Err(Refused::TooOld));
    assert_eq!(at("1531420618", 1_531_420_618 - 301), Err(Refused::TooNew));
    assert_eq!(at("1531420619", 1_531_420_618), Err(Refused::Signature));
}

/// The specification's own vectors are in `src/signature.rs`; this one is of Svix's libraries.
#[test]
fn standard_webhooks_are_verified_with_either_kind_of_key() {
    let body = br#"{"test": 2432232314}"#;
    let of = |secrets: &[&str], signature, now_s| {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        check(
            json!({"scheme": "standard_webhooks"}),
            secrets,
            &headers,
            body,
            now_s,
        )
    };
    let v1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let now = 1_614_265_330;
    assert_eq!(of(&[secret], v1, now), Ok(()));
    assert_eq!(of(&[other, secret], v1, now), Ok(()));
    assert_eq!(of(&[other], v1, now), Err(Refused::Signature));
    assert_eq!(of(&[], v1, now), Err(Refused::NoSecret));
    assert_eq!(of(&[secret], v1, now + 301), Err(Refused::TooOld));
    let private = nodeai_webhook::Key::parse(
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    );
    let public = private.unwrap().public().unwrap();
    let v1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
    assert_eq!(of(&[&public], v1a, now), Ok(()));
    assert_eq!(of(&[&public], v1, now), Err(Refused::Signature));
}

/// By Stripe's description; the signature was computed with Python's `hmac`.
#[test]
fn stripes_signature_is_over_time_and_body() {
    const TAG: &str = "c0475716eb2200f1fe97fcf35a3c05d1fd4f8ba9a07a596730c8d18bb87c0672";
    let body = br#"{"id":"evt_1","type":"charge.succeeded"}"#;
    let of = |said: &str, now_s| {
        let headers = [("Stripe-Signature", said)];
        let secrets = ["whsec_of_before_it", "whsec_test_secret"];
        check(
            json!({"scheme": "stripe", "tolerance_s": 60}),
            &secrets,
            &headers,
            body,
            now_s,
        )
    };
    let good = format!("t=1700000000,v1={TAG}");
    assert_eq!(of(&good, 1_700_000_060), Ok(()));
    assert_eq!(of(&good, 1_700_000_061), Err(Refused::TooOld));
    // One of several, with what is not looked at beside it.
    let several = format!("t=1700000000,v1={},v1={TAG},v0=abc", "0".repeat(64));
    assert_eq!(of(&several, 1_700_000_000), Ok(()));
    let wrong = Err(Refused::Signature);
    assert_eq!(of(&format!("t=1700000001,v1={TAG}"), 1_700_000_000), wrong);
    assert_eq!(of(&format!("t=1700000000,v0={TAG}"), 1_700_000_000), wrong);
    let malformed = Err(Refused::Malformed("stripe-signature".into()));
    assert_eq!(of(&format!("v1={TAG}"), 1_700_000_000), malformed);
}

/// Computed with Python's `hmac`.
#[test]
fn any_other_hmac_is_described() {
    let of = |given: Value, said: &str| {
        check(
            given,
            &["key-of-a-sender"],
            &[("X-Sig", said)],
            b"payload",
            0,
        )
    };
    let sha1 = json!({"scheme": "hmac", "header": "X-Sig", "algorithm": "sha1", "prefix": "sha1="});
    assert_eq!(
        of(
            sha1.clone(),
            "sha1=4ebabdffa5b7f228328db14a187167899a706e28"
        ),
        Ok(())
    );
    assert_eq!(
        of(sha1, "sha1=4ebabdffa5b7f228328db14a187167899a706e29"),
        Err(Refused::Signature)
    );
    let sha512 =
        json!({"scheme": "hmac", "header": "x-sig", "algorithm": "sha512", "encoding": "base64"});
    let tag =
        "10a8tjj+ttE3t5IXRDpHfQcW/6NtL5aBhI0iPuqCs9KsaAws1k4tFH3I4qzmLZSUmLdZ9JCPHYinhLawoW7JtA==";
    assert_eq!(of(sha512, tag), Ok(()));
}

#[test]
fn credentials_are_compared_whole() {
    let basic = |said: &str| {
        let headers = [("authorization", said)];
        let given = json!({"scheme": "basic", "username": "ada"});
        check(given, &["old-password", "correct horse"], &headers, b"", 0)
    };
    // ada:correct horse, ada:correct, eve:correct horse
    assert_eq!(basic("Basic YWRhOmNvcnJlY3QgaG9yc2U="), Ok(()));
    assert_eq!(basic("basic YWRhOmNvcnJlY3QgaG9yc2U="), Ok(()));
    assert_eq!(basic("Basic YWRhOmNvcnJlY3Q="), Err(Refused::Credential));
    assert_eq!(
        basic("Basic ZXZlOmNvcnJlY3QgaG9yc2U="),
        Err(Refused::Credential)
    );
    assert_eq!(
        basic("Bearer x"),
        Err(Refused::Malformed("authorization".into()))
    );
    let token = |said: &str| {
        let given = json!({"scheme": "header_token", "header": "X-Token"});
        check(
            given,
            &["a-token-of-the-sender"],
            &[("x-token", said)],
            b"",
            0,
        )
    };
    assert_eq!(token("a-token-of-the-sender"), Ok(()));
    for wrong in ["", "a-token-of-the-sende", "a-token-of-the-sender2"] {
        assert_eq!(token(wrong), Err(Refused::Credential), "{wrong}");
    }
    assert_eq!(check(json!({"scheme": "none"}), &[], &[], b"", 0), Ok(()));
}

/// Tokens made with Python: HS256, `iss`, `exp` in the year 2100 and in 2001; neither has a `sub`.
#[test]
fn tokens_of_a_sender_need_no_subject() {
    const GOOD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzZW5kZXIiLCJleHAiOjQxMDI0NDQ4MDB9.HpYDhV4U7xxV-iGbjfbho8mmJKxKLc5in9Uzm-kH3z4";
    const OLD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzZW5kZXIiLCJleHAiOjEwMDAwMDAwMDB9.nQ7W6M5zNk_uQU_zL281_-NrnW5eEnk2a6CkKD3_zaQ";
    let of = |given: Value, secrets: &[&str], said: &str| {
        check(given, secrets, &[("authorization", said)], b"", 0).is_ok()
    };
    let good = format!("Bearer {GOOD}");
    let secrets = ["another-secret-of-it", "the-secret-of-the-sender"];
    assert!(of(json!({"scheme": "jwt"}), &secrets, &good));
    assert!(of(
        json!({"scheme": "jwt", "issuer": "sender"}),
        &secrets,
        &good
    ));
    assert!(!of(
        json!({"scheme": "jwt", "issuer": "else"}),
        &secrets,
        &good
    ));
    assert!(!of(
        json!({"scheme": "jwt", "audience": "us"}),
        &secrets,
        &good
    ));
    assert!(!of(json!({"scheme": "jwt"}), &secrets[..1], &good));
    assert!(!of(
        json!({"scheme": "jwt"}),
        &secrets,
        &format!("Bearer {OLD}")
    ));
    assert!(!of(
        json!({"scheme": "jwt"}),
        &secrets,
        "Bearer eyJhbGciOiJub25lIn0.e30."
    ));
    // A webhook with public keys takes no shared secret, whatever it is.
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]});
    let asymmetric = json!({"scheme": "jwt", "jwks": jwks});
    assert_eq!(scheme(asymmetric.clone()).secret(), Secret::None);
    assert_eq!(scheme(asymmetric.clone()).fault(), None);
    assert!(!of(asymmetric, &secrets, &good));
}

#[test]
fn schemes_that_cannot_be_are_refused() {
    let fault = |given: Value| scheme(given).fault().map(|fault| fault.field);
    assert_eq!(
        fault(json!({"scheme": "stripe", "tolerance_s": 0})),
        Some("tolerance_s")
    );
    assert_eq!(
        fault(json!({"scheme": "hmac", "header": "a b"})),
        Some("header")
    );
    assert_eq!(
        fault(json!({"scheme": "basic", "username": "a:b"})),
        Some("username")
    );
    assert_eq!(
        fault(json!({"scheme": "jwt", "jwks": {"keys": []}})),
        Some("jwks")
    );
    assert_eq!(
        fault(json!({"scheme": "jwt", "jwks": {"keys": [{"kty": "oct"}]}})),
        Some("jwks")
    );
    assert_eq!(fault(json!({"scheme": "none"})), None);
    for unknown in [
        json!({"scheme": "md5"}),
        json!({"scheme": "github", "secret": "x"}),
    ] {
        assert!(serde_json::from_value::<Scheme>(unknown).is_err());
    }
    let takes = |given: Value, secret: &str| scheme(given).kind().takes(secret);
    assert!(takes(
        json!({"scheme": "standard_webhooks"}),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    ));
    assert!(!takes(
        json!({"scheme": "standard_webhooks"}),
        "a secret of any kind"
    ));
    assert!(!takes(json!({"scheme": "github"}), "short"));
    assert!(!takes(
        json!({"scheme": "header_token", "header": "x"}),
        "a token with spaces in it"
    ));
}
