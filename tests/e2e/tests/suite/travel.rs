//! Time travel: replays without anything outside, forks with edits, and the comparison of runs.

use super::app;
use super::deployments::{deploy, invoke, said};
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use llm_standin::StandIn;
use serde_json::{Value, json};

const RUNS: &str = "/api/v1/workflows/execute";

/// Input → two models, one after the other → output.
fn two_questions(llm: &StandIn) -> Value {
    let ask = |prompt: &str| {
        json!({"model": "openai/gpt-4o-mini", "prompt": prompt, "base_url": llm.openai(),
            "api_key": "{{ secrets.TRAVEL_KEY }}"})
    };
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "now", "type": "date", "data": {"operation": "now"}},
        {"id": "one", "type": "llm", "data": ask("first {{ inputs | tojson }}")},
        {"id": "two", "type": "llm", "data": ask("second, after {{ nodes.one.output.text }}")},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.two.output.text }}"}},
    ]);
    graph(
        nodes,
        &[
            ("in", None, "now"),
            ("now", None, "one"),
            ("one", None, "two"),
            ("two", None, "out"),
        ],
    )
}

fn with_key(me: &Tenant) {
    let secret = json!({"name": "TRAVEL_KEY", "value": "sk-travel-s3cr3t"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
}

fn path_of(run: &Reply) -> String {
    assert_status(run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    format!("{RUNS}/{}", run.json["execution_id"].as_str().unwrap())
}

fn prompts(llm: &StandIn) -> Vec<String> {
    let requests = llm.requests().into_iter();
    let prompts = requests.map(|request| request.body["messages"][0]["content"].to_string());
    prompts.collect()
}

#[test]
fn a_replay_is_the_run_byte_for_byte_with_the_provider_gone() {
    let me = app().tenant();
    with_key(&me);
    let llm = StandIn::start().unwrap();
    // Members in an order that a store would not keep, and a number that it would rewrite.
    let inputs = json!({"zebra": 1e16, "a": {"long name": 1.0, "b": [0.30000000000000004]}});
    let run = me.run(&two_questions(&llm), inputs);
    let path = path_of(&run);
    assert_eq!(prompts(&llm).len(), 2);
    drop(llm);
    let secret = me.get("/api/v1/secrets").json["data"][0]["id"].clone();
    let gone = format!("/api/v1/secrets/{}", secret.as_str().unwrap());
    assert_status(&me.delete(&gone), 204);
    let replay = me.post(&format!("{path}/replay?events=true"), &json!({}));
    assert_status(&replay, 200);
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
    assert_eq!(replay.json["divergence"], Value::Null);
    assert_eq!(replay.json["outputs"], run.json["outputs"]);
    assert_eq!(replay.json["status"], "succeeded");
    assert_eq!(replay.json["attempts"]["calls"], 2);
    assert!(!replay.text.contains("sk-travel-s3cr3t"));
    // The log, page by page, is the replayed one.
    let mut logged = Vec::new();
    let mut next = String::new();
    loop {
        let page = me.get(&format!("{path}/log?limit=7{next}"));
        assert_status(&page, 200);
        logged.extend(page.json["data"].as_array().unwrap().clone());
        match page.json["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let replayed = replay.json["events"].as_array().unwrap();
    assert_eq!(json!(logged).to_string(), json!(replayed).to_string());
    assert_eq!(logged[0]["event"], "run_started");
    assert_eq!(logged.last().unwrap()["event"], "run_finished");
}

#[test]
fn a_fork_has_a_budget_its_own_or_that_of_the_run() {
    let me = app().tenant();
    with_key(&me);
    let llm = StandIn::start().unwrap();
    let body = json!({"definition": two_questions(&llm), "inputs": {"name": "Ada"}, "budget": {"tokens": 10_000_000}});
    let run = me.post(RUNS, &body);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    let fork = |path: &str, budget: Value| {
        let mut body = json!({"from": "one"});
        if budget != Value::Null {
            body["budget"] = budget;
        }
        me.post(&format!("{path}/fork"), &body)
    };
    let path = path_of(&run);
    let poor = fork(&path, json!({"tokens": 1}));
    assert_eq!(
        poor.json["error"]["kind"], "budget_exceeded",
        "{}",
        poor.text
    );
    // What is forked from that has its budget, unless it asks for another.
    let poor = poor.json["execution_id"].as_str().unwrap();
    let path = format!("{RUNS}/{poor}");
    let heir = fork(&path, Value::Null);
    assert_eq!(
        heir.json["error"]["kind"], "budget_exceeded",
        "{}",
        heir.text
    );
    let rich = fork(&path, json!({"tokens": 10_000_000}));
    assert_eq!(rich.json["status"], "succeeded", "{}", rich.text);
    assert_problem(&fork(&path, json!({"tokens": 0})), 400, "invalid-input");
}

#[test]
fn a_fork_with_an_edit_calls_only_what_comes_after() {
    let me = app().tenant();
    with_key(&me);
    let llm = StandIn::start().unwrap();
    let workflow = me.workflow("forked", &two_questions(&llm));
    let run = me.post(
        RUNS,
        &json!({"workflow_id": workflow, "inputs": {"name": "Ada"}}),
    );
    let path = path_of(&run);
    let body = json!({"from": "two", "edits": {"node_data": {"two": {"prompt": "edited {{ nodes.one.output.text }}"}}}});
    let once = [("idempotency-key", "fork")];
    let fork = me.post_with(&format!("{path}/fork"), &once, &body);
    let forked = path_of(&fork);
    assert_ne!(forked, path);
    let asked = prompts(&llm);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[2].contains("edited"), "{asked:?}");
    let again = me.post_with(&format!("{path}/fork"), &once, &body);
    assert_eq!(again.json["execution_id"], fork.json["execution_id"]);
    assert_eq!(prompts(&llm).len(), 3);
    // It says where it comes from, is listed so, and is a run like any other.
    let read = me.get(&forked).json;
    assert_eq!(
        read["forked_from"],
        json!({"execution_id": run.json["execution_id"], "node": "two"})
    );
    assert_eq!(
        read["workflow_id"],
        Value::Null,
        "what is edited is not what is stored"
    );
    let list = me.get(&format!(
        "{RUNS}?forked_from={}",
        path.rsplit('/').next().unwrap()
    ));
    assert_eq!(
        list.json["data"][0]["execution_id"],
        fork.json["execution_id"]
    );
    assert_eq!(list.json["data"][0]["forked_from"]["node"], "two");
    assert_eq!(
        fork.json["usage"]["prompt_tokens"],
        read["usage"]["prompt_tokens"]
    );
    drop(llm);
    let replay = me.post(&format!("{forked}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
    difference(&me, &path, &forked);
}

/// What the comparison of the two runs says; the fork alone is compared with where it comes from.
fn difference(me: &Tenant, path: &str, forked: &str) {
    let diff = me.get(&format!("{forked}/diff"));
    assert_status(&diff, 200);
    let sides = (
        &diff.json["a"]["execution_id"],
        &diff.json["b"]["execution_id"],
    );
    assert!(forked.ends_with(sides.0.as_str().unwrap()), "{}", diff.text);
    assert!(path.ends_with(sides.1.as_str().unwrap()), "{}", diff.text);
    assert_eq!(diff.json["summary"]["only_in_a"], 0);
    let step = |node: &str| {
        let data = diff.json["data"].as_array().unwrap();
        data.iter().find(|step| step["node"] == node).unwrap()
    };
    assert_eq!(step("now")["same"], true, "a taken result is the same");
    assert_eq!(step("one")["same"], true);
    assert_eq!(step("two")["same"], false);
    assert_eq!(step("two")["input"]["changes"][0]["op"], "replace");
    assert_eq!(step("one")["a"]["shortcut"], "reused");
    assert_eq!(step("one")["a"]["prompt_tokens"], 0);
    assert!(step("one")["b"]["prompt_tokens"].as_i64().unwrap() > 0);
    let changes = &diff.json["definition"]["nodes"]["changed"];
    assert_eq!(changes[0]["id"], "two");
    // Page by page, of the steps that differ.
    let first = me.get(&format!("{forked}/diff?changed=true&limit=1")).json;
    assert_eq!(first["data"].as_array().unwrap().len(), 1);
    let id = path.rsplit('/').next().unwrap();
    let itself = me.get(&format!("{path}/diff?with={id}&changed=true")).json;
    assert_eq!(
        (&itself["data"], &itself["next_cursor"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(itself["definition"], Value::Null);
    assert_problem(&me.get(&format!("{path}/diff")), 400, "invalid-input");
    let nobody = me.get(&format!(
        "{path}/diff?with=01900000-0000-7000-8000-000000000000"
    ));
    assert_problem(&nobody, 404, "not-found");
}

#[test]
fn what_cannot_be_forked_is_refused_with_its_place() {
    let me = app().tenant();
    let run = me.run(
        &super::deployments::saying("Hi {{ inputs.name }}"),
        json!({"name": "x"}),
    );
    let path = path_of(&run);
    let fork = |body: Value| me.post(&format!("{path}/fork"), &body);
    let unknown = fork(json!({"from": "nobody"}));
    assert_problem(&unknown, 422, "does-not-fit");
    assert_eq!(unknown.json["errors"][0]["pointer"], "/from");
    let outputs = fork(json!({"from": "say", "outputs": {"nobody": 1}}));
    assert_eq!(outputs.json["errors"][0]["pointer"], "/outputs/nobody");
    let both = fork(json!({"from": "say", "edits": {"definition": {}, "node_data": {}}}));
    assert_eq!(both.json["errors"][0]["pointer"], "/edits", "{}", both.text);
    let invalid =
        fork(json!({"from": "say", "edits": {"node_data": {"say": {"template": "{{ nope }}"}}}}));
    assert_problem(&invalid, 400, "invalid-input");
    assert_eq!(
        invalid.json["errors"][0]["pointer"],
        "/edits/node_data/say/template"
    );
    let empty = fork(json!({"from": "say", "edits": {"definition": {"nodes": [], "edges": []}}}));
    assert_eq!(
        empty.json["errors"][0]["pointer"],
        "/edits/definition/nodes"
    );
    // Outputs that are given stand for the node's own, and what follows sees them.
    let given = fork(json!({"from": "out", "outputs": {"say": {"text": "given"}}}));
    assert_eq!(said(&given), "given");
    let id = path.rsplit('/').next().unwrap();
    let Some(()) = app().owner(&format!(
        "UPDATE public.execution_queue SET status = 'running', finished_at = NULL,
           lease_until = now() + interval '1 hour' WHERE id = '{id}'"
    )) else {
        return; // somebody else's database
    };
    assert_problem(&fork(json!({"from": "say"})), 409, "conflict");
    assert_problem(
        &me.post(&format!("{path}/replay"), &json!({})),
        409,
        "conflict",
    );
}

#[test]
fn what_is_not_recorded_or_kept_no_longer_says_so() {
    let me = app().tenant();
    let mut silent = super::deployments::saying("Hi");
    silent["settings"] = json!({"record": "none"});
    let path = path_of(&me.run(&silent, json!({})));
    assert_problem(
        &me.post(&format!("{path}/replay"), &json!({})),
        409,
        "conflict",
    );
    assert_problem(&me.get(&format!("{path}/log")), 409, "conflict");
    silent["settings"] = json!({"record": "sometimes"});
    assert_problem(&me.run(&silent, json!({})), 400, "invalid-input");

    let retention = format!("{RUNS}/retention");
    let before = me.get(&retention).json;
    assert_eq!(before, json!({"days": null, "in_force_days": 30}));
    let refused = me.put_with(&retention, &[], &json!({"days": 0}));
    assert_problem(&refused, 400, "invalid-input");
    let set = me.put_with(&retention, &[], &json!({"days": 2}));
    assert_status(&set, 200);
    assert_eq!(
        me.get(&retention).json,
        json!({"days": 2, "in_force_days": 2})
    );
    let path = path_of(&me.run(&super::deployments::saying("Hi"), json!({})));
    let id = path.rsplit('/').next().unwrap();
    let Some(()) = app().owner(&format!(
        "UPDATE public.execution_queue SET finished_at = now() - interval '4 days' WHERE id = '{id}';
         UPDATE public.run_log_segments SET at = now() - interval '4 days' WHERE execution_id = '{id}';
         SELECT nodeai.drop_run_logs((now() AT TIME ZONE 'UTC')::date)"
    )) else {
        return; // somebody else's database
    };
    for reply in [
        me.post(&format!("{path}/replay"), &json!({})),
        me.post(&format!("{path}/fork"), &json!({"from": "say"})),
        me.get(&format!("{path}/log")),
    ] {
        assert_problem(&reply, 410, "recording-gone");
    }
    assert_eq!(
        me.get(&path).json["outputs"]["out"],
        "Hi",
        "the run itself stays"
    );
}

#[test]
fn a_fork_of_a_deployed_run_needs_the_right_to_run_deployments() {
    let me = app().tenant();
    let mut definition =
        super::deployments::saying("{{ vars.greeting }} {{ inputs.name | default('you') }}");
    definition["vars"] = json!({"greeting": "Hi"});
    let workflow = me.workflow("deployed", &definition);
    deploy(
        &me,
        &workflow,
        "travel",
        json!({"variables": {"greeting": "Moin"}}),
    );
    let run = invoke(&me, "travel");
    assert_eq!(said(&run), "Moin you");
    let path = path_of(&run);
    let replay = me.post(&format!("{path}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
    let key = |scopes: Value| {
        let made = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}));
        assert_status(&made, 201);
        app().with_credential(made.json["key"].as_str().unwrap())
    };
    let fork = json!({"from": "say", "inputs": {"name": "Ada"}});
    let without = key(json!(["workflows:run", "workflows:read"]));
    assert_problem(
        &without.post(&format!("{path}/fork"), &fork),
        403,
        "forbidden",
    );
    let with = key(json!(["workflows:run", "deployments:run"]));
    let forked = with.post(&format!("{path}/fork"), &fork);
    assert_eq!(said(&forked), "Moin Ada");
    let read = me.get(&path_of(&forked)).json;
    assert_eq!(read["environment"], "prod");
    assert_eq!(read["variables"], json!({"greeting": "Moin"}));
    assert_eq!(read["workflow_id"], workflow);
}
