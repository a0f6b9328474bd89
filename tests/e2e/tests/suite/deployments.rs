//! Deployments: publish, promote, roll back, canary, pause; and that a change of version is never an error.

use super::app;
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) const DEPLOYMENTS: &str = "/api/v1/deployments";

/// Input → template → output.
pub(super) fn saying(template: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "template", "data": {"template": template}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.say.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "say"), ("say", None, "out")])
}

/// A workflow whose versions 1 to `versions` say so.
pub(super) fn numbered(me: &Tenant, versions: usize) -> String {
    let id = me.workflow("numbered", &saying("v1"));
    for number in 2..=versions {
        let body = json!({"name": "numbered", "definition": saying(&format!("v{number}"))});
        let path = format!("/api/v1/workflows/{id}");
        assert_status(&me.put_with(&path, &[("if-match", "*")], &body), 200);
    }
    id
}

pub(super) fn deploy(me: &Tenant, workflow: &str, slug: &str, more: Value) -> Value {
    let mut body = json!({"slug": slug, "workflow_id": workflow, "environment": "prod"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made = me.post(DEPLOYMENTS, &body);
    assert_status(&made, 201);
    made.json
}

pub(super) fn path_of(deployment: &Value) -> String {
    format!("{DEPLOYMENTS}/{}", deployment["id"].as_str().unwrap())
}

/// Does something to a deployment and gives what it is then.
#[track_caller]
pub(super) fn act(me: &Tenant, deployment: &Value, action: &str, body: Value) -> Value {
    let done = me.post(&format!("{}/{action}", path_of(deployment)), &body);
    assert_status(&done, 200);
    done.json
}

pub(super) fn invoke(me: &Tenant, slug: &str) -> Reply {
    me.post(&format!("{DEPLOYMENTS}/{slug}/invoke"), &json!({}))
}

#[track_caller]
pub(super) fn said(reply: &Reply) -> &str {
    assert_status(reply, 200);
    assert_eq!(reply.json["status"], "succeeded", "{}", reply.text);
    reply.json["outputs"]["out"].as_str().unwrap()
}

#[test]
fn a_version_is_published_and_rolled_back_and_all_of_it_is_on_record() {
    let me = app().tenant();
    let workflow = numbered(&me, 3);
    let made = deploy(&me, &workflow, "greeter", json!({"version": 1}));
    assert_eq!(
        (&made["status"], &made["canary_percent"]),
        (&json!("active"), &json!(0))
    );
    let path = path_of(&made);
    let read = me.get(&path);
    assert_eq!(
        (&read.json, read.header("etag")),
        (&made, "\"v1\""),
        "{}",
        read.text
    );
    assert_eq!(said(&invoke(&me, "greeter")), "v1");

    assert_eq!(
        act(&me, &made, "publish", json!({"version": 2}))["workflow_version"],
        2
    );
    assert_eq!(said(&invoke(&me, "greeter")), "v2");
    act(&me, &made, "publish", json!({}));
    let run = invoke(&me, made["id"].as_str().unwrap());
    assert_eq!(said(&run), "v3", "without a version it is the current one");
    let execution = run.json["execution_id"].as_str().unwrap();
    let kept = me
        .get(&format!("/api/v1/workflows/execute/{execution}"))
        .json;
    assert_eq!(
        (&kept["deployment_id"], &kept["workflow_version"]),
        (&made["id"], &json!(3))
    );

    act(&me, &made, "rollback", json!({}));
    assert_eq!(said(&invoke(&me, "greeter")), "v2");
    act(&me, &made, "rollback", json!({}));
    assert_eq!(said(&invoke(&me, "greeter")), "v1", "it goes back further");
    let further = me.post(&format!("{path}/rollback"), &json!({}));
    assert_problem(&further, 409, "conflict");
    act(&me, &made, "rollback", json!({"version": 3}));
    assert_eq!(said(&invoke(&me, "greeter")), "v3");

    let history = me.get(&format!("{path}/history?limit=4")).json;
    let steps = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|r| format!("{}>{}", r["action"].as_str().unwrap(), r["to_version"]))
            .collect()
    };
    assert_eq!(
        steps(&history),
        ["rollback>3", "rollback>1", "rollback>2", "publish>3"]
    );
    let cursor = history["next_cursor"].as_str().unwrap();
    let rest = me
        .get(&format!("{path}/history?limit=4&cursor={cursor}"))
        .json;
    assert_eq!(steps(&rest), ["publish>2", "create>1"]);
    let id = made["id"].as_str().unwrap();
    let audit = me.get(&format!("/api/v1/audit-logs?resource_id={id}")).json;
    let rows = audit["data"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0]["action"], "deployment.rolled_back");
    assert_eq!(rows[0]["details"]["before"]["workflow_version"], 1);
    assert_eq!(rows[0]["details"]["after"]["workflow_version"], 3);

    assert_status(&me.delete(&path), 204);
    assert_problem(&invoke(&me, "greeter"), 404, "not-found");
    assert_problem(&me.get(&path), 404, "not-found");
}

