//! The hosts of versions: stored, confirmed, and held to as the organisation's policy says.

use super::deployments::deploy;
use super::queue::{accepted, ended, until};
use super::{app, runs::graph};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const EXECUTE: &str = "/api/v1/workflows/execute";
const POLICIES: &str = "/api/v1/workflows/execute/policies";

/// Input → an HTTP request → output.
fn calls(url: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "get", "type": "http", "data": {"url": url}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.get.output.status }}"}},
    ]);
    graph(nodes, &[("in", None, "get"), ("get", None, "out")])
}

/// Input → a version of another workflow → output.
fn calling(id: &str, version: i64) -> Value {
    let inputs = json!({"url": "{{ inputs.url }}"});
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "call", "type": "workflow", "data": {"workflow_id": id, "version": version, "inputs": inputs}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.call.output }}"}},
    ]);
    graph(nodes, &[("in", None, "call"), ("call", None, "out")])
}

fn page() -> String {
    format!("{}/web/page", app().llm.url)
}

fn host() -> String {
    app().llm.url.trim_start_matches("http://").to_owned()
}

fn set(me: &Tenant, policies: Value) {
    let set = me.put_with(POLICIES, &[], &policies);
    assert_status(&set, 200);
}

fn run(me: &Tenant, id: &str, url: &str) -> Reply {
    me.post(EXECUTE, &json!({"workflow_id": id, "inputs": {"url": url}}))
}

fn confirm(me: &Tenant, id: &str, version: i64, hosts: Value) -> Reply {
    let path = format!("/api/v1/workflows/{id}/versions/{version}/egress");
    me.post(&path, &json!({"hosts": hosts}))
}

fn kind(run: &Reply) -> &str {
    run.json["error"]["kind"].as_str().unwrap_or("none")
}

#[test]
fn policies_are_the_organisations() {
    let me = app().tenant();
    let usual = json!({"egress": "any", "max_depth": null});
    assert_eq!(me.get(POLICIES).json, usual);
    for (wrong, pointer) in [
        (json!({"egress": "none"}), "/egress"),
        (json!({"egress": "any", "max_depth": 0}), "/max_depth"),
        (json!({"egress": "any", "max_depth": 51}), "/max_depth"),
    ] {
        let refused = me.put_with(POLICIES, &[], &wrong);
        assert_problem(&refused, 400, "invalid-input");
        assert!(refused.text.contains(pointer), "{}", refused.text);
    }
    set(&me, json!({"egress": "inferred", "max_depth": 3}));
    let now = json!({"egress": "inferred", "max_depth": 3});
    assert_eq!(me.get(POLICIES).json, now);
    assert_eq!(app().tenant().get(POLICIES).json, usual);
    let audit = me
        .get("/api/v1/audit-logs?action=organization.run_policies_set")
        .text;
    assert!(audit.contains("inferred"), "{audit}");
    let Some(org) = app().organization_of(&me) else {
        return;
    };
    let Some(editor) = app().member(&org, "editor") else {
        return;
    };
    assert_eq!(editor.get(POLICIES).json, now);
    let refused = editor.put_with(POLICIES, &[], &usual);
    assert_problem(&refused, 403, "scope-missing");
}

