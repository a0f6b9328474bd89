//! What the nodes ask of the areas, and what they make of the answers.

use http::HeaderMap;
use serde_json::{Value, json};

use super::{AreaCall, AreaReply, FileRef, Finish, files, tool};
use crate::log::NodeError;

const ID: &str = "018f2b6e-0000-7000-8000-000000000001";

fn answered(call: &AreaCall, status: u16, body: &Value) -> Result<Value, NodeError> {
    let body = body.to_string();
    let reply = AreaReply {
        status,
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
    };
    call.finish(reply).1.map(|outcome| outcome.output)
}

fn stored() -> AreaCall {
    AreaCall::store("a.txt", Some("text/plain"), b"hi".to_vec())
}

#[test]
fn a_file_that_was_stored_is_a_reference() {
    let file = json!({"id": ID, "name": "a.txt", "content_type": "text/plain", "size_bytes": 2, "sha256": "ab", "tags": []});
    let output = answered(&stored(), 201, &file).unwrap();
    assert_eq!(
        output,
        json!({"$file": ID, "name": "a.txt", "content_type": "text/plain", "size_bytes": 2, "sha256": "ab"})
    );
    let request = stored().request().unwrap();
    assert_eq!(
        request.uri(),
        "http://files.spin.internal/api/v1/files?name=a.txt"
    );
    assert_eq!(request.headers()["content-type"], "text/plain");
    assert_eq!(FileRef::read(&output, "/file").unwrap().id, ID);
}

#[test]
fn an_id_is_written_as_it_is() {
    let file = FileRef::read(&json!(ID), "/file").unwrap();
    let request = AreaCall::content_of(&file).request().unwrap();
    let expected = format!("http://files.spin.internal/api/v1/files/{ID}/content");
    assert_eq!(request.uri(), expected.as_str());
}

#[test]
fn a_refusal_names_what_is_wrong() {
    let problem = json!({"type": "https://nodeai.dev/problems/quota-exceeded", "title": "Full", "status": 507,
        "detail": "the quota is used up", "errors": [{"pointer": "/name", "detail": "is too long"}]});
    let error = answered(&stored(), 507, &problem).unwrap_err();
    assert_eq!(error.kind, "quota_exceeded");
    assert_eq!(error.message, "the quota is used up; /name: is too long");
    assert!(error.retryable);
    let error = answered(&stored(), 404, &json!({})).unwrap_err();
    assert!(
        !error.retryable && error.message.contains("404"),
        "{error:?}"
    );
}

#[test]
fn a_content_is_given_as_asked() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let given = |kind, headers: &HeaderMap, body: &[u8]| {
        let reply = AreaReply {
            status: 200,
            headers,
            body,
        };
        let call = AreaCall {
            finish: Finish::Content(kind),
            ..stored()
        };
        call.finish(reply).1.map(|outcome| outcome.output)
    };
    let value = given(files::As::Auto, &headers, b"{\"a\": 1}").unwrap();
    assert_eq!(
        (&value["content"], &value["encoding"]),
        (&json!({"a": 1}), &json!("json"))
    );
    let value = given(files::As::Text, &headers, b"{\"a\": 1}").unwrap();
    assert_eq!(value["content"], "{\"a\": 1}");
    let value = given(files::As::Auto, &HeaderMap::new(), &[0xff, 0]).unwrap();
    assert_eq!(
        (&value["content"], &value["encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    assert_eq!(
        given(files::As::Text, &headers, &[0xff]).unwrap_err().kind,
        "not_text"
    );
    assert_eq!(
        given(files::As::Json, &headers, b"{").unwrap_err().kind,
        "not_json"
    );
}

#[test]
fn a_tool_that_fails_says_why() {
    let said = json!({"is_error": true, "output": null,
        "error": {"kind": "http_status", "message": "the endpoint answered HTTP 503", "retryable": true}});
    let error = tool::output(said).unwrap_err();
    assert_eq!(
        (error.kind.as_str(), error.retryable),
        ("http_status", true)
    );
    assert_eq!(error.message, "the endpoint answered HTTP 503");
    let error = tool::output(json!({"is_error": true, "output": "no such customer"})).unwrap_err();
    assert_eq!(
        (error.kind.as_str(), error.message.as_str()),
        ("tool_error", "no such customer")
    );
    let fine = tool::output(json!({"is_error": false, "output": 1}));
    assert_eq!(fine.unwrap()["output"], 1);
}

#[test]
fn passages_are_one_text() {
    let results = json!({"results": [{"content": " one "}, {"content": "two"}]});
    assert_eq!(
        super::retrieve::output(results)["text"],
        "[1] one\n\n[2] two"
    );
    let bare = json!({"results": [{"chunk_id": "a", "score": 1.0}]});
    assert_eq!(super::retrieve::output(bare)["text"], "");
}
