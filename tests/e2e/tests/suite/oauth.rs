//! Connected accounts against a real OpenID provider.

use super::app;
use e2e::oidc::{Provider, REDIRECT_URI, SECRETS, agree};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PROVIDERS: &str = "/api/v1/oauth/providers";
const CONNECTIONS: &str = "/api/v1/oauth/connections";
const CALLBACK: &str = "/api/v1/oauth/callback";

/// A tenant with the provider configured as `op`, by its metadata.
fn configured(provider: &Provider, client: &str) -> (Tenant, Value) {
    let me = app().tenant();
    let secret = SECRETS.iter().find(|(id, _)| *id == client);
    if let Some((_, value)) = secret {
        let stored = json!({"name": "OP_SECRET", "value": value});
        assert_status(&me.post("/api/v1/secrets", &stored), 201);
    }
    let mut body = json!({"slug": "op", "issuer": provider.issuer, "client_id": client,
        "client_secret": secret.map(|_| "OP_SECRET"), "redirect_uris": [REDIRECT_URI],
        "scopes": ["openid", "email", "offline_access"]});
    if client == "post" {
        body["token_auth"] = json!("post");
    }
    let made = me.post(PROVIDERS, &body);
    assert_status(&made, 201);
    (me, made.json)
}

fn begin(me: &Tenant, body: Value) -> String {
    let mut all = json!({"provider": "op"});
    all.as_object_mut()
        .unwrap()
        .extend(body.as_object().unwrap().clone());
    let begun = me.post("/api/v1/oauth/authorize", &all);
    assert_status(&begun, 201);
    begun.json["authorization_url"].as_str().unwrap().to_owned()
}

fn finish(me: &Tenant, came: &BTreeMap<String, String>) -> Reply {
    me.post(CALLBACK, &json!(came))
}

fn connect(me: &Tenant, account: &str, name: &str) -> Value {
    let came = agree(&begin(me, json!({"name": name})), account);
    let made = finish(me, &came);
    assert_status(&made, 201);
    made.json
}

/// Fetches the provider's resource with a connection.
fn fetch(me: &Tenant, provider: &Provider, connection: &str) -> Value {
    let node =
        json!({"url": format!("{}/resource", provider.issuer), "auth": {"connection": connection}});
    run_http(me, node)
}

fn run_http(me: &Tenant, node: Value) -> Value {
    let definition = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "get", "type": "http", "data": node},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.get.output.body }}"}},
        ],
        "edges": [{"source": "in", "target": "get"}, {"source": "get", "target": "out"}],
    });
    let reply = me.run(&definition, json!({}));
    assert_status(&reply, 200);
    reply.json
}

#[test]
fn an_account_is_connected_used_and_disconnected() {
    let op = Provider::start();
    for client in ["basic", "post", "public"] {
        let (me, provider) = configured(&op, client);
        assert_eq!(provider["issuer_in_response"], true, "from its metadata");
        assert_eq!(provider["hosts"], json!([op.host()]));
        let connection = connect(&me, "ada", "Ada");
        assert_eq!(connection["account"], "ada@example.org");
        assert_eq!(connection["status"], "active");
        let run = fetch(&me, &op, "Ada");
        assert_eq!(run["outputs"]["out"]["account"], "ada", "{run}");

        let id = connection["id"].as_str().unwrap();
        let log = me
            .get(&format!("/api/v1/secrets/access-log?connection_id={id}"))
            .json;
        assert_eq!(log["data"][0]["execution_id"], run["execution_id"]);
        assert_eq!(log["data"][0]["node_id"], "get");

        let before = op.control("")["revocation"].as_i64().unwrap();
        assert_status(&me.delete(&format!("{CONNECTIONS}/{id}")), 204);
        let after = op.control("")["revocation"].as_i64().unwrap();
        assert!(after > before, "{client}: revoked at the provider");
        assert_problem(&me.get(&format!("{CONNECTIONS}/{id}")), 404, "not-found");
        let run = fetch(&me, &op, "Ada");
        assert_eq!(run["error"]["kind"], "connection_unusable", "{run}");
    }
}