#[test]
fn a_version_has_its_hosts_and_whoever_confirmed_them() {
    let me = app().tenant();
    let id = me.workflow("named", &calls(&page()));
    let version = |n: i64| me.get(&format!("/api/v1/workflows/{id}/versions/{n}")).json;
    let named = json!({"declared": null, "hosts": [host()], "open": []});
    assert_eq!(version(1)["egress"], named);
    let uncovered = confirm(&me, &id, 1, json!(["other.example"]));
    assert_problem(&uncovered, 400, "invalid-input");
    assert!(uncovered.text.contains(&host()), "{}", uncovered.text);
    let no_host = confirm(&me, &id, 1, json!(["https://a.example/x"]));
    assert_problem(&no_host, 400, "invalid-input");
    assert_problem(&confirm(&me, &id, 2, json!(["*"])), 404, "not-found");
    let confirmed = confirm(&me, &id, 1, json!([host(), "Extra.example"]));
    assert_status(&confirmed, 200);
    let egress = version(1)["egress"].clone();
    assert_eq!(egress, confirmed.json);
    assert_eq!(egress["declared"], json!([host(), "extra.example"]));
    assert_eq!(egress["confirmed_by"], json!(me.user_id));
    assert!(egress["confirmed_at"].is_string(), "{egress}");
    assert_eq!(
        me.get(&format!("/api/v1/workflows/{id}")).json["egress"],
        egress
    );
    // It stays with the document, and goes with another one.
    assert_status(
        &me.patch(&format!("/api/v1/workflows/{id}"), &json!({"name": "b"})),
        200,
    );
    assert_eq!(version(2)["egress"], egress);
    let put = json!({"name": "b", "definition": calls("{{ inputs.url }}")});
    let put = me.put_with(
        &format!("/api/v1/workflows/{id}"),
        &[("if-match", "*")],
        &put,
    );
    assert_status(&put, 200);
    assert_eq!(version(3)["egress"]["declared"], json!(null));
    assert_eq!(version(3)["egress"]["open"], json!(["/nodes/1/data/url"]));
    let restored = me.post(
        &format!("/api/v1/workflows/{id}/restore"),
        &json!({"version": 1}),
    );
    assert_status(&restored, 200);
    let list = me.get(&format!("/api/v1/workflows/{id}/versions")).json;
    assert_eq!(list["data"][0]["egress"], egress, "{list}");
    let diff = me
        .get(&format!("/api/v1/workflows/{id}/diff?from=3&to=4"))
        .json;
    assert_eq!(diff["egress"]["to"], egress, "{diff}");
    // A list in the document is its author's confirmation.
    let mut listed = calls(&page());
    listed["settings"] = json!({"egress": [host()]});
    let id = me.workflow("listed", &listed);
    let version = me.get(&format!("/api/v1/workflows/{id}/versions/1")).json;
    assert_eq!(version["egress"]["confirmed_by"], json!(me.user_id));
    assert_problem(&confirm(&me, &id, 1, json!([host()])), 409, "conflict");
    let audit = me.get("/api/v1/audit-logs?action=workflow.egress_confirmed");
    assert_eq!(
        audit.json["data"].as_array().unwrap().len(),
        1,
        "{}",
        audit.text
    );
}

#[test]
fn inferred_hosts_are_all_that_is_reached() {
    let me = app().tenant();
    let (named, open) = (calls(&page()), calls("{{ inputs.url }}"));
    let (named_id, open_id) = (me.workflow("named", &named), me.workflow("open", &open));
    assert_eq!(run(&me, &open_id, &page()).json["outputs"]["out"], 200);
    set(&me, json!({"egress": "inferred"}));
    assert_eq!(run(&me, &named_id, "").json["outputs"]["out"], 200);
    let refused = run(&me, &open_id, &page());
    assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
    // A definition in the request is held to what it names.
    assert_eq!(me.run(&named, json!({})).json["outputs"]["out"], 200);
    let refused = me.run(&open, json!({"url": page()}));
    assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
    // What it calls names its own hosts; a list holds for that, too.
    let mut caller = calling(&named_id, 1);
    let ok = me.run(&caller, json!({"url": ""}));
    assert_eq!(
        ok.json["outputs"]["out"],
        json!({"out": 200}),
        "{}",
        ok.text
    );
    caller["settings"] = json!({"egress": []});
    let refused = me.run(&caller, json!({"url": ""}));
    assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
    // Confirmed, what only a run knows may be reached.
    assert_status(&confirm(&me, &open_id, 1, json!([host()])), 200);
    assert_eq!(run(&me, &open_id, &page()).json["outputs"]["out"], 200);
    let refused = run(&me, &open_id, "https://example.com/");
    assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
}

