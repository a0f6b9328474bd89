//! Budgets and lists of hosts, as the API keeps them: limits that hold, for many runs at once and for each.

use super::{app, runs::ask, runs::graph};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const BUDGETS: &str = "/api/v1/cost-intelligence/budgets";
const RUNS: &str = "/api/v1/workflows/execute";

/// Makes a budget of the whole organisation, unless `more` says otherwise.
fn budget(me: &Tenant, more: Value) -> Value {
    let mut body = json!({"name": "team", "subject": "organization", "period": "month"});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    let made = me.post(BUDGETS, &body);
    assert_status(&made, 201);
    made.json
}

fn path(budget: &Value) -> String {
    format!("{BUDGETS}/{}", budget["id"].as_str().unwrap())
}

/// Asks the test model: 2 tokens in, 3 out for "Hello, Ada!".
fn echo() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "llm", "data": {"model": "builtin/echo", "prompt": "Hello, {{ inputs.name }}!"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.say.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "say"), ("say", None, "out")])
}

fn kind(run: &Reply) -> &str {
    run.json["error"]["kind"].as_str().unwrap_or("none")
}

#[test]
fn a_used_up_budget_is_a_402_that_says_which_and_until_when() {
    let me = app().tenant();
    let limited = budget(&me, json!({"period": "day", "limit_tokens": 5}));
    assert_status(&me.run(&echo(), json!({"name": "Ada"})), 200);
    let spent = me.get(&path(&limited)).json;
    assert_eq!(
        (&spent["spent_tokens"], &spent["remaining_tokens"]),
        (&json!(5), &json!(0))
    );
    let key = [("idempotency-key", "once")];
    let body = json!({"definition": echo(), "inputs": {"name": "Ada"}});
    let refused = me.post_with(RUNS, &key, &body);
    assert_problem(&refused, 402, "budget-exceeded");
    let said = &refused.json["budget"];
    assert_eq!(
        (&said["id"], &said["spent_tokens"]),
        (&limited["id"], &json!(5))
    );
    assert_eq!(said["resets_at"], limited["resets_at"]);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    // It was no run: nothing is listed, and the key is free.
    assert_eq!(me.get(RUNS).json["data"].as_array().unwrap().len(), 1);
    let more = me.patch_with(
        &path(&limited),
        &[("if-match", "\"v1\"")],
        &json!({"limit_tokens": 50}),
    );
    assert_status(&more, 200);
    assert_eq!(me.post_with(RUNS, &key, &body).json["status"], "succeeded");
    // Below what is spent: used up again, but not for a workflow that asks no model.
    let less = me.patch_with(
        &path(&limited),
        &[("if-match", "\"v2\"")],
        &json!({"limit_tokens": 1}),
    );
    assert_status(&less, 200);
    assert_problem(
        &me.run(&echo(), json!({"name": "Ada"})),
        402,
        "budget-exceeded",
    );
    let quiet = me.run(&super::documents::hello(), json!({"name": "Ada"}));
    assert_eq!(quiet.json["status"], "succeeded", "{}", quiet.text);
}

#[test]
fn a_run_has_limits_of_its_own_by_request_document_and_budget() {
    let me = app().tenant();
    let body =
        |budget: Value| json!({"definition": echo(), "inputs": {"name": "Ada"}, "budget": budget});
    assert_eq!(
        me.post(RUNS, &body(json!({"tokens": 5}))).json["status"],
        "succeeded"
    );
    let refused = me.post(RUNS, &body(json!({"tokens": 4})));
    assert_status(&refused, 200);
    assert_eq!(kind(&refused), "budget_exceeded", "{}", refused.text);
    assert_eq!(refused.json["error"]["node_id"], "say");
    let mut document = echo();
    document["settings"] = json!({"budget": {"tokens": 4}});
    let own = json!({"definition": document, "inputs": {"name": "Ada"}, "budget": {"tokens": 50}});
    assert_eq!(
        kind(&me.post(RUNS, &own)),
        "budget_exceeded",
        "the lower one counts"
    );
    budget(&me, json!({"period": "run", "limit_tokens": 4}));
    assert_eq!(
        kind(&me.run(&echo(), json!({"name": "Ada"}))),
        "budget_exceeded"
    );
    for (limit, pointer) in [
        (json!({"usd_micros": 0}), "/budget/usd_micros"),
        (json!({"tokens": -1}), "/budget/tokens"),
    ] {
        let bad = me.post(RUNS, &body(limit));
        assert_problem(&bad, 400, "invalid-input");
        assert_eq!(bad.json["errors"][0]["pointer"], pointer);
    }
    document["settings"] = json!({"budget": {"usd": 5}});
    let bad = me.run(&document, json!({"name": "Ada"}));
    assert_problem(&bad, 400, "invalid-input");
    assert!(
        bad.text.contains("/definition/settings/budget/usd"),
        "{}",
        bad.text
    );
}

