//! Waits that somebody without a credential answers, by an address that the run has given away.

use super::app;
use super::queue::{accepted, ended, enqueue, until};
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use llm_standin::StandIn;
use reqwest::Method;
use serde_json::{Value, json};

const RUNS: &str = "/api/v1/workflows/execute";

/// Sends the address of `ask` to the stand-in.
fn tell(bank: &StandIn) -> Value {
    json!({"id": "tell", "type": "http", "data": {"method": "POST", "url": format!("{}/web/echo", bank.url),
        "body": {"to": "{{ waits.ask.url }}"}}})
}

/// Input → tell a service → wait for it → output.
fn calling(bank: &StandIn, wait: Value) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        tell(bank),
        {"id": "ask", "type": "wait", "data": wait},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output }}"}},
    ]);
    let edges = [
        ("in", None, "tell"),
        ("tell", None, "ask"),
        ("ask", None, "out"),
    ];
    graph(nodes, &edges)
}

/// A run that waits, and the addresses that the service was sent.
fn waiting(me: &Tenant, bank: &StandIn, definition: &Value) -> (String, Vec<String>) {
    let id = accepted(&enqueue(me, definition, json!({}), json!(null)));
    until(me, &id, |run| run["status"] == "waiting");
    (id, sent(bank))
}

fn sent(bank: &StandIn) -> Vec<String> {
    let requests = bank.requests().into_iter();
    let sent = requests.filter_map(|request| request.body["to"].as_str().map(str::to_owned));
    sent.collect()
}

/// What somebody without an account sends.
fn send(method: Method, url: &str, kind: &str, body: &str) -> Reply {
    let nobody = app().with_credential("");
    let headers = [("content-type", kind), ("user-agent", "bank/1")];
    nobody.send(method, url, &headers, body.as_bytes().to_vec())
}

fn post(url: &str, body: &Value) -> Reply {
    send(Method::POST, url, "application/json", &body.to_string())
}

#[test]
fn a_service_answers_by_the_address_it_was_sent() {
    let me = app().tenant();
    let bank = StandIn::start().unwrap();
    let schema = json!({"type": "object", "required": ["paid"], "properties": {"paid": {"type": "boolean"}}});
    let definition = calling(
        &bank,
        json!({"webhook": {"schema": schema}, "expires_ms": 600_000}),
    );
    let (id, urls) = waiting(&me, &bank, &definition);
    let url = &urls[0];
    assert!(url.starts_with("/hooks/wait/"), "{url}");
    let run = me.get(&format!("{RUNS}/{id}"));
    assert_eq!(run.json["waits"][0]["url"], url.as_str(), "{}", run.text);
    let unfit = post(url, &json!({"paid": "yes"}));
    assert_problem(&unfit, 400, "invalid-input");
    assert_eq!(unfit.json["errors"][0]["pointer"], "/paid");
    let (secret, rest) = url.rsplit_once('/').unwrap().1.split_once('.').unwrap();
    for forged in [
        format!("/hooks/wait/{}.{rest}", secret.to_ascii_lowercase()),
        format!("/hooks/wait/{secret}.{}", rest.to_ascii_lowercase()),
        format!("/hooks/wait/{secret}."),
        "/hooks/wait/x".to_owned(),
    ] {
        assert_problem(&post(&forged, &json!({"paid": true})), 404, "not-found");
    }
    let large = "x".repeat(1_100_000);
    let large = send(Method::POST, url, "text/plain", &large);
    assert_problem(&large, 413, "body-too-large");
    assert_eq!(send(Method::HEAD, url, "", "").status, 405);
    // With the address itself, as some services do.
    let answer = json!({"paid": true, "callback": url});
    let taken = post(&format!("{url}?from=bank"), &answer);
    assert_status(&taken, 200);
    assert_eq!(
        taken.json,
        json!({"status": "resumed", "execution_id": id.as_str()})
    );
    assert_problem(&post(url, &json!({"paid": true})), 409, "conflict");
    let run = until(&me, &id, ended);
    assert_eq!(
        run["outputs"]["out"],
        json!({"data": {"paid": true, "callback": format!("/hooks/wait/[redacted].{rest}")}, "method": "POST", "query": {"from": "bank"},
            "headers": {"content-type": "application/json", "user-agent": "bank/1"}}),
        "{run}"
    );
    assert_problem(&post(url, &json!({"paid": true})), 409, "conflict");
    // Nothing that is kept of the run opens it, and it can be played again without it.
    let log = me.get(&format!("{RUNS}/{id}/log"));
    assert!(log.text.contains("/hooks/wait/[redacted]"), "{}", log.text);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run["trace_id"].as_str().unwrap()
    ));
    for left in [&log.text, &trace.text] {
        assert!(!left.contains(secret), "{left}");
    }
    let replay = me.post(&format!("{RUNS}/{id}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
}

#[test]
fn forms_queries_and_chosen_methods_are_taken() {
    let me = app().tenant();
    let bank = StandIn::start().unwrap();
    let data = |webhook: Value, answer: &dyn Fn(&str) -> Reply| {
        let definition = calling(&bank, json!({"webhook": webhook, "expires_ms": 600_000}));
        let (id, urls) = waiting(&me, &bank, &definition);
        let reply = answer(urls.last().unwrap());
        let run = until(&me, &id, ended);
        (reply, run["outputs"]["out"]["data"].clone())
    };
    let form = "application/x-www-form-urlencoded";
    let (reply, got) = data(json!({}), &|url| send(Method::PUT, url, form, "a=1&b=x+y"));
    assert_status(&reply, 200);
    assert_eq!(got, json!({"a": "1", "b": "x y"}));
    let (reply, got) = data(json!({}), &|url| {
        send(Method::GET, &format!("{url}?ok=yes"), "", "")
    });
    assert_status(&reply, 200);
    assert_eq!(got, json!({"ok": "yes"}));
    let chosen = json!({"methods": ["POST"], "respond": {"status": 202, "body": "Thank you"}});
    let (reply, got) = data(chosen, &|url| {
        let refused = send(Method::GET, url, "", "");
        assert_problem(&refused, 405, "method-not-allowed");
        assert_eq!(refused.header("allow"), "POST");
        send(Method::POST, url, "text/plain", "done")
    });
    assert_eq!((reply.status, reply.text.as_str()), (202, "Thank you"));
    assert_eq!(got, "done");
}

#[test]
fn each_iteration_and_each_run_has_an_address_of_its_own() {
    let me = app().tenant();
    let bank = StandIn::start().unwrap();
    let mut inner = tell(&bank);
    inner["parentId"] = json!("each");
    inner["data"]["body"]["n"] = json!("{{ item }}");
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "each", "type": "for_each", "data": {"items": [0, 1], "concurrency": 2}},
        inner,
        {"id": "ask", "type": "wait", "parentId": "each", "data": {"webhook": {}, "expires_ms": 600_000}},
        {"id": "out", "type": "output", "data": {"value": "{{ [nodes.each.output[0].data.n, nodes.each.output[1].data.n] }}"}},
    ]);
    let edges = [
        ("in", None, "each"),
        ("tell", None, "ask"),
        ("each", None, "out"),
    ];
    let definition = graph(nodes, &edges);
    let (id, _) = waiting(&me, &bank, &definition);
    let address = |n: i64| {
        let requests = bank.requests();
        let found = requests.iter().find(|request| request.body["n"] == n);
        found.unwrap().body["to"].as_str().unwrap().to_owned()
    };
    let (first, second) = (address(0), address(1));
    assert_ne!(first, second);
    assert_status(&post(&second, &json!({"n": "second"})), 200);
    assert_status(&post(&first, &json!({"n": "first"})), 200);
    let run = until(&me, &id, ended);
    assert_eq!(run["outputs"]["out"], json!(["first", "second"]), "{run}");
    let (_, urls) = waiting(&me, &bank, &definition);
    assert!(urls[2..].iter().all(|url| *url != first && *url != second));
}

