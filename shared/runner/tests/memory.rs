//! What a run is told by the platform: earlier turns of a conversation, the addresses of its waits.

mod support;

use llm_standin::Behaviour;
use nodeai_engine::{RunBudget, Status, Turn, turns_of};
use nodeai_runner::Finished;
use serde_json::{Value, json};
use support::App;

fn around(node: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            node,
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
        ],
        "edges": [{"source": "in", "target": "n"}, {"source": "n", "target": "out"}],
    })
}

fn asking(app: &App, kind: &str, more: Value) -> Value {
    let mut data = json!({"model": "openai/gpt-4o-mini", "base_url": app.standin.openai(), "api_key": "k",
        "system": "Be short.", "prompt": "{{ inputs.q }}", "memory": {"session": "{{ inputs.user }}"}});
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    around(json!({"id": "n", "type": kind, "data": data}))
}

fn turn(user: &str, assistant: &str) -> Turn {
    Turn {
        user: user.into(),
        assistant: assistant.into(),
    }
}

fn kind(finished: &Finished) -> &str {
    finished
        .error
        .as_ref()
        .map_or("none", |error| error.kind.as_str())
}

#[test]
fn a_model_is_told_what_was_said_before() {
    let mut app = App::start();
    app.memory.turns = vec![turn("Who are you?", "A model.")];
    let finished = app.run(
        &asking(&app, "llm", json!({})),
        json!({"q": "Sure?", "user": "ada"}),
    );
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    let requests = app.standin.requests();
    let messages = &requests[0].body["messages"];
    assert_eq!(
        messages,
        &json!([
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "A model."},
            {"role": "user", "content": "Sure?"},
        ])
    );
    let (session, most) = app.memory.asked.borrow()[0].clone();
    assert_eq!((session.session.as_str(), most), ("ada", 10));
    let kept = turns_of(&finished.log);
    assert_eq!(kept[0].turn, turn("Sure?", "You said: Sure?"));
}

#[test]
fn an_agent_remembers_its_answer_and_not_its_tools() {
    let app = App::start();
    app.standin.script([
        Behaviour {
            tool_call: Some(json!({"name": "double", "arguments": {"n": 21}})),
            ..Behaviour::default()
        },
        Behaviour::answer("It is 42."),
    ]);
    let tools = json!([{"name": "double", "node": {"type": "transform", "data": {"expression": "args.n * 2"}}}]);
    let finished = app.run(
        &asking(&app, "agent", json!({"tools": tools})),
        json!({"q": "Twice 21?", "user": "ada"}),
    );
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    let kept = turns_of(&finished.log);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].turn, turn("Twice 21?", "It is 42."));
}

#[test]
fn a_memory_that_cannot_be_read_fails_the_attempt_and_nothing_is_kept() {
    let mut app = App::start();
    app.memory.away = true;
    let retry = json!({"retry": {"max_attempts": 2, "backoff_ms": 1}});
    let finished = app.run(
        &asking(&app, "llm", retry),
        json!({"q": "x", "user": "ada"}),
    );
    assert_eq!(kind(&finished), "memory_unavailable");
    assert_eq!(app.memory.asked.borrow().len(), 2);
    assert!(app.standin.requests().is_empty() && turns_of(&finished.log).is_empty());
}

#[test]
fn what_was_recalled_counts_for_what_a_call_may_cost() {
    let mut app = App::start();
    app.options.budget = RunBudget {
        tokens: Some(1_000),
        ..RunBudget::default()
    };
    let document = asking(&app, "llm", json!({"max_tokens": 16}));
    let inputs = json!({"q": "x", "user": "ada"});
    assert_eq!(kind(&app.run(&document, inputs.clone())), "none");
    app.memory.turns = vec![turn(&"word ".repeat(4_000), "Yes.")];
    assert_eq!(kind(&app.run(&document, inputs)), "budget_exceeded");
    assert_eq!(app.standin.requests().len(), 1);
}

#[test]
fn secrets_are_not_remembered_and_name_no_session() {
    let mut app = App::start();
    app.secrets.0.insert("K".into(), "hush-hush".into());
    let said = json!({"prompt": "I say {{ secrets.K }}"});
    let finished = app.run(&asking(&app, "llm", said), json!({"q": "", "user": "ada"}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    assert!(!format!("{:?}", turns_of(&finished.log)).contains("hush-hush"));
    let named = json!({"memory": {"session": "{{ secrets.K }}"}});
    let finished = app.run(&asking(&app, "llm", named), json!({"q": "x"}));
    assert_eq!(kind(&finished), "config");
    assert!(app.memory.asked.borrow().len() == 1);
}

#[test]
fn an_address_reaches_whom_it_is_sent_to_and_nobody_else() {
    let app = App::start();
    let tell = json!({"id": "n", "type": "http", "data": {"method": "POST", "url": format!("{}/web/echo", app.standin.url),
        "body": {"to": "{{ waits.ask.url }}"}}});
    let mut document = around(tell);
    let nodes = document["nodes"].as_array_mut().expect("nodes");
    nodes.push(json!({"id": "ask", "type": "wait", "data": {"webhook": {}, "expires_ms": 1}}));
    let edges = document["edges"].as_array_mut().expect("edges");
    edges.push(json!({"source": "n", "target": "ask"}));
    let finished = app.run(&document, json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    let requests = app.standin.requests();
    assert_eq!(
        requests[0].body,
        json!({"to": "https://here.test/hooks/wait/s3cr3t-run.ask"})
    );
    let left = format!(
        "{:?} {:?} {}",
        finished.log, finished.spans, finished.outputs
    );
    assert!(!left.contains("s3cr3t-run"), "{left}");
}