#[test]
fn each_environment_has_its_own_variables_and_secrets() {
    let me = app().tenant();
    let secret = |environment: &str| {
        let body = json!({"name": "KEY", "value": format!("value-of-{environment}"), "environment": environment});
        let made = me.post("/api/v1/secrets", &body);
        assert_status(&made, 201);
        made.json["id"].clone()
    };
    let (dev, prod) = (secret("dev"), secret("prod"));
    let mut definition =
        saying("{{ vars.greeting }}, {{ vars.whom }}{% if secrets.KEY %}!{% endif %}");
    definition["vars"] = json!({"greeting": "Hello", "whom": "nobody"});
    let workflow = me.workflow("greets", &definition);
    let made = deploy(
        &me,
        &workflow,
        "greets",
        json!({"environment": "dev", "variables": {"whom": "dev"}}),
    );
    let there = act(&me, &made, "promote", json!({"to": "prod"}));
    assert_eq!(
        (&there["environment"], &there["variables"]),
        (&json!("prod"), &json!({}))
    );
    let change = json!({"variables": {"whom": "prod", "greeting": "Welcome"}});
    let changed = me.patch_with(&path_of(&there), &[("if-match", "\"v1\"")], &change);
    assert_status(&changed, 200);

    let run = |environment: &str| {
        let path = format!("{DEPLOYMENTS}/greets/invoke?environment={environment}");
        let reply = me.post(&path, &json!({}));
        let execution = reply.json["execution_id"].as_str().unwrap();
        let log = me.get(&format!(
            "/api/v1/secrets/access-log?execution_id={execution}"
        ));
        (
            said(&reply).to_owned(),
            log.json["data"][0]["secret_id"].clone(),
        )
    };
    assert_eq!(run("dev"), ("Hello, dev!".to_owned(), dev));
    assert_eq!(run("prod"), ("Welcome, prod!".to_owned(), prod));

    // Another promotion leaves the variables there alone.
    let mut second = definition.clone();
    second["nodes"][1]["data"]["template"] = json!("{{ vars.greeting }} again, {{ vars.whom }}");
    let path = format!("/api/v1/workflows/{workflow}");
    let body = json!({"name": "greets", "definition": second});
    assert_status(&me.put_with(&path, &[("if-match", "*")], &body), 200);
    act(&me, &made, "publish", json!({}));
    assert_eq!(said(&invoke(&me, "greets")), "Welcome, prod!");
    let again = act(&me, &made, "promote", json!({"to": "prod"}));
    assert_eq!(
        (&again["id"], &again["workflow_version"]),
        (&there["id"], &json!(2))
    );
    assert_eq!(said(&invoke(&me, "greets")), "Welcome again, prod");
    let id = there["id"].as_str().unwrap();
    let audit = me.get(&format!("/api/v1/audit-logs?resource_id={id}")).json;
    assert_eq!(audit["data"][0]["action"], "deployment.promoted_to");
}

