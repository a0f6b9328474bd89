//! Conversations that models remember, from one run to the next.

use super::app;
use super::queue::{accepted, ended, until};
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use llm_standin::StandIn;
use serde_json::{Value, json};

const RUNS: &str = "/api/v1/workflows/execute";
const MEMORY: &str = "/api/v1/workflows/execute/memory";

/// Input → a model that remembers → output.
fn remembering(llm: &StandIn, memory: Value) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "llm", "data": {"model": "openai/gpt-4o-mini", "base_url": llm.openai(), "api_key": "sk-test",
            "system": "Be short.", "prompt": "{{ inputs.q }}", "memory": memory}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.ask.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "ask"), ("ask", None, "out")])
}

fn of_user() -> Value {
    json!({"session": "{{ inputs.user }}"})
}

fn say(me: &Tenant, workflow: &str, user: &str, q: &str) -> Reply {
    let body = json!({"workflow_id": workflow, "inputs": {"user": user, "q": q}});
    let run = me.post(RUNS, &body);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    run
}

/// What the model was told last, without the instructions.
fn told(llm: &StandIn) -> Vec<String> {
    let requests = llm.requests();
    let last = requests.last().expect("a request");
    let messages = last.body["messages"].as_array().expect("messages").iter();
    let contents = messages.skip(1).map(|message| message["content"].as_str());
    contents.map(|text| text.unwrap().to_owned()).collect()
}

fn sessions(me: &Tenant, query: &str) -> Vec<Value> {
    let listed = me.get(&format!("{MEMORY}{query}"));
    assert_status(&listed, 200);
    listed.json["data"].as_array().unwrap().clone()
}

fn place(session: &Value) -> String {
    format!("{MEMORY}/{}", session["id"].as_str().unwrap())
}

/// A session with one turn, for the walk over all routes.
pub fn begun(me: &Tenant) -> Value {
    let llm = StandIn::start().unwrap();
    let workflow = me.workflow("remembers", &remembering(&llm, of_user()));
    say(me, &workflow, "ada", "hello");
    sessions(me, "")[0]["id"].clone()
}

#[test]
fn a_run_knows_what_the_one_before_said_and_nobody_else_does() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let llm = StandIn::start().unwrap();
    let document = remembering(&llm, of_user());
    let workflow = me.workflow("remembers", &document);
    let first = say(&me, &workflow, "ada", "one");
    assert_eq!(told(&llm), ["one"]);
    let second = say(&me, &workflow, "ada", "two");
    assert_eq!(told(&llm), ["one", "You said: one", "two"]);
    // One statement more than without a memory, to read; to write there is none.
    let timing = second.header("server-timing");
    assert!(timing.contains("\"4 statements\""), "{timing}");
    say(&me, &workflow, "bob", "three");
    assert_eq!(told(&llm), ["three"]);
    let other = me.workflow("other", &document);
    say(&me, &other, "ada", "four");
    assert_eq!(told(&llm), ["four"], "another workflow's are its own");
    let theirs = stranger.workflow("remembers", &document);
    say(&stranger, &theirs, "ada", "five");
    assert_eq!(told(&llm), ["five"]);
    // What is there, and what was said.
    let listed = sessions(&me, &format!("?workflow_id={workflow}&session=ada"));
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["turns"], &listed[0]["name"]),
        (&json!(2), &json!(""))
    );
    let read = me.get(&place(&listed[0]));
    assert_status(&read, 200);
    let messages = read.json["messages"].as_array().unwrap();
    let said: Vec<&Value> = messages.iter().map(|message| &message["content"]).collect();
    assert_eq!(said, ["one", "You said: one", "two", "You said: two"]);
    assert_eq!(messages[1]["role"], "assistant");
    assert_eq!(messages[0]["execution_id"], first.json["execution_id"]);
    assert_problem(&stranger.get(&place(&listed[0])), 404, "not-found");
    assert_eq!(sessions(&stranger, "").len(), 1);
    assert_eq!(sessions(&me, "").len(), 3);
    let page = me.get(&format!("{MEMORY}?limit=2"));
    let next = page.json["next_cursor"].as_str().expect("another page");
    assert_eq!(sessions(&me, &format!("?limit=2&cursor={next}")).len(), 1);
}

#[test]
fn a_replay_reads_no_memory_and_keeps_nothing() {
    let me = app().tenant();
    let llm = StandIn::start().unwrap();
    let workflow = me.workflow("remembers", &remembering(&llm, of_user()));
    say(&me, &workflow, "ada", "one");
    let run = say(&me, &workflow, "ada", "two");
    let session = place(&sessions(&me, "")[0]);
    drop(llm);
    let path = format!("{RUNS}/{}", run.json["execution_id"].as_str().unwrap());
    let replayed = || {
        let replay = me.post(&format!("{path}/replay"), &json!({}));
        assert_status(&replay, 200);
        assert_eq!(replay.json["identical"], true, "{}", replay.text);
        assert_eq!(replay.json["outputs"], run.json["outputs"]);
    };
    replayed();
    assert_eq!(me.get(&session).json["turns"], 2);
    assert_status(&me.delete(&session), 204);
    assert_problem(&me.delete(&session), 404, "not-found");
    assert_problem(&me.get(&session), 404, "not-found");
    replayed();
    assert_eq!(sessions(&me, "").len(), 0);
    // The span has the prompt as it was sent.
    let trace = run.json["trace_id"].as_str().unwrap();
    let trace = me.get(&format!("/api/v1/traces/{trace}"));
    assert!(trace.text.contains("You said: one"), "{}", trace.text);
}

