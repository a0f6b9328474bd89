//! Nodes in whole runs: agents, repairs and fallbacks, pages; and previews, which must give what runs give.

mod support;

use llm_standin::Behaviour;
use nodeai_engine::{Evaluated, Status, Surroundings, evaluate_node};
use nodeai_runner::Finished;
use serde_json::{Map, Value, json};
use support::App;

/// input → the nodes, each after the one before → output of the last.
fn chain(nodes: &[(&str, &str, Value)]) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input", "data": {}})];
    all.extend(
        nodes
            .iter()
            .map(|(id, kind, data)| json!({"id": id, "type": kind, "data": data})),
    );
    let last = nodes.last().map_or("in", |node| node.0);
    all.push(json!({"id": "out", "type": "output", "data": {"value": format!("{{{{ nodes.{last}.output }}}}")}}));
    let edges = all
        .windows(2)
        .map(|pair| json!({"source": pair[0]["id"], "target": pair[1]["id"]}));
    let edges: Vec<Value> = edges.collect();
    json!({"nodes": all, "edges": edges})
}

fn one(kind: &str, data: Value) -> Value {
    chain(&[("n", kind, data)])
}

fn succeeded(finished: &Finished) -> &Value {
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    &finished.outputs["out"]
}

fn failure(finished: &Finished) -> (&str, &str) {
    finished.error.as_ref().map_or(("none", ""), |error| {
        (error.kind.as_str(), error.message.as_str())
    })
}

fn model(app: &App, more: Value) -> Value {
    let mut data =
        json!({"model": "openai/gpt-4o-mini", "base_url": app.standin.openai(), "api_key": "k"});
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    data
}