#[test]
fn no_token_and_no_secret_is_ever_shown_or_stored_in_clear() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    let connection = connect(&me, "grace", "Grace");
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    let echo = app().llm.url.clone();
    let shown = me.get(&path).text + &me.get(CONNECTIONS).text + &me.get(PROVIDERS).text;
    for word in [
        "access_token",
        "refresh_token",
        "ciphertext",
        "wrapped_key",
        SECRETS[0].1,
    ] {
        assert!(!shown.contains(word), "{word}");
    }
    let elsewhere = run_http(&me, json!({"url": echo, "auth": {"connection": "Grace"}}));
    assert_eq!(
        elsewhere["error"]["kind"], "connection_host_refused",
        "{elsewhere}"
    );
    let both = json!({"url": format!("{}/resource", op.issuer), "auth": {"connection": "Grace"},
        "headers": {"Authorization": "x"}});
    assert_eq!(run_http(&me, both)["status"], "failed");
    if let Some(dump) = app().dump() {
        assert!(!dump.contains(SECRETS[0].1) && !dump.contains("refresh_token"));
    }
}

#[test]
fn a_state_works_once_for_its_caller_and_for_its_issuer() {
    let op = Provider::start();
    let (me, provider) = configured(&op, "basic");
    let came = agree(&begin(&me, json!({})), "linus");
    assert_eq!(came["iss"], op.issuer);

    // Somebody else with the same answer: theirs, and one in the same organisation.
    let stranger = app().tenant();
    let reply = finish(&stranger, &came);
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"][0]["code"], "unknown");
    let audit = stranger
        .get("/api/v1/audit-logs?action=oauth.state_refused")
        .json;
    assert_eq!(audit["data"][0]["details"]["reason"], "foreign");

    assert_status(&finish(&me, &came), 201);
    let again = finish(&me, &came);
    assert_problem(&again, 400, "invalid-input");
    assert_eq!(again.json["errors"][0]["code"], "used");
    let audit = me.get("/api/v1/audit-logs?action=oauth.state_refused").json;
    assert_eq!(audit["data"][0]["details"]["reason"], "used");

    for iss in [json!("https://evil.example"), json!(null)] {
        let came = agree(&begin(&me, json!({})), "linus");
        let mut body = json!(came);
        body["iss"] = iss;
        let reply = me.post(CALLBACK, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/iss");
    }
    let audit = me
        .get("/api/v1/audit-logs?action=oauth.issuer_refused")
        .json;
    assert_eq!(audit["data"].as_array().unwrap().len(), 2);
    assert_eq!(audit["data"][0]["resource_id"], provider["id"]);
    assert_eq!(
        me.get(CONNECTIONS).json["data"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn the_retry_of_a_callback_gets_the_same_connection() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    let came = json!(agree(&begin(&me, json!({})), "barbara"));
    let key = [("idempotency-key", "once")];
    let first = me.post_with(CALLBACK, &key, &came);
    assert_status(&first, 201);
    let second = me.post_with(CALLBACK, &key, &came);
    assert_status(&second, 201);
    assert_eq!(first.json, second.json);
    // The same account again keeps its id, by name or not.
    let again = connect(&me, "barbara", "b");
    assert_eq!(again["id"], first.json["id"]);
    assert_eq!(again["version"], 2);
}

#[test]
fn who_says_no_is_heard() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    let came = agree(&begin(&me, json!({})), "nobody");
    assert_eq!(came["error"], "access_denied");
    let reply = finish(&me, &came);
    assert_problem(&reply, 422, "provider-refused");
    assert!(reply.text.contains("the person said no"));
    // A code that is none.
    let mut came = agree(&begin(&me, json!({})), "ken");
    came.insert("code".to_owned(), "forged".to_owned());
    let reply = finish(&me, &came);
    assert_problem(&reply, 422, "provider-refused");
    assert!(reply.text.contains("invalid_grant"), "{}", reply.text);
    assert_eq!(me.get(CONNECTIONS).json["data"], json!([]));
}

#[test]
fn many_at_once_refresh_once() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    op.control("ttl=30"); // within the minute in which a token is refreshed early
    connect(&me, "edsger", "Edsger");
    op.control("ttl=3600&hold=300");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| fetch(&me, &op, "Edsger")))
            .collect();
        for run in runs {
            let run = run.join().unwrap();
            assert_eq!(run["outputs"]["out"]["account"], "edsger", "{run}");
        }
    });
    // oidc-provider rotates: a second refresh with the same token would have ended the grant.
    assert_eq!(op.control("hold=0")["refresh_token"], 1);
    let run = fetch(&me, &op, "Edsger");
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(op.control("")["refresh_token"], 1);
}

