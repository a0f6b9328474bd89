//! The playground: several models side by side, what it costs, nothing kept; prompt templates with versions and labels.

use super::app;
use e2e::client::events;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/prompt-playground";

fn prompt(content: &str) -> Value {
    json!({"messages": [{"role": "system", "content": "Be {{ inputs.how }}."}, {"role": "user", "content": content}]})
}

fn standin(model: &str) -> Value {
    json!({"model": model, "base_url": app().llm.openai(), "key_secret": "STANDIN_KEY"})
}

fn with_key() -> Tenant {
    let me = app().tenant();
    let secret = json!({"name": "STANDIN_KEY", "value": "sk-test"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    me
}

#[test]
fn several_models_answer_side_by_side_and_one_that_fails_leaves_the_others_alone() {
    let me = with_key();
    let body = json!({"prompt": prompt("Say {{ inputs.what }}"), "rows": [{"how": "kind", "what": "hello"}],
        "models": [{"model": "builtin/echo"}, standin("openai/gpt-4o-mini"), {"model": "openai/gpt-5-mini"}]});
    let reply = me.post(&format!("{PATH}/run"), &body);
    assert_status(&reply, 200);
    let events = events(&reply.text);
    let of = |name: &str, node: &str| {
        let found = events
            .iter()
            .filter(|(event, data)| event == name && data["node_id"] == node);
        found.map(|(_, data)| data.clone()).collect::<Vec<Value>>()
    };
    let text: String = of("token", "r0m0")
        .iter()
        .map(|token| token["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "echo: Say hello");
    assert!(
        !of("token", "r0m1").is_empty(),
        "the second model streams, too"
    );
    assert_eq!(
        of("node_failed", "r0m2")[0]["handled"],
        true,
        "it has no key"
    );
    let (last, result) = events.last().unwrap();
    assert_eq!(
        (last.as_str(), &result["status"]),
        ("run_finished", &json!("succeeded"))
    );
    assert_eq!(result["outputs"]["out"]["r0m0"]["text"], "echo: Say hello");
    assert!(
        result["outputs"]["out"]["r0m2"]["error"]["kind"].is_string(),
        "{result}"
    );
    assert!(result["usage"]["prompt_tokens"].as_i64().unwrap() > 0);
}

#[test]
fn a_provider_that_is_busy_broken_or_cut_off_is_told_in_its_place() {
    let me = with_key();
    let models = [
        "stand-in-429",
        "stand-in-500",
        "stand-in-drop",
        "stand-in-malformed",
        "stand-in",
    ];
    let models: Vec<Value> = models
        .iter()
        .map(|model| standin(&format!("openai/{model}")))
        .collect();
    let prompt = json!({"messages": [{"role": "user", "content": "Say hello"}],
        "tools": [{"name": "look_up", "description": "Looks something up", "parameters": {"type": "object"}}]});
    let body = json!({"prompt": prompt, "models": models});
    let reply = me.post(&format!("{PATH}/run"), &body);
    assert_status(&reply, 200);
    let events = events(&reply.text);
    let (last, result) = events.last().unwrap();
    assert_eq!(
        (last.as_str(), &result["status"]),
        ("run_finished", &json!("succeeded"))
    );
    let out = &result["outputs"]["out"];
    let kind = |at: usize| {
        out[format!("r0m{at}")]["error"]["kind"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(kind(0), "rate_limited", "{result}");
    for broken in 1..4 {
        assert!(!kind(broken).is_empty(), "{result}");
    }
    assert!(out["r0m4"]["text"].is_string(), "{result}");
    let sent = app().llm.requests().into_iter().find(|request| {
        request.path.ends_with("/chat/completions") && request.body["model"] == "stand-in-500"
    });
    assert_eq!(
        sent.unwrap().body["tools"][0]["function"]["name"],
        "look_up"
    );
}

#[test]
fn nothing_is_kept_unless_asked_for() {
    let me = app().tenant();
    let mut body = json!({"prompt": prompt("the {{ inputs.what }}"), "rows": [{"how": "s3cr3t", "what": "s3cr3t"}],
        "models": [{"model": "builtin/echo"}], "stream": false});
    body["prompt"]["settings"] = json!({"max_tokens": 64});
    body["prompt"]["response_format"] = json!("text");
    let run = me.post(&format!("{PATH}/run"), &body);
    assert_status(&run, 200);
    assert!(run.text.contains("echo: the s3cr3t"));
    let kept = |run: &Value| {
        let execution = me.get(&format!(
            "/api/v1/workflows/execute/{}",
            run["execution_id"].as_str().unwrap()
        ));
        let trace = me.get(&format!(
            "/api/v1/traces/{}",
            run["trace_id"].as_str().unwrap()
        ));
        assert_status(&execution, 200);
        assert_status(&trace, 200);
        (execution.text + &trace.text, trace.json)
    };
    let (told, trace) = kept(&run.json);
    assert!(!told.contains("s3cr3t"), "{told}");
    assert!(
        trace["trace"]["prompt_tokens"].as_i64().unwrap() > 0,
        "what was used is kept"
    );
    body["keep"] = json!(true);
    let (told, trace) = kept(&me.post(&format!("{PATH}/run"), &body).json);
    assert!(told.contains("s3cr3t"));
    // What is kept can be opened again.
    let spans = trace["spans"][0]["children"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let span = spans
        .iter()
        .find(|span| span["node_type"] == "llm")
        .unwrap();
    let path = format!(
        "{PATH}/spans/{}/{}",
        trace["trace"]["trace_id"].as_str().unwrap(),
        span["span_id"].as_str().unwrap()
    );
    let draft = me.get(&path);
    assert_status(&draft, 200);
    let request = &draft.json["request"];
    assert_eq!(request["models"][0]["model"], "builtin/echo");
    assert_eq!(request["prompt"]["messages"][1]["content"], "the s3cr3t");
    assert_eq!(request["prompt"]["settings"]["max_tokens"], 64);
    assert_eq!(request["prompt"]["response_format"], Value::Null);
    let mut again = request.clone();
    again["stream"] = json!(false);
    assert!(
        me.post(&format!("{PATH}/run"), &again)
            .text
            .contains("echo: the s3cr3t")
    );
    assert_problem(&app().tenant().get(&path), 404, "not-found");
}

#[test]
fn a_trial_is_estimated_and_what_is_wrong_is_said() {
    let me = app().tenant();
    let mut template = prompt(&"x".repeat(4_000));
    template["settings"] = json!({"max_tokens": 100});
    let body = json!({"prompt": template, "models": [{"model": "openai/gpt-4o-mini"}, {"model": "acme/x"}],
        "rows": [{"how": "a"}]});
    let reply = me.post(&format!("{PATH}/estimate"), &body);
    assert_status(&reply, 200);
    let rows = reply.json["data"].as_array().unwrap();
    assert!(
        rows[0]["prompt_usd"]
            .as_str()
            .unwrap()
            .starts_with("0.00015"),
        "{}",
        reply.text
    );
    assert_eq!(rows[1]["prompt_usd"], Value::Null);
    for (body, pointer) in [
        (
            json!({"prompt": {"messages": []}, "models": [{"model": "builtin/echo"}]}),
            "/prompt/messages",
        ),
        (json!({"prompt": prompt("a"), "models": []}), "/models"),
        (
            json!({"prompt": prompt("{{ broken"), "models": [{"model": "builtin/echo"}], "rows": [{"how": 1}]}),
            "/prompt/messages/1/content",
        ),
        (
            json!({"prompt": prompt("a"), "models": [{"model": "a/{{ x }}"}]}),
            "/models/0",
        ),
        (
            json!({"prompt": prompt("a"), "models": [{"model": "a/b", "key_secret": "a b"}]}),
            "/models/0/key_secret",
        ),
    ] {
        let reply = me.post(&format!("{PATH}/run"), &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
}

#[test]
fn templates_have_versions_labels_and_differences() {
    let me = app().tenant();
    let save = |content: &str, labels: Value| {
        let reply = me.post(
            &format!("{PATH}/prompts"),
            &json!({"name": "greeting", "template": prompt(content), "labels": labels}),
        );
        assert_status(&reply, 201);
        reply
    };
    let first = save("Hi\nthere", json!(["production"]));
    let second = save("Hi\nyou", json!(["latest"]));
    assert_eq!(
        (&first.json["number"], &second.json["number"]),
        (&json!(1), &json!(2))
    );
    let path = second.header("location").to_owned();
    let old = first.json["id"].as_str().unwrap();
    let diff = me.get(&format!("{path}/diff?with={old}"));
    assert_status(&diff, 200);
    assert_eq!(
        diff.json["changes"][0]["lines"],
        json!([" Hi", "-there", "+you"])
    );
    let moved = me.put_with(
        &format!("{path}/labels"),
        &[],
        &json!({"labels": ["latest", "production"]}),
    );
    assert_status(&moved, 200);
    let production = me.get(&format!("{PATH}/prompts?name=greeting&label=production"));
    let found = production.json["data"].as_array().unwrap();
    assert_eq!(
        found.len(),
        1,
        "a label is at one version: {}",
        production.text
    );
    assert_eq!(found[0]["number"], 2);
    let stale = me.put_with(
        &format!("{path}/labels"),
        &[("if-match", "\"v1\"")],
        &json!({"labels": []}),
    );
    assert_problem(&stale, 412, "stale-version");
    assert_status(&me.delete(&format!("{PATH}/prompts/{old}")), 204);
    assert_problem(
        &me.get(&format!("{path}/diff?with={old}")),
        404,
        "not-found",
    );
    let stranger = app().tenant();
    assert_problem(&stranger.get(&path), 404, "not-found");
}

#[test]
fn saves_at_once_get_numbers_without_gaps() {
    let me = app().tenant();
    let body = json!({"name": "busy", "template": prompt("a"), "labels": ["latest"]});
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_status(&me.post(&format!("{PATH}/prompts"), &body), 201));
        }
    });
    let all = me.get(&format!("{PATH}/prompts?name=busy")).json;
    let rows = all["data"].as_array().unwrap();
    let mut numbers: Vec<i64> = rows
        .iter()
        .map(|row| row["number"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<i64>>());
    let labelled = rows
        .iter()
        .filter(|row| row["labels"] == json!(["latest"]))
        .count();
    assert_eq!(labelled, 1);
}

#[test]
fn rows_come_from_a_dataset() {
    let me = app().tenant();
    let made = me.post("/api/v1/rag-evaluation/datasets", &json!({"name": "faq"}));
    assert_status(&made, 201);
    let items = format!("{}/items", made.header("location"));
    let first = json!({"items": [{"question": "Who?", "expected": "me"}, {"question": "Where?", "expected": "here"}]});
    assert_status(&me.post(&items, &first), 201);
    let version = me.post(
        &items,
        &json!({"items": [{"question": "When?", "expected": "now"}]}),
    );
    assert_status(&version, 201);
    let id = made.json["id"].as_str().unwrap();
    let said = |dataset: Value| {
        let prompt = json!({"messages": [{"role": "user", "content": "{{ inputs.question }} {{ inputs.expected }}"}]});
        let body = json!({"prompt": prompt, "dataset": dataset, "models": [{"model": "builtin/echo"}], "stream": false});
        let run = me.post(&format!("{PATH}/run"), &body);
        assert_status(&run, 200);
        let out = run.json["outputs"]["out"].as_object().unwrap().clone();
        let text = |row: usize| out.get(&format!("r{row}m0")).map(|one| one["text"].clone());
        (0..).map_while(text).collect::<Vec<Value>>()
    };
    let all = ["echo: Who? me", "echo: Where? here", "echo: When? now"];
    assert_eq!(said(json!({"id": id})), all);
    assert_eq!(said(json!({"id": id, "limit": 1})), all[..1]);
    assert_eq!(said(json!({"id": id, "version": 2})), all[..2]);
    let listed = me.get(&items).json["data"].as_array().unwrap().clone();
    let who = listed.iter().find(|one| one["question"] == "Who?").unwrap();
    assert_eq!(said(json!({"id": id, "after": who["id"]})), all[1..]);

    let ask = |whose: &Tenant, more: Value| {
        let mut body = json!({"prompt": prompt("{{ inputs.question }}"), "dataset": {"id": id}, "models": [{"model": "builtin/echo"}]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        whose.post(&format!("{PATH}/run"), &body)
    };
    assert_problem(&ask(&app().tenant(), json!({})), 404, "not-found");
    let both = ask(&me, json!({"rows": [{"how": "kind"}]}));
    assert_problem(&both, 400, "invalid-input");
    assert_eq!(both.json["errors"][0]["pointer"], "/dataset");
    let many = ask(&me, json!({"dataset": {"id": id, "limit": 51}}));
    assert_eq!(many.json["errors"][0]["pointer"], "/dataset/limit");
}
