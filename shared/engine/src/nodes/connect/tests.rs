//! Requests of services as their documentation has them.

use super::super::{HttpCall, HttpReply, decide, kind};
use super::*;
use crate::scope::Surroundings;
use crate::template::Templates;

/// The request that a node sends.
fn sent(name: &str, data: Value) -> HttpCall {
    let data = data.as_object().cloned().unwrap();
    let kind = kind(name).unwrap();
    let mut faults = Faults::default();
    (kind.check)(&data, "", &mut faults);
    assert_eq!(faults.into_vec(), Vec::new(), "{name}");
    let templates = Templates::default();
    let around = Surroundings::default();
    let scope = around.scope();
    match decide(name, kind, &data, &templates, &scope, &Value::Null, &[]) {
        Ok(Effect::Http(call)) => *call,
        other => panic!("{other:?}"),
    }
}

fn body(call: &HttpCall) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

fn header<'a>(call: &'a HttpCall, name: &str) -> &'a str {
    call.headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

fn reply(status: u16, body: &Value) -> HttpReply {
    let mut headers = ::http::HeaderMap::new();
    let kind = ::http::HeaderValue::from_static("application/json");
    headers.insert("content-type", kind);
    HttpReply {
        status,
        headers,
        body: body.to_string().into_bytes(),
    }
}

#[test]
fn slack_says_in_its_body_whether_it_went_well() {
    let call = sent(
        "slack",
        json!({"operation": "send_message", "token": "xoxb", "channel": "#a", "text": "Hi"}),
    );
    assert_eq!(call.url.as_str(), "https://slack.com/api/chat.postMessage");
    assert_eq!(header(&call, "authorization"), "Bearer xoxb");
    assert_eq!(body(&call), json!({"channel": "#a", "text": "Hi"}));
    let fine = json!({"ok": true, "ts": "1"});
    assert_eq!(call.finish(reply(200, &fine)).1.unwrap().output, fine);
    let wrong = call.finish(reply(
        200,
        &json!({"ok": false, "error": "channel_not_found"}),
    ));
    let error = wrong.1.unwrap_err();
    assert_eq!((error.kind.as_str(), error.retryable), ("service", false));
    assert!(
        error.message.contains("channel_not_found"),
        "{}",
        error.message
    );
    let busy = call.finish(reply(200, &json!({"ok": false, "error": "ratelimited"})));
    assert!(busy.1.unwrap_err().retryable);
}

#[test]
fn paths_hold_what_they_are_given_and_nothing_more() {
    let data = json!({"operation": "comment", "connection": "gh", "owner": "a/../b", "repo": "c?d", "number": 7, "body": "x"});
    let call = sent("github", data);
    assert_eq!(
        call.url.as_str(),
        "https://api.github.com/repos/a%2F%2E%2E%2Fb/c%3Fd/issues/7/comments"
    );
    assert_eq!(call.connection.as_deref(), Some("gh"));
    let file = json!({"operation": "get_file", "token": "t", "owner": "a", "repo": "b", "path": "src/main file.rs", "ref": "v1"});
    let call = sent("github", file);
    assert_eq!(
        call.url.as_str(),
        "https://api.github.com/repos/a/b/contents/src/main%20file%2Ers?ref=v1"
    );
    assert_eq!(call.method, "GET");
    let cells = json!({"operation": "append", "token": "t", "spreadsheet_id": "s", "range": "L!A:B", "values": [["a", 1]]});
    let call = sent("google_sheets", cells);
    assert_eq!(
        call.url.path(),
        "/v4/spreadsheets/s/values/L%21A%3AB:append"
    );
    assert_eq!(call.url.query(), Some("valueInputOption=USER_ENTERED"));
    assert_eq!(body(&call), json!({"values": [["a", 1]]}));
}

#[test]
fn an_operation_takes_its_own_fields_only() {
    let faults = |name: &str, data: Value| {
        let mut faults = Faults::default();
        (kind(name).unwrap().check)(data.as_object().unwrap(), "/data", &mut faults);
        let faults = faults.into_vec().into_iter();
        faults
            .map(|fault| format!("{} {}", fault.pointer, fault.code))
            .collect::<Vec<_>>()
    };
    let data = json!({"operation": "get_page", "filter": {}});
    assert_eq!(
        faults("notion", data),
        [
            "/data/connection one_of",
            "/data/page_id required",
            "/data/filter not_allowed"
        ]
    );
    let data = json!({"operation": "search", "token": "t", "base_url": "nowhere"});
    assert_eq!(faults("notion", data), ["/data/base_url bad_url"]);
    assert_eq!(faults("email", json!({})), ["/data/text required"]);
}

#[test]
fn every_operation_can_be_asked_for() {
    for service in [
        &slack::SERVICE,
        &github::SERVICE,
        &notion::SERVICE,
        &google_sheets::SERVICE,
    ] {
        let schemas = (service.fields)();
        for op in service.operations {
            let mut data = json!({"operation": op.name, "token": "t"});
            for name in op.required.iter().chain(op.optional) {
                let schema = &schemas[*name];
                data[*name] = match schema["type"].as_str() {
                    Some("integer") => json!(3),
                    Some("boolean") => json!(true),
                    Some("array") => json!(["x"]),
                    Some("object") => json!({"a": 1}),
                    Some("string") => schema["enum"].get(0).cloned().unwrap_or_else(|| json!("x")),
                    _ => json!({"any": true}),
                };
            }
            let call = sent(service.kind, data);
            assert!(call.url.as_str().starts_with(service.base), "{}", op.name);
        }
    }
}

#[test]
fn each_provider_gets_mail_in_its_own_form() {
    let mail = |provider: &str| {
        sent(
            "email",
            json!({"provider": provider, "api_key": "k", "from": "Shop <shop@x.org>", "to": ["a@x.org", "b@x.org"],
            "cc": ["Cy <c@x.org>"], "subject": "S", "text": "T", "html": "<p>T</p>"}),
        )
    };
    let call = mail("resend");
    assert_eq!(
        (call.url.as_str(), header(&call, "authorization")),
        ("https://api.resend.com/emails", "Bearer k")
    );
    assert_eq!(body(&call)["to"], json!(["a@x.org", "b@x.org"]));
    assert_eq!(body(&call).get("bcc"), None);
    let call = mail("postmark");
    assert_eq!(header(&call, "x-postmark-server-token"), "k");
    assert_eq!(body(&call)["To"], "a@x.org, b@x.org");
    let call = mail("sendgrid");
    let body = body(&call);
    assert_eq!(body["from"], json!({"email": "shop@x.org", "name": "Shop"}));
    assert_eq!(
        body["personalizations"][0]["cc"],
        json!([{"email": "c@x.org", "name": "Cy"}])
    );
    assert_eq!(body["content"][0]["type"], "text/plain");
    let refused = call
        .finish(reply(401, &json!({"errors": []})))
        .1
        .unwrap_err();
    assert_eq!(
        (refused.kind.as_str(), refused.retryable),
        ("http_status", false)
    );
}