#[test]
fn a_token_that_was_revoked_early_is_replaced_and_an_ended_grant_says_so() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    let connection = connect(&me, "alan", "Alan");
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    op.control("spoil=1");
    let run = fetch(&me, &op, "Alan");
    assert_eq!(run["outputs"]["out"]["account"], "alan", "{run}");
    assert_eq!(op.control("")["refresh_token"], 1);

    // The provider is away: nothing is lost, and it goes on later.
    op.control("failing=1");
    let reply = me.post(&format!("{path}/refresh"), &json!({}));
    assert_problem(&reply, 503, "unavailable");
    assert!(!reply.header("retry-after").is_empty());
    let shown = me.get(&path).json;
    assert_eq!(shown["status"], "active");
    assert!(shown["last_error"].as_str().unwrap().contains("503"));
    let reply = me.post(&format!("{path}/refresh"), &json!({}));
    assert_status(&reply, 200);
    assert_eq!(reply.json["last_error"], Value::Null);

    // The person has taken it back at the provider.
    op.control("end=alan");
    let reply = me.post(&format!("{path}/refresh"), &json!({}));
    assert_problem(&reply, 409, "conflict");
    assert_eq!(me.get(&path).json["status"], "expired");
    let audit = me.get("/api/v1/audit-logs?action=connection.expired").json;
    assert_eq!(audit["data"][0]["resource_id"], connection["id"]);
    let run = fetch(&me, &op, "Alan");
    assert_eq!(run["error"]["kind"], "connection_unusable", "{run}");
    // Connected anew it is the same one.
    let id = &connection["id"];
    let came = agree(&begin(&me, json!({"connection_id": id})), "alan");
    let again = finish(&me, &came);
    assert_status(&again, 201);
    assert_eq!(
        (&again.json["id"], &again.json["status"]),
        (id, &json!("active"))
    );
}

#[test]
fn a_shared_connection_is_used_by_editors_and_changed_by_its_owner() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    let connection = connect(&me, "niklaus", "Ours");
    let Some(org) = app().organization_of(&me) else {
        return; // somebody else's database
    };
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    let editor = app().member(&org, "editor").unwrap();
    assert_problem(&editor.get(&path), 404, "not-found");
    assert_eq!(fetch(&editor, &op, "Ours")["status"], "failed");
    // What it gave its owner is kept for its owner.
    let kept = json!({"url": format!("{}/resource", op.issuer), "auth": {"connection": "Ours"},
        "cache": {"ttl_ms": 600_000}});
    assert_eq!(run_http(&me, kept.clone())["status"], "succeeded");
    let other = run_http(&editor, kept);
    assert_eq!(other["error"]["kind"], "connection_unusable", "{other}");
    let shared = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"shared": true}));
    assert_status(&shared, 200);
    assert_eq!(editor.get(&path).json["shared"], true);
    assert_eq!(
        fetch(&editor, &op, "Ours")["outputs"]["out"]["account"],
        "niklaus"
    );
    assert_problem(
        &editor.patch(&path, &json!({"shared": false})),
        403,
        "forbidden",
    );
    assert_problem(&editor.delete(&path), 403, "forbidden");
    let viewer = app().member(&org, "viewer").unwrap();
    assert_status(&viewer.get(&path), 200);
    assert_eq!(
        me.get(&path).json["version"],
        2,
        "nothing of it changed anything"
    );
}