#[test]
fn an_answer_may_come_too_early_or_too_late_and_people_approve_by_themselves() {
    let me = app().tenant();
    let bank = StandIn::start().unwrap();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        tell(&bank),
        {"id": "go", "type": "wait", "data": {"approval": {"title": "Go?"}, "expires_ms": 600_000}},
        {"id": "ask", "type": "wait", "data": {"webhook": {}, "expires_ms": 600_000}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output.data }}"}},
    ]);
    let edges = [
        ("in", None, "tell"),
        ("tell", None, "go"),
        ("go", Some("approved"), "ask"),
        ("ask", None, "out"),
    ];
    let definition = graph(nodes, &edges);
    let (id, urls) = waiting(&me, &bank, &definition);
    let early = post(&urls[0], &json!(1));
    assert_problem(&early, 409, "not-waiting-yet");
    assert!(!early.header("retry-after").is_empty());
    let run = me.get(&format!("{RUNS}/{id}"));
    assert_eq!(run.json["waits"][0]["url"], Value::Null, "{}", run.text);
    let answer = json!({"node": "go", "decision": "approved"});
    assert_status(&me.post(&format!("{RUNS}/{id}/resume"), &answer), 200);
    until(&me, &id, |run| run["waits"][0]["node"] == "ask");
    assert_status(&post(&urls[0], &json!(1)), 200);
    assert_eq!(until(&me, &id, ended)["outputs"]["out"], 1);
    // Rejected: the wait never comes. Cancelled: it is over.
    for end in ["resume", "cancel"] {
        let (id, urls) = waiting(&me, &bank, &definition);
        let body = match end {
            "resume" => json!({"node": "go", "decision": "rejected"}),
            _ => json!({}),
        };
        assert_status(&me.post(&format!("{RUNS}/{id}/{end}"), &body), 200);
        until(&me, &id, ended);
        assert_problem(&post(urls.last().unwrap(), &json!(1)), 410, "wait-over");
    }
}

#[test]
fn an_address_expires_with_its_wait() {
    let me = app().tenant();
    let bank = StandIn::start().unwrap();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        tell(&bank),
        {"id": "ask", "type": "wait", "data": {"webhook": {}, "expires_ms": 1}},
        {"id": "stay", "type": "wait", "data": {"approval": {"title": "Stay?"}, "expires_ms": 600_000}},
        {"id": "out", "type": "output", "data": {"value": 1}},
    ]);
    let edges = [
        ("in", None, "tell"),
        ("tell", None, "ask"),
        ("ask", Some("timeout"), "stay"),
        ("stay", Some("approved"), "out"),
    ];
    // The run goes on, and its wait is over all the same.
    let (_, urls) = waiting(&me, &bank, &graph(nodes, &edges));
    assert_problem(&post(&urls[0], &json!(1)), 410, "wait-over");
}