#[test]
fn a_canary_is_for_its_share_and_each_caller_stays_on_one_side() {
    let me = app().tenant();
    let workflow = numbered(&me, 2);
    let made = deploy(&me, &workflow, "birds", json!({"version": 1}));
    let get = |key: &str| {
        let reply = me.post(
            &format!("{DEPLOYMENTS}/birds/invoke"),
            &json!({"sticky_key": key}),
        );
        said(&reply) == "v2"
    };
    let chosen = || -> BTreeSet<usize> { (0..150).filter(|i| get(&format!("user-{i}"))).collect() };
    assert_eq!(chosen().len(), 0);
    act(&me, &made, "canary", json!({"version": 2, "percent": 25}));
    let few = chosen();
    assert!((15..=65).contains(&few.len()), "{} of 150", few.len());
    assert_eq!(chosen(), few, "each stays where it was");
    let own: BTreeSet<String> = (0..5)
        .map(|_| said(&invoke(&me, "birds")).to_owned())
        .collect();
    assert_eq!(own.len(), 1, "so does a caller without a key of its own");

    act(&me, &made, "canary", json!({"version": 2, "percent": 60}));
    let more = chosen();
    assert!((60..=120).contains(&more.len()), "{} of 150", more.len());
    assert!(
        few.is_subset(&more),
        "a larger share keeps those who were in"
    );
    let by_version = me.get(&format!("{}/stats", path_of(&made))).json;
    let runs = |i: usize| by_version["versions"][i]["runs"].as_i64().unwrap();
    assert_eq!(by_version["versions"][0]["version"], 2);
    assert_eq!(runs(0) + runs(1), by_version["total"]["runs"]);

    let same = me.post(
        &format!("{}/canary", path_of(&made)),
        &json!({"version": 1, "percent": 5}),
    );
    assert_problem(&same, 409, "conflict");
    act(&me, &made, "canary", json!({"percent": 0}));
    assert_eq!(chosen().len(), 0);
    act(&me, &made, "canary", json!({"percent": 100}));
    assert_eq!(chosen().len(), 150);
    let all = act(&me, &made, "publish", json!({"version": 2}));
    assert_eq!(
        (&all["canary_version"], &all["canary_percent"]),
        (&Value::Null, &json!(0))
    );
}

#[test]
fn a_paused_deployment_refuses_and_says_why() {
    let me = app().tenant();
    let made = deploy(&me, &numbered(&me, 1), "sleepy", json!({}));
    assert_eq!(act(&me, &made, "pause", json!({}))["status"], "paused");
    for body in [json!({}), json!({"stream": true})] {
        let refused = me.post(&format!("{DEPLOYMENTS}/sleepy/invoke"), &body);
        assert_problem(&refused, 409, "conflict");
        assert!(refused.text.contains("paused"), "{}", refused.text);
    }
    let stats = me.get(&format!("{}/stats", path_of(&made))).json;
    assert_eq!(stats["total"]["runs"], 0, "what was refused left nothing");
    act(&me, &made, "resume", json!({}));
    assert_eq!(said(&invoke(&me, "sleepy")), "v1");
}

#[test]
fn a_storm_of_runs_sees_one_version_or_the_other_and_no_error() {
    let me = app().tenant();
    let workflow = numbered(&me, 2);
    let dev = deploy(
        &me,
        &workflow,
        "storm",
        json!({"environment": "dev", "version": 2}),
    );
    let prod = deploy(&me, &workflow, "storm", json!({"version": 1}));
    let over = AtomicBool::new(false);
    let seen: Vec<String> = std::thread::scope(|scope| {
        let storm = || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) && seen.len() < 120 {
                seen.push(said(&invoke(&me, "storm")).to_owned());
            }
            seen
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(storm)).collect();
        for round in 0..20 {
            act(&me, &dev, "promote", json!({"to": "prod"}));
            let back = act(&me, &prod, "rollback", json!({}));
            assert_eq!(back["workflow_version"], 1, "round {round}");
        }
        over.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let versions: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(versions, BTreeSet::from(["v1", "v2"]), "{}", seen.len());
    let stats = me.get(&format!("{}/stats", path_of(&prod))).json;
    assert_eq!(stats["total"]["runs"], seen.len());
    assert_eq!(stats["total"]["failed"], 0);
}

#[test]
fn running_needs_its_own_scope_and_a_limited_key_stays_limited() {
    let me = app().tenant();
    let workflow = numbered(&me, 1);
    let made = deploy(&me, &workflow, "scoped", json!({}));
    let key = |body: Value| {
        let made = me.post("/api/v1/api-keys", &body);
        assert_status(&made, 201);
        app().with_credential(made.json["key"].as_str().unwrap())
    };
    let runs = key(json!({"name": "r", "scopes": ["deployments:run"]}));
    assert_eq!(said(&invoke(&runs, "scoped")), "v1");
    assert_problem(&runs.get(&path_of(&made)), 403, "scope-missing");
    let direct = runs.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow}),
    );
    assert_problem(&direct, 403, "scope-missing");
    let other = key(json!({"name": "o", "scopes": ["workflows:run", "deployments:write"]}));
    assert_problem(&invoke(&other, "scoped"), 403, "scope-missing");
    let elsewhere = me.workflow("elsewhere", &saying("no"));
    let limited =
        |id: &str| key(json!({"name": "l", "scopes": ["deployments:run"], "workflow_ids": [id]}));
    assert_problem(&invoke(&limited(&elsewhere), "scoped"), 404, "not-found");
    assert_eq!(said(&invoke(&limited(&workflow), "scoped")), "v1");
}

