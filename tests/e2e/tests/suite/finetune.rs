//! Fine-tuning: what is checked before anything leaves, jobs at a provider that is busy, broken or slow, what comes of them.

use super::{app, runs::ask};
use e2e::client::events;
use e2e::{Tenant, assert_problem, assert_status, packages};
use llm_standin::StandIn;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/finetune";

/// So many examples as JSON Lines.
fn examples(n: usize) -> String {
    let line = |i| {
        json!({"messages": [{"role": "user", "content": format!("question {i}")},
            {"role": "assistant", "content": format!("answer {i} of ada@example.org")}]})
    };
    (0..n).map(|i| format!("{}\n", line(i))).collect()
}

/// A job at the stand-in, with a key for it.
pub fn job(me: &Tenant, model: &str) -> Value {
    let name = format!("KEY_{}", uuid::Uuid::now_v7().simple());
    let host = app().llm.url.trim_start_matches("http://");
    let secret = json!({"name": name, "value": "sk-test", "hosts": [host]});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    json!({"provider": "openai", "base_url": app().llm.openai(), "key_secret": name, "base_model": model,
        "dataset": {"jsonl": examples(20), "validation": 0.2, "redact": true}, "settings": {"epochs": 2, "suffix": "mine"}})
}

fn place(job: &Value) -> String {
    format!("{PATH}/{}", job["id"].as_str().unwrap())
}

/// The job once its provider has it so.
fn until(me: &Tenant, path: &str, status: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let now = me.get(path);
        assert_status(&now, 200);
        if now.json["status"] == status {
            return now.json;
        }
        assert!(Instant::now() < deadline, "{}", now.text);
    }
}

