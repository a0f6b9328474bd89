//! Quotas: held back before, enforced while bytes come, given back.

use super::{FILES, bytes, path_of, stored, upload};
use crate::suite::app;
use e2e::{Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

fn quota(me: &Tenant, org_bytes: u64, user_bytes: u64) {
    let body = json!({"org_bytes": org_bytes, "user_bytes": user_bytes});
    let reply = me.put_with(&format!("{FILES}/quota"), &[], &body);
    assert_status(&reply, 200);
    assert_eq!(reply.json["organization"]["limit"], org_bytes);
}

fn usage(me: &Tenant) -> Value {
    me.get(&format!("{FILES}/usage")).json
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let me = app().tenant();
    quota(&me, 3_000_000, 2_000_000);
    let kept = stored(&me, "a.bin", &bytes(1_500_000));
    let refused = upload(&me, "b.bin", &bytes(600_000));
    assert_problem(&refused, 507, "storage-quota-exceeded");
    assert!(refused.text.contains("2000000"), "{}", refused.text);
    // A form does not say its file's size: it is stopped on the way.
    let head = "--X\r\ncontent-disposition: form-data; name=\"file\"; filename=\"c\"\r\n\r\n";
    let mut body = head.as_bytes().to_vec();
    body.extend(bytes(2_500_000));
    body.extend(b"\r\n--X--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=X")];
    let stopped = me.send(Method::POST, FILES, &headers, body);
    assert_problem(&stopped, 507, "storage-quota-exceeded");
    assert_eq!(usage(&me)["user"]["bytes"], 1_500_000);
    assert_status(&me.delete(&path_of(&kept)), 204);
    assert_eq!(
        usage(&me)["user"],
        json!({"bytes": 0, "files": 0, "limit": 2_000_000})
    );
    stored(&me, "b.bin", &bytes(600_000));
}

#[test]
fn an_upload_holds_its_size_back_until_it_is_given_up() {
    let me = app().tenant();
    quota(&me, 1_000, 1_000);
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", "900")];
    let begun = me.send(
        Method::POST,
        &format!("{FILES}/uploads"),
        &headers,
        Vec::new(),
    );
    assert_status(&begun, 201);
    assert_eq!(usage(&me)["organization"]["bytes"], 900);
    assert_problem(
        &upload(&me, "a", &bytes(200)),
        507,
        "storage-quota-exceeded",
    );
    let gone = me.send(
        Method::DELETE,
        begun.header("location"),
        &headers[..1],
        Vec::new(),
    );
    assert_status(&gone, 204);
    assert_status(&upload(&me, "a", &bytes(200)), 201);
}

#[test]
fn only_admins_set_quotas_and_not_beyond_the_operators() {
    let me = app().tenant();
    let more = json!({"org_bytes": 1_u64 << 60});
    let beyond = me.put_with(&format!("{FILES}/quota"), &[], &more);
    assert_problem(&beyond, 409, "conflict");
    let org = app().organization_of(&me);
    if let Some(editor) = org.and_then(|org| app().member(&org, "editor")) {
        let reply = editor.put_with(&format!("{FILES}/quota"), &[], &json!({}));
        assert_problem(&reply, 403, "scope-missing");
    }
}
