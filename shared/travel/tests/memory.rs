//! Runs that remember, and runs that give addresses away, played again with nothing outside.

mod support;

use std::sync::Arc;

use nodeai_engine::{Event, Turn, What, turns_of};
use nodeai_travel::{Recording, fork, replay, written};
use serde_json::{Map, Value, json};
use support::{Outside, plan};

fn asking() -> Value {
    let ask = |prompt: &str| {
        json!({"model": "openai/gpt-4o-mini", "base_url": "https://llm.example.com/v1", "api_key": "{{ secrets.KEY }}",
            "system": "Be short.", "prompt": prompt, "memory": {"session": "{{ inputs.user }}", "max_messages": 4}})
    };
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "one", "type": "llm", "data": ask("first")},
            {"id": "two", "type": "llm", "data": ask("second")},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.two.output.text }}"}},
        ],
        "edges": [{"source": "in", "target": "one"}, {"source": "one", "target": "two"}, {"source": "two", "target": "out"}],
    })
}

fn earlier() -> Vec<Turn> {
    let turn = |n: u32| Turn {
        user: format!("question {n}"),
        assistant: format!("answer {n}"),
    };
    (1..=3).map(turn).collect()
}

fn recalled<'a>(log: &'a [Event], node: &str) -> (&'a [Turn], &'a Value) {
    let found = log.iter().find_map(|event| match &event.what {
        What::AttemptStarted {
            node: of,
            recalled,
            input: Some(input),
            ..
        } if of == node => Some((recalled.as_slice(), input)),
        _ => None,
    });
    found.expect("an attempt")
}

fn recording(log: &[Event]) -> Recording {
    Recording::read(written(log)).expect("readable")
}

#[test]
fn what_was_recalled_is_recorded_and_played_again_with_the_memory_gone() {
    let outside = Outside::default();
    outside.turns.replace(earlier());
    let document = asking();
    let finished = outside.run(Arc::new(plan(&document)), json!({"user": "ada"}));
    assert_eq!(finished.error, None);
    let (turns, input) = recalled(&finished.log, "one");
    assert_eq!(turns, &earlier()[1..], "four messages are two turns");
    let contents = input["messages"].as_array().expect("messages").iter();
    let contents: Vec<&str> = contents
        .map(|message| message["content"].as_str().expect("a text"))
        .collect();
    assert_eq!(
        contents,
        ["question 2", "answer 2", "question 3", "answer 3", "first"]
    );
    // The second one also sees the first one's turn, which no store has yet.
    let (turns, _) = recalled(&finished.log, "two");
    let kept = turns_of(&finished.log);
    assert_eq!(turns[0], earlier()[2]);
    assert_eq!(turns[1], kept[0].turn);
    assert_eq!(turns[1].user, "first");
    assert_eq!((kept.len(), kept[1].node.as_str()), (2, "two"));
    assert_eq!(kept[0].session.session, "ada");
    // Its spans show what was sent.
    let span = finished
        .spans
        .iter()
        .find(|span| span.node_id.as_deref() == Some("one"));
    let shown = span.expect("a span").attributes["nodeai.input"].to_string();
    assert!(shown.contains("question 3"), "{shown}");
    outside.turns.replace(Vec::new());
    let replayed = replay(Arc::new(plan(&document)), &recording(&finished.log));
    assert!(replayed.identical, "{:?}", replayed.divergence);
    assert_eq!(replayed.events, finished.log);
    // Whoever changes what was recalled is found.
    let mut changed = finished.log;
    for event in &mut changed {
        if let What::AttemptStarted { recalled, .. } = &mut event.what {
            recalled.truncate(1);
        }
    }
    let replayed = replay(Arc::new(plan(&document)), &recording(&changed));
    assert_eq!(replayed.divergence.map(|first| first.what), Some("input"));
}

#[test]
fn a_fork_keeps_the_turns_of_what_it_runs_and_no_others() {
    let outside = Outside::default();
    let document = asking();
    let first = plan(&document);
    let definition = first.definition().clone();
    let finished = outside.run(Arc::new(first), json!({"user": "ada"}));
    let forked = fork(&definition, &definition, &finished.log, "two", &Map::new());
    let forked = forked.expect("a fork");
    let again = outside.run(
        Arc::new(plan(&document).reusing(forked.reused)),
        json!({"user": "ada"}),
    );
    let kept = turns_of(&again.log);
    let nodes: Vec<&str> = kept.iter().map(|kept| kept.node.as_str()).collect();
    assert_eq!(nodes, ["two"]);
    let replayed = replay(Arc::new(plan(&document)), &recording(&again.log));
    assert!(replayed.identical, "{:?}", replayed.divergence);
}

#[test]
fn an_address_is_sent_blanked_and_played_again() {
    let inside = |id: &str, kind: &str, data: Value| json!({"id": id, "type": kind, "parentId": "each", "data": data});
    let document = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "each", "type": "for_each", "data": {"items": [1, 2]}},
            inside("tell", "http", json!({"method": "POST", "url": "https://api.example.com/tell",
                "body": {"call": "{{ waits.ask.url }}", "n": "{{ item }}"}})),
            inside("ask", "wait", json!({"webhook": {"respond": {"body": "{{ waits.ask.url }} {{ item }}"}}, "expires_ms": 1})),
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output }}"}},
        ],
        "edges": [{"source": "in", "target": "each"}, {"source": "tell", "target": "ask"},
            {"source": "each", "target": "out"}],
    });
    let outside = Outside::default();
    let finished = outside.run(Arc::new(plan(&document)), json!({}));
    assert_eq!(finished.error, None);
    assert!(!format!("{:?}", finished.log).contains("run-s3cr3t"));
    let (_, input) = recalled(&finished.log, "each[1]/tell");
    let sent: Value = match &input["body"] {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        body => body.clone(),
    };
    assert_eq!(
        sent,
        json!({"call": "https://here.example/hooks/wait/[redacted].each[1]/ask", "n": 2})
    );
    let replayed = replay(Arc::new(plan(&document)), &recording(&finished.log));
    assert!(replayed.identical, "{:?}", replayed.divergence);
}