#[test]
fn a_dataset_is_checked_line_by_line_and_costed() {
    let me = app().tenant();
    let check = |body: Value| me.post(&format!("{PATH}/check"), &body);
    let good = check(
        json!({"dataset": {"jsonl": examples(20), "validation": 0.1, "redact": true}, "base_model": "gpt-4o-mini", "epochs": 2}),
    );
    assert_status(&good, 200);
    assert_eq!(good.json["ok"], true, "{}", good.text);
    assert_eq!(
        (&good.json["examples"], &good.json["validation_examples"]),
        (&json!(20), &json!(2))
    );
    assert_eq!(good.json["redacted"], 20);
    assert!(good.json["estimated_cost_usd_micros"].as_i64().unwrap() > 0);
    let lines = format!("{}nonsense\n{}", examples(2), examples(1));
    let bad = check(json!({"dataset": {"jsonl": lines}}));
    assert_eq!(bad.json["ok"], false);
    assert_eq!(bad.json["errors"][0]["line"], 3);
    assert_eq!(
        (
            &bad.json["warnings"][0]["line"],
            &bad.json["warnings"][0]["code"]
        ),
        (&json!(4), &json!("duplicate"))
    );
    assert!(bad.json["estimated_cost_usd_micros"].is_null());
    for (wrong, pointer) in [
        (json!({"dataset": {}}), "/dataset"),
        (
            json!({"dataset": {"jsonl": "", "validation": 0.9}}),
            "/dataset/validation",
        ),
        (json!({"dataset": {"jsonl": ""}, "epochs": 99}), "/epochs"),
    ] {
        let reply = check(wrong);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
    let mut job = job(&me, "stand-in");
    job["dataset"] = json!({"jsonl": lines});
    let refused = me.post(PATH, &job);
    assert_problem(&refused, 400, "invalid-input");
    assert!(refused.text.contains("line 3"), "{}", refused.text);
    assert_eq!(me.get(PATH).json["data"], json!([]), "nothing was written");
}

#[test]
fn a_file_and_traced_calls_are_datasets_too() {
    let me = app().tenant();
    let stored = me.send(
        Method::POST,
        "/api/v1/files?name=train.jsonl",
        &[],
        examples(12).into_bytes(),
    );
    assert_status(&stored, 201);
    let by_file = json!({"dataset": {"file_id": stored.json["id"]}});
    let reply = me.post(&format!("{PATH}/check"), &by_file);
    assert_status(&reply, 200);
    assert_eq!(reply.json["examples"], 12, "{}", reply.text);
    let stranger = app().tenant();
    let theirs = stranger.post(&format!("{PATH}/check"), &by_file);
    assert_problem(&theirs, 404, "not-found");
    let run = me.run(&ask("stand-in", json!({})), json!({"question": "Who?"}));
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    let traced = me.post(
        &format!("{PATH}/check"),
        &json!({"dataset": {"traces": {"limit": 10}}}),
    );
    assert_status(&traced, 200);
    assert_eq!(
        (&traced.json["examples"], &traced.json["bad_lines"]),
        (&json!(1), &json!(0)),
        "{}",
        traced.text
    );
    let scored = json!({"dataset": {"traces": {"score": {"name": "good", "min": 1}}}});
    let none = me.post(&format!("{PATH}/check"), &scored);
    assert_eq!(none.json["examples"], 0);
}

#[test]
fn a_job_is_uploaded_trained_and_registered() {
    let me = app().tenant();
    let body = job(&me, "stand-in");
    let made = me.post_with(PATH, &[("idempotency-key", "once")], &body);
    assert_status(&made, 202);
    let path = place(&made.json);
    assert_eq!(made.header("location"), path);
    assert_eq!(
        (
            &made.json["status"],
            &made.json["examples"],
            &made.json["validation_examples"]
        ),
        (&json!("checking"), &json!(16), &json!(4))
    );
    let again = me.post_with(PATH, &[("idempotency-key", "once")], &body);
    assert_eq!(again.json["id"], made.json["id"], "{}", again.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = me.post_with(PATH, &[("idempotency-key", "once")], &job(&me, "stand-in"));
    assert_problem(&other, 422, "idempotency-key-reused");
    assert_eq!(me.get(PATH).json["data"].as_array().unwrap().len(), 1);
    // What left was redacted.
    let file = made.json["training_file"].as_str().unwrap();
    let uploaded = reqwest::blocking::get(format!("{}/files/{file}/content", app().llm.openai()));
    let uploaded = uploaded.unwrap().text().unwrap();
    assert_eq!(uploaded.lines().count(), 16);
    assert!(
        uploaded.contains("[email]") && !uploaded.contains("example.org"),
        "{uploaded}"
    );
    let early = me.post(&format!("{path}/register"), &json!({}));
    assert_problem(&early, 409, "conflict");
    assert_problem(&me.delete(&path), 409, "conflict");
    let done = until(&me, &path, "succeeded");
    let model = done["result_model"].as_str().unwrap();
    assert_eq!(done["trained_tokens"], 1_000);
    assert!(done["finished_at"].is_string());
    let checkpoints = me.get(&format!("{path}/checkpoints"));
    assert_eq!(
        checkpoints.json["data"][0]["step"], 10,
        "{}",
        checkpoints.text
    );
    let entered = me.post(&format!("{path}/register"), &json!({"name": "Mine"}));
    assert_status(&entered, 201);
    assert_eq!(entered.json["model"], format!("openai/{model}"));
    let entry = me.get(entered.header("location"));
    assert_eq!(entry.json["base_url"], app().llm.openai(), "{}", entry.text);
    assert_problem(
        &me.post(&format!("{path}/register"), &json!({})),
        409,
        "conflict",
    );
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
}

#[test]
fn events_are_told_once_and_a_cut_stream_resumes() {
    let me = app().tenant();
    let made = me.post(PATH, &job(&me, "stand-in"));
    assert_status(&made, 202);
    let path = format!("{}/events", place(&made.json));
    let all = events(&me.get(&path).text);
    let told: Vec<&str> = all
        .iter()
        .filter(|(name, _)| name == "event")
        .filter_map(|(_, data)| data["message"].as_str())
        .collect();
    assert_eq!(
        told,
        [
            "Created",
            "Step 1",
            "Step 2",
            "Step 3",
            "The job is succeeded"
        ]
    );
    let (name, end) = all.last().unwrap();
    assert_eq!(
        (name.as_str(), &end["status"]),
        ("finished", &json!("succeeded"))
    );
    let second = all
        .iter()
        .filter(|(name, _)| name == "event")
        .nth(1)
        .unwrap();
    let behind = [("last-event-id", second.1["id"].as_str().unwrap())];
    let rest = me.send(Method::GET, &path, &behind, Vec::new());
    let rest = events(&rest.text);
    let told: Vec<&str> = rest
        .iter()
        .filter(|(name, _)| name == "event")
        .filter_map(|(_, data)| data["message"].as_str())
        .collect();
    assert_eq!(told, ["Step 2", "Step 3", "The job is succeeded"]);
}

#[test]
fn a_job_rests_goes_on_and_is_cancelled() {
    let me = app().tenant();
    let made = me.post(PATH, &job(&me, "stand-in-slow"));
    let path = place(&made.json);
    until(&me, &path, "running");
    let step = |what: &str| me.post(&format!("{path}/{what}"), &json!({}));
    assert_eq!(step("pause").json["status"], "paused");
    assert_eq!(me.get(&path).json["status"], "paused");
    assert_eq!(step("resume").json["status"], "running");
    assert_eq!(step("cancel").json["status"], "cancelled");
    assert_problem(&step("resume"), 409, "conflict");
    assert!(me.get(&path).json["finished_at"].is_string());
}

#[test]
fn a_provider_that_is_busy_broken_or_away_is_told_apart() {
    let me = app().tenant();
    let busy = me.post(PATH, &job(&me, "stand-in-429"));
    assert_problem(&busy, 503, "unavailable");
    assert_eq!(busy.header("retry-after"), "7");
    let broken = me.post(PATH, &job(&me, "stand-in-500"));
    assert_problem(&broken, 503, "unavailable");
    let rows = me.get(PATH).json;
    for row in rows["data"].as_array().unwrap() {
        assert_eq!(
            (&row["status"], &row["error"]["kind"]),
            (&json!("failed"), &json!("unavailable")),
            "{rows}"
        );
    }
    assert_status(&me.delete(&place(&rows["data"][0])), 204);
    // It trains, and a server before it gave up: the job is known by its file.
    let taken = me.post(PATH, &job(&me, "stand-in-taken"));
    assert_status(&taken, 202);
    assert!(taken.json["provider_job_id"].is_string(), "{}", taken.text);
    until(&me, &place(&taken.json), "succeeded");
    let mut nobody = job(&me, "stand-in");
    nobody["key_secret"] = json!("NOT_THERE");
    assert_problem(&me.post(PATH, &nobody), 409, "conflict");
    let mut private = job(&me, "stand-in");
    private["base_url"] = json!("http://169.254.169.254/v1");
    let refused = me.post(PATH, &private);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"][0]["pointer"], "/base_url");
    let mut dear = job(&me, "gpt-4o");
    dear["max_usd"] = json!(0.000_001);
    let refused = me.post(PATH, &dear);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"][0]["pointer"], "/max_usd");
}

#[test]
fn fireworks_makes_resources_of_datasets_and_jobs() {
    let me = app().tenant();
    let at_fireworks = |model: &str| {
        let mut body = job(&me, model);
        body["provider"] = json!("fireworks");
        body["base_url"] = json!(format!("{}/v1/accounts/mine", app().llm.url));
        body
    };
    let made = me.post(PATH, &at_fireworks("accounts/fireworks/models/stand-in"));
    assert_status(&made, 202);
    let path = place(&made.json);
    let done = until(&me, &path, "succeeded");
    assert_eq!(done["result_model"], "accounts/mine/models/mine", "{done}");
    let entered = me.post(&format!("{path}/register"), &json!({}));
    assert_eq!(entered.json["model"], "fireworks/accounts/mine/models/mine");
    // Models do not answer where they are trained.
    let entry = me.get(entered.header("location")).json;
    assert_eq!(entry["base_url"], Value::Null, "{entry}");
    for cannot in ["checkpoints", "pause"] {
        let reply = match cannot {
            "pause" => me.post(&format!("{path}/{cannot}"), &json!({})),
            _ => me.get(&format!("{path}/{cannot}")),
        };
        assert_problem(&reply, 409, "conflict");
    }
    let slow = me.post(PATH, &at_fireworks("accounts/fireworks/models/slow"));
    assert_status(&slow, 202);
    let path = place(&slow.json);
    until(&me, &path, "running");
    assert_status(&me.post(&format!("{path}/cancel"), &json!({})), 200);
    until(&me, &path, "cancelled");
}

/// A workflow that asks a model at the stand-in, deployed.
fn deployed(me: &Tenant, model: &str) -> (String, String) {
    let nodes = json!([{"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "llm", "data": {"model": model, "prompt": "{{ inputs.question }}"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output.text }}"}}]);
    let definition = super::runs::graph(nodes, &[("in", None, "ask"), ("ask", None, "out")]);
    let workflow = me.workflow("asks", &definition);
    let slug = format!("d-{}", uuid::Uuid::now_v7().simple());
    let body = json!({"slug": slug, "workflow_id": workflow, "environment": "prod"});
    let made = me.post("/api/v1/deployments", &body);
    assert_status(&made, 201);
    (workflow, made.json["id"].as_str().unwrap().to_owned())
}

#[test]
fn a_model_is_measured_beside_its_base_and_given_to_some() {
    let me = app().tenant();
    let made = me.post(PATH, &job(&me, "stand-in"));
    let path = place(&made.json);
    let items =
        (0..4).map(|i| json!({"question": format!("{i}?"), "expected": format!("You said: {i}?")}));
    let (dataset, _) = super::evaluation_jobs::dataset(&me, items.collect());
    let ask = json!({"dataset_id": dataset, "metrics": ["exact_match", "latency_ms"], "seed": 3});
    let evaluate = format!("{path}/evaluate");
    assert_problem(&me.post(&evaluate, &ask), 409, "conflict");
    let model = until(&me, &path, "succeeded")["result_model"].clone();
    let both = me.post(&evaluate, &ask);
    assert_status(&both, 202);
    let end = |which: &str| {
        let id = both.json[which].as_str().unwrap();
        super::evaluation_jobs::ended_at(&me, &format!("/api/v1/rag-evaluation/evaluations/{id}"))
    };
    for which in ["base", "tuned"] {
        let end = end(which);
        assert_eq!(end["status"], "succeeded", "{end}");
        assert_eq!(end["summary"][0]["mean"], 1.0, "{end}");
    }
    let tuned = end("tuned")["target"]["definition"]["nodes"][1]["data"].clone();
    assert_eq!(
        tuned["model"],
        format!("openai/{}", model.as_str().unwrap()),
        "{tuned}"
    );
    let compare = json!({"first": both.json["base"], "second": both.json["tuned"]});
    let compared = me.post("/api/v1/rag-evaluation/evaluations/compare", &compare);
    assert_eq!(
        compared.json["data"][0]["verdict"], "no significant difference",
        "{}",
        compared.text
    );
    let wrong = me.post(
        &evaluate,
        &json!({"dataset_id": dataset, "metrics": ["faithfulness"]}),
    );
    assert_problem(&wrong, 400, "invalid-input");
    assert_eq!(wrong.json["errors"][0]["pointer"], "/judge");
    given_to_some(&me, &path, tuned);
}

fn given_to_some(me: &Tenant, path: &str, tuned: Value) {
    let canary = format!("{path}/canary");
    let (workflow, deployment) = deployed(me, "openai/stand-in");
    let stranger = app().tenant();
    let body = json!({"deployment_id": deployment, "percent": 10});
    assert_problem(&stranger.post(&canary, &body), 404, "not-found");
    let given = me.post(&canary, &body);
    assert_status(&given, 200);
    assert_eq!(
        (&given.json["canary_version"], &given.json["canary_percent"]),
        (&json!(2), &json!(10))
    );
    let now = me.get(&format!("/api/v1/deployments/{deployment}")).json;
    assert_eq!(
        (&now["workflow_version"], &now["canary_version"]),
        (&json!(1), &json!(2)),
        "{now}"
    );
    let node =
        me.get(&format!("/api/v1/workflows/{workflow}")).json["definition"]["nodes"][1]["data"]
            .clone();
    for member in ["model", "base_url", "api_key"] {
        assert_eq!(node[member], tuned[member], "{node}");
    }
    // The draft is not what everybody gets any more.
    assert_problem(&me.post(&canary, &body), 409, "conflict");
    let (_, other) = deployed(me, "openai/something-else");
    let nobody = me.post(&canary, &json!({"deployment_id": other, "percent": 10}));
    assert_problem(&nobody, 409, "conflict");
    let wrong = me.post(&canary, &json!({"deployment_id": other, "percent": 0}));
    assert_problem(&wrong, 400, "invalid-input");
}

/// Otherwise the tests above would show that our reader fits our stand-in.
#[test]
fn the_official_client_reads_the_stand_ins_answers() {
    let provider = StandIn::start().expect("the stand-in starts");
    let script = e2e::process::root().join("tests/e2e/sdk/finetune.py");
    let mut command = Command::new(packages::pip("sdk"));
    let output = command.arg(script).arg(&provider.url).output();
    let output = output.expect("the script runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