#[test]
fn providers_are_checked_changed_and_kept_while_in_use() {
    let op = Provider::start();
    let (me, provider) = configured(&op, "basic");
    let path = format!("{PROVIDERS}/{}", provider["id"].as_str().unwrap());
    connect(&me, "tony", "Tony");
    assert_problem(&me.delete(&path), 409, "conflict");
    let twice = json!({"slug": "op", "preset": "github", "client_id": "x", "redirect_uris": [REDIRECT_URI]});
    assert_problem(&me.post(PROVIDERS, &twice), 409, "conflict");
    let renamed = me.patch(&path, &json!({"name": "Ours", "revocation_endpoint": null}));
    assert_status(&renamed, 200);
    assert_eq!(renamed.json["revocation_endpoint"], Value::Null);
    let id = me.get(CONNECTIONS).json["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_status(&me.delete(&format!("{CONNECTIONS}/{id}")), 204);
    assert_status(&me.delete(&path), 204);

    let github = json!({"slug": "gh", "preset": "github", "client_id": "x", "client_secret": "GH",
        "redirect_uris": ["https://app.example/cb"]});
    let made = me.post(PROVIDERS, &github);
    assert_status(&made, 201);
    assert_eq!(made.json["hosts"][0], "api.github.com");
    assert!(
        me.get("/api/v1/oauth/presets").json["data"]
            .as_array()
            .unwrap()
            .len()
            >= 5
    );

    let with = |field: &str, value: Value| {
        let mut body = github.clone();
        body["slug"] = json!("other");
        body[field] = value;
        me.post(PROVIDERS, &body)
    };
    for (field, value) in [
        ("slug", json!("A")),
        ("preset", json!("nobody")),
        ("token_endpoint", json!("http://example.com/token")),
        ("token_endpoint", json!("https://169.254.169.254/token")),
        ("authorization_endpoint", json!("not a URL")),
        ("redirect_uris/0", json!(["http://example.com/cb"])),
        ("authorize_parameters/state", json!({"state": "mine"})),
        ("hosts/0", json!(["*"])),
        ("client_secret", json!("1 2")),
        ("issuer", json!("http://10.0.0.1")),
    ] {
        let reply = with(field.split('/').next().unwrap(), value);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], format!("/{field}"));
    }
    // Metadata about another issuer are not believed.
    let other = json!({"slug": "other", "issuer": format!("{}/", op.issuer), "client_id": "x",
        "redirect_uris": [REDIRECT_URI]});
    let reply = me.post(PROVIDERS, &other);
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"][0]["pointer"], "/issuer");
}

#[test]
fn a_redirect_uri_is_compared_exactly() {
    let op = Provider::start();
    let (me, _) = configured(&op, "basic");
    for uri in [
        format!("{REDIRECT_URI}/"),
        format!("{REDIRECT_URI}?x=1"),
        "https://evil.example".to_owned(),
    ] {
        let body = json!({"provider": "op", "redirect_uri": uri});
        let reply = me.post("/api/v1/oauth/authorize", &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/redirect_uri");
    }
    let landed = app()
        .with_credential("")
        .get("/api/v1/oauth/return?state=s&code=c&scope=x");
    assert_status(&landed, 200);
    assert_eq!(landed.json["callback"], json!({"state": "s", "code": "c"}));
    assert_eq!(landed.header("referrer-policy"), "no-referrer");
}
