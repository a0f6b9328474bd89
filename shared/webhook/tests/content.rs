//! What a run is given of a request, by which id it is known, and what goes back.

use http::{HeaderMap, HeaderValue};
use nodeai_webhook::inbound::content::{MOST_KEPT, inputs, kept, pairs, parsed, raw, shown};
use nodeai_webhook::inbound::delivery::IdFrom;
use nodeai_webhook::inbound::pattern::{Error, Pattern};
use nodeai_webhook::inbound::{Request, Scheme, answer};
use serde_json::{Value, json};

fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
    Request {
        method: "POST",
        path: "orders/7",
        query: "a=1&b=x%20y&a=2",
        headers,
        body,
    }
}

fn body_of(kind: &'static str, body: &[u8]) -> Value {
    let headers = headers(&[("content-type", kind)]);
    parsed(&request(&headers, body))
}

#[test]
fn bodies_are_read_by_what_they_say_they_are() {
    let json = "application/json; charset=utf-8";
    assert_eq!(body_of(json, br#"{"a": [1]}"#), json!({"a": [1]}));
    assert_eq!(body_of("application/cloudevents+json", b"[1]"), json!([1]));
    assert_eq!(body_of(json, b"{nope"), json!("{nope"));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        body_of(form, b"a=1&b=x+y&a=2"),
        json!({"a": ["1", "2"], "b": "x y"})
    );
    assert_eq!(body_of("text/plain", b"42"), json!("42"));
    assert_eq!(
        body_of("application/octet-stream", &[0xff, 0xfe]),
        Value::Null
    );
    assert_eq!(body_of(json, b""), Value::Null);
    assert_eq!(
        body_of(json, br#"{"a\u0000b": "c\u0000"}"#),
        json!({"a\u{fffd}b": "c\u{fffd}"})
    );
    assert_eq!(parsed(&request(&HeaderMap::new(), b"[1]")), json!([1]));
}

#[test]
fn a_run_gets_the_request_without_its_credentials() {
    let headers = headers(&[
        ("authorization", "Bearer secret"),
        ("x-sig", "abc"),
        ("x-team", "a"),
        ("x-team", "b"),
        ("spin-client-addr", "1.2.3.4:5"),
    ]);
    let scheme: Scheme =
        serde_json::from_value(json!({"scheme": "hmac", "header": "X-Sig"})).unwrap();
    let request = request(&headers, b"[1]");
    let params = Pattern::parse("orders/{id}")
        .unwrap()
        .find(request.path)
        .unwrap();
    let got = inputs(&scheme, &request, parsed(&request), params, Some("d1"));
    let want = json!({"body": [1], "raw": "[1]", "raw_encoding": "utf8", "headers": {"x-team": "a, b"},
        "query": {"a": ["1", "2"], "b": "x y"}, "path": "/orders/7", "params": {"id": "7"}, "method": "POST",
        "delivery_id": "d1"});
    assert_eq!(Value::Object(got), want);
    let shown = shown(&scheme, &request);
    assert_eq!(shown["authorization"], "[redacted]");
    assert_eq!(shown["x-sig"], "[redacted]");
    assert!(!shown.contains_key("spin-client-addr"));
}

#[test]
fn what_is_no_text_is_base64_and_what_is_kept_is_bounded() {
    assert_eq!(raw(b"a"), ("a".to_owned(), "utf8"));
    assert_eq!(raw(&[0xff, 1]), ("/wE=".to_owned(), "base64"));
    assert_eq!(raw(b"a\0"), ("YQA=".to_owned(), "base64"));
    let long = "ä".repeat(MOST_KEPT);
    let (text, encoding) = kept(&long.as_bytes()[..MOST_KEPT * 2]);
    assert_eq!((text.len(), encoding), (MOST_KEPT, "utf8"));
    let odd = format!("x{long}");
    assert_eq!(kept(odd.as_bytes()).0.len(), MOST_KEPT - 1);
    assert_eq!(pairs(""), json!({}));
}

#[test]
fn a_delivery_is_known_by_its_id() {
    let headers = headers(&[("webhook-id", "msg_1"), ("x-empty", "")]);
    let request = request(&headers, b"{}");
    let body = json!({"id": "evt_1", "n": 7, "o": {}});
    let of = |from: IdFrom| from.find(&request, &body);
    assert_eq!(
        of(IdFrom::Header("Webhook-Id".into())).as_deref(),
        Some("msg_1")
    );
    assert_eq!(of(IdFrom::Pointer("/id".into())).as_deref(), Some("evt_1"));
    assert_eq!(of(IdFrom::Pointer("/n".into())).as_deref(), Some("7"));
    for none in [
        IdFrom::Header("x-empty".into()),
        IdFrom::Header("x-other".into()),
        IdFrom::Pointer("/o".into()),
        IdFrom::Pointer("/p".into()),
    ] {
        assert_eq!(of(none), None);
    }
    let long = json!({"id": "x".repeat(256)});
    let hash = IdFrom::Pointer("/id".into()).find(&request, &long).unwrap();
    assert_eq!(hash.len(), 64);
    let stripe: Scheme = serde_json::from_value(json!({"scheme": "stripe"})).unwrap();
    assert_eq!(IdFrom::of(&stripe), Some(IdFrom::Pointer("/id".into())));
    assert!(!IdFrom::Header("a b".into()).holds() && !IdFrom::Pointer("id".into()).holds());
}

#[test]
fn patterns_take_whole_segments() {
    let find = |pattern: &str, path: &str| {
        let found = Pattern::parse(pattern).expect(pattern).find(path);
        found.map(Value::Object)
    };
    assert_eq!(find("", ""), Some(json!({})));
    assert_eq!(find("", "x"), None);
    assert_eq!(find("orders/{id}", "orders/7/"), Some(json!({"id": "7"})));
    assert_eq!(
        find("orders/{id}", "orders/a%2Fb%20c"),
        Some(json!({"id": "a/b c"}))
    );
    for miss in [
        "orders",
        "orders/",
        "orders//",
        "order/7",
        "orders/7/8",
        "orders/%ff",
    ] {
        assert_eq!(find("orders/{id}", miss), None, "{miss}");
    }
    let error = |pattern: &str| Pattern::parse(pattern).unwrap_err();
    assert_eq!(error("/a"), Error::Empty);
    assert_eq!(error("a//b"), Error::Empty);
    assert_eq!(error("a/../b"), Error::Literal);
    assert_eq!(error("a b"), Error::Literal);
    assert_eq!(error("{Id}"), Error::Name);
    assert_eq!(error("{a}/{a}"), Error::Twice);
    assert_eq!(error(&["a"; 11].join("/")), Error::TooMany);
}

#[test]
fn the_answer_of_a_respond_node_goes_out_without_what_is_the_applications() {
    let outputs = json!({"a": 1, "out": {"status": 201, "body": {"ok": true}, "headers": {"location": "/x",
        "content-type": "application/json", "Set-Cookie": "a=b", "access-control-allow-origin": "*",
        "content-security-policy": "none"}}});
    let got = answer::of_outputs(&outputs).expect("an answer");
    assert_eq!(got.status.as_u16(), 201);
    assert_eq!(got.body, br#"{"ok":true}"#);
    assert_eq!(got.headers["content-security-policy"], "sandbox");
    let mut names: Vec<_> = got.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["content-security-policy", "content-type", "location"]
    );
    for none in [
        json!({}),
        json!({"out": {"status": 200}}),
        json!({"out": {"status": 99, "headers": {}, "body": null}}),
        json!({"out": {"status": 200, "headers": {}, "body": null, "more": 1}}),
        json!("x"),
    ] {
        assert!(answer::of_outputs(&none).is_none(), "{none}");
    }
}