#[test]
fn money_is_held_against_the_price_of_the_model() {
    let me = app().tenant();
    let id = me.workflow(
        "asks",
        &ask("openai/gpt-4o-mini", json!({"max_tokens": 16})),
    );
    let of_workflow = json!({"subject": "workflow", "subject_id": id, "limit_usd_micros": 1_000});
    let limited = budget(&me, of_workflow);
    let run = me.post(
        RUNS,
        &json!({"workflow_id": id, "inputs": {"question": "one two three"}}),
    );
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    let now = me.get(&path(&limited)).json;
    assert_eq!(
        now["spent_usd_micros"],
        run.json["usage"]["cost_usd_micros"]
    );
    // 100,000 tokens out would cost 60,000 micro-USD.
    let dear = ask("openai/gpt-4o-mini", json!({"max_tokens": 100_000}));
    let dear = me.workflow("dear", &dear);
    let key = json!({"subject": "user", "subject_id": me.user_id, "limit_usd_micros": 59_000});
    budget(&me, key);
    let run = me.post(
        RUNS,
        &json!({"workflow_id": dear, "inputs": {"question": "x"}}),
    );
    assert_eq!(kind(&run), "budget_exceeded", "{}", run.text);
    let unknown = me.run(&ask("openai/my-own", json!({})), json!({"question": "x"}));
    assert_eq!(kind(&unknown), "budget_unpriced", "{}", unknown.text);
}

#[test]
fn a_run_without_budgets_costs_no_further_statement() {
    let me = app().tenant();
    let free = me.run(&echo(), json!({"name": "Ada"}));
    assert!(
        free.header("server-timing").contains("\"3 statements\""),
        "{:?}",
        free.headers
    );
    budget(&me, json!({"limit_tokens": 1_000}));
    let metered = me.run(&echo(), json!({"name": "Ada"}));
    assert!(
        metered.header("server-timing").contains("\"5 statements\""),
        "{:?}",
        metered.headers
    );
}

#[test]
fn budgets_are_made_read_changed_and_removed() {
    let me = app().tenant();
    let made = budget(&me, json!({"limit_usd_micros": 5_000_000}));
    assert_eq!(made["limit_usd_micros"], 5_000_000);
    assert_eq!(
        (&made["subject_id"], &made["unpriced"]),
        (&Value::Null, &json!("refuse"))
    );
    let again = me.post(
        BUDGETS,
        &json!({"name": "b", "subject": "organization", "period": "month", "limit_tokens": 1}),
    );
    assert_problem(&again, 409, "conflict");
    let read = me.get(&path(&made));
    assert_eq!((read.header("etag"), &read.json), ("\"v1\"", &made));
    let change = json!({"limit_usd_micros": null, "limit_tokens": 7, "unpriced": "allow"});
    let changed = me.patch_with(&path(&made), &[("if-match", "\"v1\"")], &change);
    assert_status(&changed, 200);
    assert_eq!(
        (&changed.json["limit_usd_micros"], &changed.json["version"]),
        (&Value::Null, &json!(2))
    );
    assert_problem(
        &me.patch_with(&path(&made), &[("if-match", "\"v1\"")], &change),
        412,
        "stale-version",
    );
    assert_problem(
        &me.patch(&path(&made), &json!({"limit_tokens": null})),
        400,
        "invalid-input",
    );
    let listed = me.get(&format!("{BUDGETS}?subject=organization")).json;
    assert_eq!(listed["data"], json!([me.get(&path(&made)).json]));
    assert_eq!(
        me.get(&format!("{BUDGETS}?subject=key")).json["data"],
        json!([])
    );
    assert_status(&me.delete(&path(&made)), 204);
    assert_problem(&me.get(&path(&made)), 404, "not-found");
    let log = me.get(&format!(
        "/api/v1/audit-logs?resource_id={}",
        made["id"].as_str().unwrap()
    ));
    let rows = log.json["data"].as_array().unwrap().clone();
    let actions: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["budget.deleted", "budget.updated", "budget.created"]
    );
    assert_eq!(rows[1]["details"]["after"]["limit_tokens"], 7);
}