#[test]
fn an_agent_works_with_its_tools_until_it_has_an_answer() {
    let app = App::start();
    let wish = |name: &str, arguments: Value| Behaviour {
        tool_call: Some(json!({"name": name, "arguments": arguments})),
        ..Behaviour::default()
    };
    app.standin.script([
        wish("find", json!({"email": "a@b.example"})),
        wish("double", json!({"n": "x"})),
        wish("double", json!({"n": 21})),
        Behaviour::answer("It is 42."),
    ]);
    let tools = json!([
        {"name": "find", "description": "Finds a person", "node": {"type": "http", "data": {"url": format!("{}/web/people", app.standin.url), "query": {"email": "{{ args.email }}"}}}},
        {"name": "double", "parameters": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
            "node": {"type": "transform", "data": {"fields": {"twice": "{{ args.n * inputs.factor }}"}}}},
    ]);
    let finished = app.run(
        &one(
            "agent",
            model(&app, json!({"prompt": "How many?", "tools": tools})),
        ),
        json!({"factor": 2}),
    );
    let output = succeeded(&finished);
    assert_eq!(
        (&output["text"], &output["steps"]),
        (&json!("It is 42."), &json!(4))
    );
    let calls = output["calls"].as_array().cloned().unwrap_or_default();
    assert!(
        calls[0]["result"]
            .as_str()
            .is_some_and(|text| text.contains("b.example")),
        "{calls:?}"
    );
    assert_eq!(
        (&calls[1]["failed"], &calls[2]["result"]),
        (&json!(true), &json!("{\"twice\":42}"))
    );
    let asked: Vec<_> = app
        .standin
        .requests()
        .into_iter()
        .filter(|r| r.path.ends_with("/completions"))
        .collect();
    let messages = asked[3].body["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let roles: Vec<&str> = messages
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    assert_eq!(
        roles,
        [
            "user",
            "assistant",
            "tool",
            "assistant",
            "tool",
            "assistant",
            "tool"
        ]
    );
    assert_eq!(
        messages[2]["tool_call_id"],
        messages[1]["tool_calls"][0]["id"]
    );
    let last = asked[3].body["messages"][6]["content"].as_str();
    assert_eq!(last, Some("{\"twice\":42}"));
    assert!(
        finished.usage.prompt_tokens > 4,
        "the tokens of all steps count"
    );
}

#[test]
fn an_agent_is_bounded_in_steps_and_cost() {
    let app = App::start();
    let endless = || Behaviour {
        tool_call: Some(json!({"name": "t", "arguments": {}})),
        ..Behaviour::default()
    };
    let tools = json!([{"name": "t", "node": {"type": "transform", "data": {"expression": "1"}}}]);
    app.standin.script((0..9).map(|_| endless()));
    let data = model(&app, json!({"prompt": "x", "tools": tools, "max_steps": 3}));
    let finished = app.run(&one("agent", data), json!({}));
    assert_eq!(failure(&finished).0, "step_limit");
    assert_eq!(app.standin.requests().len(), 3);
    let data = model(
        &app,
        json!({"model": "openai/nobody-knows", "prompt": "x", "tools": tools, "max_cost_usd_micros": 1}),
    );
    assert_eq!(
        failure(&app.run(&one("agent", data), json!({}))).0,
        "cost_unknown"
    );
}

#[test]
fn an_answer_that_does_not_fit_its_schema_is_asked_for_again() {
    let app = App::start();
    let schema =
        json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let data = |repairs: u32| {
        model(
            &app,
            json!({"prompt": "x", "repairs": repairs, "response_format": {"type": "json_schema", "schema": schema}}),
        )
    };
    app.standin.script([
        Behaviour::answer("nine"),
        Behaviour::answer("{\"n\": \"9\"}"),
        Behaviour::answer("```json\n{\"n\": 9}\n```"),
    ]);
    let finished = app.run(&one("llm", data(2)), json!({}));
    assert_eq!(succeeded(&finished)["json"], json!({"n": 9}));
    let requests = app.standin.requests();
    let told = requests[2].body["messages"][4]["content"]
        .as_str()
        .unwrap_or_default();
    assert!(
        told.contains("/n: expected integer, found string"),
        "{told}"
    );
    app.standin
        .script([Behaviour::answer("a"), Behaviour::answer("b")]);
    assert_eq!(
        failure(&app.run(&one("llm", data(1)), json!({}))).0,
        "malformed_response"
    );
}

#[test]
fn another_model_answers_when_one_fails() {
    let app = App::start();
    let anthropic = json!({"model": "anthropic/claude-sonnet-4-5", "base_url": app.standin.openai(), "api_key": "k2"});
    let data = model(
        &app,
        json!({"model": "openai/always-500", "prompt": "x", "fallbacks": [model(&app, json!({"model": "openai/drop-it"})), anthropic]}),
    );
    let finished = app.run(&one("llm", data), json!({}));
    assert_eq!(succeeded(&finished)["provider"], "anthropic");
    let asked: Vec<String> = app.standin.requests().into_iter().map(|r| r.path).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[test]
fn pictures_go_along_to_every_provider() {
    let app = App::start();
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image", "url": image}]}]);
    succeeded(&app.run(
        &one("llm", model(&app, json!({"messages": messages}))),
        json!({}),
    ));
    let claude = json!({"model": "anthropic/claude-sonnet-4-5", "messages": messages});
    succeeded(&app.run(&one("llm", model(&app, claude)), json!({})));
    let sent: Vec<Value> = app
        .standin
        .requests()
        .into_iter()
        .map(|r| r.body["messages"][0]["content"].clone())
        .collect();
    assert_eq!(
        sent[0][1],
        json!({"type": "image_url", "image_url": {"url": image}})
    );
    assert_eq!(
        sent[1][0],
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}})
    );
    let bad = json!({"prompt": "x", "images": ["file:///etc/passwd"]});
    assert!(
        failure(&app.run(&one("llm", model(&app, bad)), json!({})))
            .1
            .contains("/images/0")
    );
}

#[test]
fn texts_are_classified_extracted_from_and_summarised() {
    let app = App::start();
    app.standin.script([
        Behaviour::answer("{\"reason\": \"r\", \"category\": \"none\"}"),
        Behaviour::answer("{\"reason\": \"r\", \"category\": \"refund\"}"),
    ]);
    let data = model(
        &app,
        json!({"text": "Money back!", "categories": [{"name": "refund"}, {"name": "other"}]}),
    );
    let finished = app.run(&one("classify", data), json!({}));
    assert_eq!(succeeded(&finished)["category"], "refund");
    app.standin
        .script([Behaviour::answer("{\"order\": \"A1\", \"amount\": null}")]);
    let data = model(
        &app,
        json!({"text": "Order A1", "fields": [{"name": "order", "required": true}, {"name": "amount", "type": "number"}]}),
    );
    assert_eq!(
        succeeded(&app.run(&one("extract", data), json!({})))["data"],
        json!({"order": "A1", "amount": null})
    );
    app.standin.script([Behaviour::answer("Short.")]);
    let data = model(
        &app,
        json!({"text": "A long text.", "words": 5, "form": "points"}),
    );
    assert_eq!(
        succeeded(&app.run(&one("summarise_text", data), json!({})))["text"],
        "Short."
    );
}

