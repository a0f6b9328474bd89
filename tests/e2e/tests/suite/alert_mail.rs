//! Alerts by e-mail through a provider's API, and who may ask everybody's rules.

use super::app;
use e2e::{Tenant, assert_problem, assert_status};
use llm_standin::Arrived;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WEBHOOKS: &str = "/api/v1/webhooks";
const EVALUATE: &str = "/api/v1/observability/evaluate";

/// A provider of e-mail that answers with these statuses, one after the other.
struct Provider {
    path: String,
}

impl Provider {
    fn answering(statuses: &str) -> Self {
        let who = uuid::Uuid::new_v4().simple();
        Self {
            path: format!("/web/turns/{statuses}/{who}"),
        }
    }

    fn base(&self) -> String {
        format!("{}{}", app().llm.url, self.path)
    }

    fn until(&self, me: &Tenant, n: usize) -> Vec<Arrived> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let mut got = app().llm.requests();
            got.retain(|request| request.path.starts_with(&self.path));
            if got.len() >= n {
                return got;
            }
            assert!(Instant::now() < deadline, "{} of {n} arrived", got.len());
            assert_status(&me.post(&format!("{WEBHOOKS}/drain"), &json!({})), 200);
            // A host that answers fast would use up what a key may ask in a minute.
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }
}

/// A secret, perhaps for some hosts only.
fn secret(me: &Tenant, hosts: Value) -> String {
    let body = json!({"name": "MAIL_KEY", "value": "mail-key-of-the-test", "hosts": hosts});
    let made = me.post("/api/v1/secrets", &body);
    assert_status(&made, 201);
    made.json["id"].as_str().unwrap().to_owned()
}

fn email(provider: &Provider, secret_id: &str) -> Value {
    json!({"name": "on call", "email": {"provider": "postmark", "from": "NodeAI <alerts@example.com>",
        "to": ["ada@example.com", "Bob <bob@example.com>"], "base_url": provider.base(), "secret_id": secret_id}})
}

fn opens_an_alert(me: &Tenant) {
    let condition =
        json!({"kind": "threshold", "measure": "runs", "op": "<", "value": 1, "window_hours": 1});
    let rule = json!({"name": "too quiet", "condition": condition});
    assert_status(&me.post("/api/v1/observability/rules", &rule), 201);
    assert_status(&me.post(EVALUATE, &json!({})), 200);
}

/// The newest delivery of a webhook, once it is as wanted.
fn delivery(me: &Tenant, webhook: &Value, status: &str) -> Value {
    let id = webhook["id"].as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let list = me.get(&format!("{WEBHOOKS}/deliveries?webhook_id={id}"));
        let newest = &list.json["data"][0];
        let id = newest["id"].as_str().unwrap_or_default();
        if newest["status"] == status && newest["attempts"].as_i64() > Some(0) {
            return me.get(&format!("{WEBHOOKS}/deliveries/{id}")).json;
        }
        assert!(Instant::now() < deadline, "not {status}: {}", list.text);
        assert_status(&me.post(&format!("{WEBHOOKS}/drain"), &json!({})), 200);
    }
}