#[test]
fn an_unconfirmed_version_does_not_start() {
    let me = app().tenant();
    let id = me.workflow("named", &calls(&page()));
    let queued =
        json!({"workflow_id": id, "inputs": {}, "async": true, "queue": {"delay_ms": 600_000}});
    let waits = accepted(&me.post(EXECUTE, &queued));
    set(&me, json!({"egress": "confirmed"}));
    let refused = run(&me, &id, "");
    assert_problem(&refused, 409, "conflict");
    assert_eq!(refused.json["errors"][0]["code"], "egress_unconfirmed");
    assert!(refused.text.contains(&host()), "{}", refused.text);
    let before = me.get(EXECUTE).json["data"].as_array().unwrap().len();
    assert_eq!(before, 1, "nothing is left of what was refused");
    // Nor one that calls it.
    let caller = calling(&id, 1);
    let refused = me.run(&caller, json!({"url": ""}));
    assert_problem(&refused, 409, "conflict");
    assert!(refused.text.contains(&id), "{}", refused.text);
    // Nor what waits in the queue.
    let due = format!("UPDATE execution_queue SET run_after = now() WHERE id = '{waits}'");
    if app().owner(&due).is_some() {
        let run = until(&me, &waits, ended);
        assert_eq!(run["error"]["kind"], "cannot_run", "{run}");
    }
    assert_status(&confirm(&me, &id, 1, json!([host()])), 200);
    assert_eq!(run(&me, &id, "").json["outputs"]["out"], 200);
    let ok = me.run(&caller, json!({"url": ""}));
    assert_eq!(
        ok.json["outputs"]["out"],
        json!({"out": 200}),
        "{}",
        ok.text
    );
}

#[test]
fn deployed_runs_replays_and_forks_are_held_to_their_version() {
    let me = app().tenant();
    let id = me.workflow("open", &calls("{{ inputs.url }}"));
    assert_status(&confirm(&me, &id, 1, json!([host()])), 200);
    // A later version is not what is deployed.
    let put = json!({"name": "open", "definition": calls("{{ inputs.url }}?late")});
    let put = me.put_with(
        &format!("/api/v1/workflows/{id}"),
        &[("if-match", "*")],
        &put,
    );
    assert_status(&put, 200);
    let slug = format!("held-{}", &id[24..]);
    deploy(&me, &id, &slug, json!({"version": 1}));
    let invoke = |url: &str| {
        let path = format!("/api/v1/deployments/{slug}/invoke");
        me.post(&path, &json!({"inputs": {"url": url}}))
    };
    let ok = invoke(&page());
    assert_eq!(ok.json["outputs"]["out"], 200, "{}", ok.text);
    let away = "https://example.com/";
    let refused = invoke(away);
    assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
    let ran = ok.json["execution_id"].as_str().unwrap();
    let fork = me.post(
        &format!("{EXECUTE}/{ran}/fork"),
        &json!({"from": "get", "inputs": {"url": away}}),
    );
    assert_eq!(kind(&fork), "egress_refused", "{}", fork.text);
    let refused = refused.json["execution_id"].as_str().unwrap().to_owned();
    let replay = me.post(&format!("{EXECUTE}/{refused}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
    // The current version has no list, and no policy asks for one.
    assert_eq!(run(&me, &id, &page()).json["outputs"]["out"], 200);
}

#[test]
fn workflows_call_workflows_as_deep_as_the_policy_lets_them() {
    let me = app().tenant();
    let mut id = me.workflow("last", &calls(&page()));
    for name in ["two", "one"] {
        id = me.workflow(name, &calling(&id, 1));
    }
    let first = me.workflow("first", &calling(&id, 1));
    assert_eq!(run(&me, &first, "").json["status"], "succeeded");
    set(&me, json!({"egress": "any", "max_depth": 2}));
    let refused = run(&me, &first, "");
    assert_problem(&refused, 409, "conflict");
    assert!(refused.text.contains("max_depth"), "{}", refused.text);
    assert_eq!(refused.json["errors"][0]["code"], "too_deep");
    set(&me, json!({"egress": "any", "max_depth": 3}));
    assert_eq!(run(&me, &first, "").json["status"], "succeeded");
    // What calls itself is found out by the run.
    let loops = me.workflow("loops", &calls(&page()));
    let put = json!({"name": "loops", "definition": calling(&loops, 2)});
    let put = me.put_with(
        &format!("/api/v1/workflows/{loops}"),
        &[("if-match", "*")],
        &put,
    );
    assert_status(&put, 200);
    let failed = run(&me, &loops, "");
    assert_eq!(kind(&failed), "too_deep", "{}", failed.text);
    assert!(failed.text.contains("3 deep"), "{}", failed.text);
    assert!(failed.text.contains("max_depth"), "{}", failed.text);
}