#[test]
fn pages_are_gathered() {
    let app = App::start();
    let url = format!("{}/web/pages", app.standin.url);
    for (pagination, pages) in [
        (json!({"by": "link", "items": "/items"}), 3),
        (json!({"by": "link", "items": "/items", "next": "/next"}), 3),
        (json!({"by": "page", "items": "/items"}), 4),
    ] {
        let finished = app.run(
            &one("http", json!({"url": url, "pagination": pagination})),
            json!({}),
        );
        let output = succeeded(&finished);
        assert_eq!(
            (&output["items"], &output["pages"]),
            (&json!([1, 2, 3, 4, 5, 6, 7]), &json!(pages)),
            "{pagination}"
        );
    }
}

/// A workflow of many node types; the preview of each node, given what the run gave before it, gives what the run gave.
#[test]
fn previews_give_what_runs_give() {
    let app = App::start();
    let nodes = [
        (
            "csv",
            "csv",
            json!({"operation": "parse", "value": "{{ inputs.table }}", "types": true}),
        ),
        (
            "set",
            "set",
            json!({"fields": {"total": "{{ item.price * item.count }}", "tag": "{{ item.name | upper }}-{{ index }}"}}),
        ),
        (
            "filter",
            "filter",
            json!({"expression": "item.total > inputs.least"}),
        ),
        (
            "sort",
            "sort",
            json!({"by": [{"field": "total", "order": "descending"}]}),
        ),
        ("jq", "jq", json!({"program": "map({name, total})"})),
        (
            "sum",
            "summarise",
            json!({"fields": [{"operation": "sum", "field": "total", "as": "sum"}]}),
        ),
        (
            "when",
            "date",
            json!({"operation": "now", "zone": "Asia/Tokyo", "format": "date"}),
        ),
        (
            "hash",
            "crypto",
            json!({"operation": "hash", "value": "{{ nodes.jq.output }}"}),
        ),
        (
            "text",
            "template",
            json!({"template": "{{ nodes.sum.output[0].sum }} on {{ nodes.when.output.text }}: {{ nodes.hash.output }}"}),
        ),
        (
            "html",
            "markdown",
            json!({"markdown": "**{{ nodes.text.output.text }}**"}),
        ),
    ];
    let inputs = json!({"table": "name,price,count\na,2,3\nb,1.5,2\nc,10,1\n", "least": 3});
    let document = chain(&nodes);
    let finished = app.run(&document, inputs.clone());
    let html = succeeded(&finished).as_str().unwrap_or_default().to_owned();
    assert!(html.starts_with("<p><strong>16 on "), "{html}");
    let outputs = finished.log.iter().filter_map(|event| match &event.what {
        nodeai_engine::What::AttemptFinished {
            node,
            result: nodeai_engine::AttemptResult::Ok { output, .. },
            ..
        } => Some((node.clone(), output.clone())),
        _ => None,
    });
    let outputs: Map<String, Value> = outputs.collect();
    let started_at = finished.started_us;
    let started_at = format!("{}Z", chrono_free(started_at));
    let around = Surroundings {
        inputs,
        nodes: outputs.clone(),
        run: json!({"id": "run-1", "started_at": started_at}),
        ..Surroundings::default()
    };
    let mut before = "in";
    for (id, kind, data) in &nodes {
        let incoming = Map::from_iter([(before.to_owned(), outputs[before].clone())]);
        let data = data.as_object().cloned().unwrap_or_default();
        let found = evaluate_node(kind, &data, &around, &incoming);
        let Ok(Ok(Evaluated::Output { output, .. })) = found else {
            panic!("{id}: {found:?}")
        };
        assert_eq!(output.to_string(), outputs[*id].to_string(), "{id}");
        before = id;
    }
}

/// µs since the Unix epoch as the engine writes them, by its own node.
fn chrono_free(us: i64) -> String {
    let data = json!({"operation": "format", "value": us / 1_000, "format": "%Y-%m-%dT%H:%M:%S"});
    let data = data.as_object().cloned().unwrap_or_default();
    let found = evaluate_node("date", &data, &Surroundings::default(), &Map::new());
    let Ok(Ok(Evaluated::Output { output, .. })) = found else {
        panic!("{found:?}")
    };
    format!(
        "{}.{:06}",
        output["text"].as_str().unwrap_or_default(),
        us.rem_euclid(1_000_000)
    )
}