#[test]
fn a_subject_must_be_the_organisations_own() {
    let (me, other) = (app().tenant(), app().tenant());
    let theirs = other.workflow("theirs", &echo());
    let body = |subject: &str, id: Value| json!({"name": "b", "subject": subject, "subject_id": id, "period": "day", "limit_tokens": 1});
    assert_problem(
        &me.post(BUDGETS, &body("workflow", json!(theirs))),
        409,
        "conflict",
    );
    assert_problem(
        &me.post(BUDGETS, &body("user", json!(other.user_id))),
        409,
        "conflict",
    );
    for (bad, pointer) in [
        (body("user", Value::Null), "/subject_id"),
        (body("organization", json!(me.user_id)), "/subject_id"),
        (body("key", json!("x")), "/subject_id"),
        (
            json!({"name": "b", "subject": "organization", "period": "day"}),
            "/limit_usd_micros",
        ),
        (
            json!({"name": "b", "subject": "organization", "period": "day", "limit_tokens": -1}),
            "/limit_tokens",
        ),
    ] {
        let refused = me.post(BUDGETS, &bad);
        assert_problem(&refused, 400, "invalid-input");
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{bad}");
    }
}

#[test]
fn strangers_see_no_budget_and_editors_change_none() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let made = budget(&me, json!({"limit_tokens": 100}));
    assert_problem(&stranger.get(&path(&made)), 404, "not-found");
    assert_problem(
        &stranger.patch(&path(&made), &json!({"name": "mine"})),
        404,
        "not-found",
    );
    assert_problem(&stranger.delete(&path(&made)), 404, "not-found");
    assert_eq!(stranger.get(BUDGETS).json["data"], json!([]));
    let Some(org) = app().organization_of(&me) else {
        return; // somebody else's database
    };
    let editor = app().member(&org, "editor").unwrap();
    assert_eq!(editor.get(&path(&made)).json["name"], "team");
    assert_problem(
        &editor.patch(&path(&made), &json!({"limit_tokens": 1_000})),
        403,
        "forbidden",
    );
    let more = json!({"name": "b", "subject": "organization", "period": "day", "limit_tokens": 9});
    assert_problem(&editor.post(BUDGETS, &more), 403, "forbidden");
    assert_problem(&editor.delete(&path(&made)), 403, "forbidden");
    // What an editor runs is held to it all the same.
    assert_eq!(
        editor.run(&echo(), json!({"name": "Ada"})).json["status"],
        "succeeded"
    );
    assert_eq!(me.get(&path(&made)).json["spent_tokens"], 5);
}

/// Input → an HTTP request → output.
fn calls(url: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "get", "type": "http", "data": {"url": url}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.get.output.status }}"}},
    ]);
    graph(nodes, &[("in", None, "get"), ("get", None, "out")])
}

#[test]
fn a_workflow_says_which_hosts_it_reaches() {
    let me = app().tenant();
    let verdict = |definition: &Value| {
        me.post(
            "/api/v1/workflows/validate",
            &json!({"definition": definition}),
        )
        .json
    };
    let open = calls("{{ inputs.url }}");
    let said = verdict(&open);
    assert_eq!(
        (&said["valid"], &said["warnings"][0]["code"]),
        (&json!(true), &json!("egress_open"))
    );
    assert_eq!(
        said["warnings"][0]["pointer"],
        "/definition/nodes/1/data/url"
    );
    let named = calls("https://api.example.com/{{ inputs.path }}");
    assert_eq!(verdict(&named)["warnings"], json!([]));
    let id = me.workflow("named", &named);
    let stored = me.get(&format!("/api/v1/workflows/{id}")).json;
    let egress = json!({"declared": null, "hosts": ["api.example.com"], "open": []});
    assert_eq!(stored["egress"], egress);
    let mut listed = named;
    listed["settings"] = json!({"egress": ["other.example"]});
    let said = verdict(&listed);
    assert_eq!(said["errors"][0]["code"], "egress_undeclared", "{said}");
    assert_eq!(said["errors"][0]["pointer"], "/definition/nodes/1/data/url");
}

#[test]
fn a_run_calls_what_its_author_has_listed_and_nothing_else() {
    let me = app().tenant();
    let host = app().llm.url.trim_start_matches("http://").to_owned();
    let mut definition = calls("{{ inputs.url }}");
    definition["settings"] = json!({"egress": [host]});
    let page = format!("{}/web/page", app().llm.url);
    let ok = me.run(&definition, json!({"url": page}));
    assert_eq!(ok.json["outputs"]["out"], 200, "{}", ok.text);
    let away = format!("{}/web/away?to=https://example.com/", app().llm.url);
    for url in ["https://example.com/", &away] {
        let refused = me.run(&definition, json!({"url": url}));
        assert_eq!(kind(&refused), "egress_refused", "{}", refused.text);
    }
}