#[test]
fn what_cannot_be_is_refused() {
    let me = app().tenant();
    let workflow = numbered(&me, 2);
    let made = deploy(&me, &workflow, "strict", json!({}));
    let path = path_of(&made);
    let uuid = uuid::Uuid::now_v7();
    let body = |slug: &str| json!({"slug": slug, "workflow_id": workflow, "environment": "dev"});
    for slug in [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "ä",
        &uuid.to_string(),
        &uuid.simple().to_string(),
    ] {
        let reply = me.post(DEPLOYMENTS, &body(slug));
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], "/slug", "{slug}");
    }
    for (pointer, wrong) in [
        ("/environment", json!("moon")),
        ("/version", json!(0)),
        ("/variables", json!({"a-b": 1})),
        ("/workflow_id", json!("w")),
    ] {
        let mut body = body("fine");
        body[&pointer[1..]] = wrong;
        let reply = me.post(DEPLOYMENTS, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer);
    }
    let mut absent = body("fine");
    absent["version"] = json!(9);
    assert_problem(&me.post(DEPLOYMENTS, &absent), 409, "conflict");
    let foreign = app().tenant().workflow("foreign", &saying("no"));
    absent = json!({"slug": "fine", "workflow_id": foreign, "environment": "dev"});
    assert_problem(&me.post(DEPLOYMENTS, &absent), 409, "conflict");
    let twice = json!({"slug": "strict", "workflow_id": workflow, "environment": "prod"});
    assert_problem(&me.post(DEPLOYMENTS, &twice), 409, "conflict");
    for (action, body, status) in [
        ("publish", json!({"version": 9}), 409),
        ("rollback", json!({"version": 1}), 409),
        ("canary", json!({"version": 1, "percent": 101}), 400),
        ("promote", json!({"to": "dev"}), 400),
        ("promote", json!({"to": "staging"}), 409),
    ] {
        let reply = me.post(&format!("{path}/{action}"), &body);
        assert_eq!(reply.status, status, "{action}: {}", reply.text);
    }
    let stale = [("if-match", "\"v7\"")];
    let reply = me.post_with(&format!("{path}/publish"), &stale, &json!({}));
    assert_problem(&reply, 412, "stale-version");
    let bad = me.get(&format!("{path}/stats?from=tomorrowish"));
    assert_problem(&bad, 400, "invalid-input");
    assert_eq!(me.get(&path).json, made, "nothing of it changed anything");
    // A slug of its own in each environment, and a workflow of its own: a promotion does not take it over.
    let dev = deploy(
        &me,
        &me.workflow("w", &saying("w")),
        "strict",
        json!({"environment": "dev"}),
    );
    let taken = me.post(
        &format!("{}/promote", path_of(&dev)),
        &json!({"to": "prod"}),
    );
    assert_problem(&taken, 409, "conflict");
}

#[test]
fn lists_are_filtered() {
    let me = app().tenant();
    let (one, two) = (numbered(&me, 1), numbered(&me, 1));
    deploy(&me, &one, "a", json!({}));
    deploy(&me, &one, "a", json!({"environment": "dev"}));
    deploy(&me, &two, "b", json!({}));
    let found = |query: &str| {
        let list = me.get(&format!("{DEPLOYMENTS}?{query}")).json;
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|d| {
            format!(
                "{}@{}",
                d["slug"].as_str().unwrap(),
                d["environment"].as_str().unwrap()
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(found(""), ["b@prod", "a@dev", "a@prod"]);
    assert_eq!(found("environment=prod"), ["b@prod", "a@prod"]);
    assert_eq!(found(&format!("workflow_id={one}")), ["a@dev", "a@prod"]);
    assert_eq!(found("slug=b"), ["b@prod"]);
}