#[test]
fn the_window_is_bounded_and_what_is_forgotten_is_gone() {
    let me = app().tenant();
    let llm = StandIn::start().unwrap();
    let memory = json!({"session": "{{ inputs.user }}", "max_messages": 2, "name": "short"});
    let workflow = me.workflow("remembers", &remembering(&llm, memory));
    for q in ["one", "two", "three"] {
        say(&me, &workflow, "ada", q);
    }
    assert_eq!(told(&llm), ["two", "You said: two", "three"]);
    let kept = sessions(&me, "?name=short");
    assert_eq!(kept[0]["turns"], 3);
    assert_status(&me.delete(&place(&kept[0])), 204);
    say(&me, &workflow, "ada", "four");
    assert_eq!(told(&llm), ["four"]);
}

#[test]
fn queued_runs_remember_and_keep_each_turn_once() {
    let me = app().tenant();
    let llm = StandIn::start().unwrap();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "llm", "data": {"model": "openai/gpt-4o-mini", "base_url": llm.openai(), "api_key": "sk-test",
            "system": "Be short.", "prompt": "{{ inputs.q }}", "memory": of_user()}},
        {"id": "pause", "type": "wait", "data": {"approval": {"title": "Go on?"}, "expires_ms": 600_000}},
        {"id": "again", "type": "llm", "data": {"model": "openai/gpt-4o-mini", "base_url": llm.openai(), "api_key": "sk-test",
            "system": "Be short.", "prompt": "and then?", "memory": of_user()}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.again.output.text }}"}},
    ]);
    let edges = [
        ("in", None, "ask"),
        ("ask", None, "pause"),
        ("pause", Some("approved"), "again"),
        ("again", None, "out"),
    ];
    let workflow = me.workflow("remembers", &graph(nodes, &edges));
    let body = |q: &str| json!({"workflow_id": workflow, "inputs": {"user": "ada", "q": q}, "async": true});
    let id = accepted(&me.post(RUNS, &body("one")));
    until(&me, &id, |run| run["status"] == "waiting");
    // The turn is there before the run has ended.
    assert_eq!(sessions(&me, "")[0]["turns"], 1);
    let answer = json!({"node": "pause", "decision": "approved"});
    assert_status(&me.post(&format!("{RUNS}/{id}/resume"), &answer), 200);
    until(&me, &id, ended);
    assert_eq!(told(&llm), ["one", "You said: one", "and then?"]);
    assert_eq!(sessions(&me, "")[0]["turns"], 2);
    let replay = me.post(&format!("{RUNS}/{id}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
}

#[test]
fn runs_at_once_both_keep_their_turns() {
    let me = app().tenant();
    let llm = StandIn::start().unwrap();
    let workflow = me.workflow("remembers", &remembering(&llm, of_user()));
    std::thread::scope(|scope| {
        for q in ["a", "b", "c", "d"] {
            let (me, workflow) = (&me, &workflow);
            scope.spawn(move || say(me, workflow, "ada", q));
        }
    });
    let session = me.get(&place(&sessions(&me, "")[0]));
    let messages = session.json["messages"].as_array().unwrap();
    let asked = messages.iter().filter(|message| message["role"] == "user");
    let mut asked: Vec<&str> = asked.map(|m| m["content"].as_str().unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["a", "b", "c", "d"]);
}

#[test]
fn a_definition_that_is_not_stored_remembers_for_the_organisation_alone() {
    let me = app().tenant();
    let llm = StandIn::start().unwrap();
    let inputs = || json!({"user": "ada", "q": "one"});
    let run = me.run(&remembering(&llm, of_user()), inputs());
    assert_eq!(run.json["error"]["kind"], "config", "{}", run.text);
    let memory = json!({"session": "{{ inputs.user }}", "scope": "organisation"});
    let whole = remembering(&llm, memory);
    assert_eq!(me.run(&whole, inputs()).json["status"], "succeeded");
    let stored = me.workflow("remembers", &whole);
    say(&me, &stored, "ada", "two");
    assert_eq!(told(&llm), ["one", "You said: one", "two"]);
    assert_eq!(sessions(&me, "")[0]["workflow_id"], Value::Null);
    // Without a model's answer there is no turn.
    let failing = remembering(&StandIn::start().unwrap(), of_user());
    let failing = me.workflow("fails", &failing);
    let body = json!({"workflow_id": failing, "inputs": {"user": "eve", "q": "x"}});
    assert_eq!(me.post(RUNS, &body).json["status"], "failed");
    assert_eq!(sessions(&me, "?session=eve").len(), 0);
}