#[test]
fn an_alert_is_mailed_and_tried_again_under_one_key() {
    let me = app().tenant();
    let provider = Provider::answering("500,200");
    let secret_id = secret(&me, json!(null));
    let made = me.post(WEBHOOKS, &email(&provider, &secret_id));
    assert_status(&made, 201);
    assert_eq!(made.json["channel"], "email");
    assert_eq!(made.json["secret"], Value::Null, "nothing is signed");
    let usual = json!(["alert.opened", "alert.resolved", "budget.threshold"]);
    assert_eq!(made.json["event_types"], usual);
    opens_an_alert(&me);
    let got = provider.until(&me, 2);
    assert!(got[0].path.ends_with("/email"));
    for request in &got {
        assert_eq!(
            request.headers["x-postmark-server-token"],
            "mail-key-of-the-test"
        );
    }
    let once = |request: &Arrived| request.headers["idempotency-key"].clone();
    assert_eq!(once(&got[0]), once(&got[1]));
    let mail = &got[1].body;
    assert_eq!(mail["To"], "ada@example.com, Bob <bob@example.com>");
    assert_eq!(mail["Subject"], "[alert.opened] too quiet");
    assert!(
        mail["TextBody"]
            .as_str()
            .unwrap()
            .contains("rule name: too quiet")
    );
    let told = delivery(&me, &made.json, "delivered");
    let attempts = told["attempts"]
        .as_array()
        .or(told["delivery"]["attempts"].as_array());
    assert_eq!(attempts.map(Vec::len), Some(2), "{told}");
    assert!(!told.to_string().contains("mail-key-of-the-test"));
    let log = me.get(&format!("/api/v1/secrets/access-log?secret_id={secret_id}"));
    assert_eq!(log.json["data"][0]["purpose"], "webhook");
}

#[test]
fn a_key_goes_to_its_hosts_only_and_a_gone_one_is_said() {
    let me = app().tenant();
    let provider = Provider::answering("200");
    let secret_id = secret(&me, json!(["api.postmarkapp.com"]));
    let made = me.post(WEBHOOKS, &email(&provider, &secret_id));
    assert_status(&made, 201);
    let test = format!("{WEBHOOKS}/{}/test", made.json["id"].as_str().unwrap());
    assert_status(&me.post(&test, &json!({})), 202);
    let told = delivery(&me, &made.json, "pending").to_string();
    assert!(told.contains("is not for this provider's host"), "{told}");
    let gone = me.delete(&format!("/api/v1/secrets/{secret_id}"));
    assert!(gone.status < 300, "{}", gone.text);
    let read = me.get(&format!("{WEBHOOKS}/{}", made.json["id"].as_str().unwrap()));
    assert_eq!(read.json["secret_id"], Value::Null);
}

#[test]
fn what_is_no_mail_is_refused_where_it_is_wrong() {
    let (me, other) = (app().tenant(), app().tenant());
    let provider = Provider::answering("200");
    let theirs = secret(&other, json!(null));
    let foreign = me.post(WEBHOOKS, &email(&provider, &theirs));
    assert_problem(&foreign, 409, "conflict");
    let mut bad = email(&provider, "x");
    bad["email"]["to"] = json!(["ada"]);
    bad["url"] = json!("https://example.com/");
    let refused = me.post(WEBHOOKS, &bad);
    assert_problem(&refused, 400, "invalid-input");
    let at = |i: usize| refused.json["errors"][i]["pointer"].clone();
    assert_eq!(
        [at(0), at(1), at(2)],
        ["/url", "/email/to/0", "/email/secret_id"]
    );
    let mine = secret(&me, json!(null));
    let made = me.post(WEBHOOKS, &email(&provider, &mine)).json;
    let path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    let rotated = me.post_with(
        &format!("{path}/rotate"),
        &[("if-match", "\"v1\"")],
        &json!({}),
    );
    assert_problem(&rotated, 409, "conflict");
    let url = json!({"url": provider.base()});
    let turned = me.patch_with(&path, &[("if-match", "\"v1\"")], &url);
    assert_problem(&turned, 409, "conflict");
}

#[test]
fn everybodys_rules_are_asked_with_the_operators_token_alone() {
    for wrong in [
        "0123456789abcdef0123456789abcdef",
        "the-drain-token-of-the-tesT",
    ] {
        let nobody = app().with_credential(wrong);
        assert_eq!(nobody.post(EVALUATE, &json!({})).status, 401, "{wrong}");
    }
    let Some(token) = app().drain_token() else {
        return;
    };
    let me = app().tenant();
    opens_an_alert(&me);
    let asked = app().with_credential(token).post(EVALUATE, &json!({}));
    assert_status(&asked, 200);
    assert!(asked.json["organizations"].is_i64(), "{}", asked.text);
    assert_eq!(
        asked.json["opened"],
        json!([]),
        "they are not the operator's"
    );
}
