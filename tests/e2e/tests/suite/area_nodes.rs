//! Nodes that use the platform's own areas as the run's owner: files here; knowledge bases and tools with theirs.

use super::{app, deployments::deploy, knowledge, queue, runs::graph, tools};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

/// input → the nodes, one after the other → output of the last.
fn chain(nodes: &[(&str, &str, Value)]) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input", "data": {}})];
    let mut edges = Vec::new();
    let mut before = "in";
    for (id, kind, data) in nodes {
        all.push(json!({"id": id, "type": kind, "data": data}));
        edges.push((before, None, *id));
        before = id;
    }
    let value = format!("{{{{ nodes.{before}.output }}}}");
    all.push(json!({"id": "out", "type": "output", "data": {"value": value}}));
    edges.push((before, None, "out"));
    graph(json!(all), &edges)
}

fn output(me: &Tenant, document: &Value, inputs: Value) -> Value {
    let run = me.run(document, inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    run.json["outputs"]["out"].clone()
}

fn error(me: &Tenant, document: &Value, inputs: Value) -> Value {
    let run = me.run(document, inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "failed", "{}", run.text);
    run.json["error"].clone()
}

fn report() -> (&'static str, &'static str, Value) {
    let data = json!({"name": "report.md", "folder": "reports", "tags": ["weekly"], "content": "# {{ inputs.title }}\n\nall is well"});
    ("write", "file_write", data)
}

#[test]
fn a_file_is_written_and_passed_on_by_reference() {
    let me = app().tenant();
    let read = json!({"file": "{{ nodes.write.output }}", "as": "text"});
    let made = output(
        &me,
        &chain(&[report(), ("read", "file_read", read)]),
        json!({"title": "Week 48"}),
    );
    assert_eq!(made["content"], "# Week 48\n\nall is well");
    assert_eq!(made["encoding"], "text");

    let listed = me.get("/api/v1/files?folder=reports");
    assert_status(&listed, 200);
    let file = &listed.json["data"][0];
    assert_eq!(
        (&file["name"], &file["tags"]),
        (&json!("report.md"), &json!(["weekly"]))
    );

    let extract = json!({"file": file["id"]});
    let made = output(&me, &chain(&[("text", "file_extract", extract)]), json!({}));
    assert_eq!(made["format"], "markdown");
    assert!(
        made["text"].as_str().unwrap().contains("all is well"),
        "{made}"
    );
}

#[test]
fn values_become_json_and_bytes_stay_bytes() {
    let me = app().tenant();
    let write = json!({"name": "rows.json", "content": "{{ inputs.rows }}"});
    let read = json!({"file": "{{ nodes.write.output }}"});
    let document = chain(&[
        ("write", "file_write", write),
        ("read", "file_read", read.clone()),
    ]);
    let made = output(&me, &document, json!({"rows": [{"a": 1}]}));
    assert_eq!(
        (&made["content"], &made["encoding"]),
        (&json!([{"a": 1}]), &json!("json"))
    );
    let write = json!({"name": "a.bin", "base64": "AP8Q"});
    let document = chain(&[("write", "file_write", write), ("read", "file_read", read)]);
    let made = output(&me, &document, json!({}));
    assert_eq!(
        (&made["content"], &made["size_bytes"]),
        (&json!("AP8Q"), &json!(3))
    );
}

#[test]
fn requests_carry_files_and_answers_become_files() {
    let me = app().tenant();
    let send = json!({"url": format!("{}/web/form", app().llm.url), "method": "POST", "body_type": "multipart",
        "body": {"note": "n", "file": "{{ nodes.write.output }}"}});
    let made = output(
        &me,
        &chain(&[report(), ("send", "http", send)]),
        json!({"title": "T"}),
    );
    let part = made["body"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "file");
    let part = part.unwrap();
    assert_eq!(
        (&part["filename"], &part["content_type"]),
        (&json!("report.md"), &json!("text/markdown")),
        "{part}"
    );
    assert_eq!(part["bytes"], json!("# T\n\nall is well".as_bytes()));

    let send = json!({"url": format!("{}/web/echo", app().llm.url), "method": "POST", "body_type": "file",
        "body": "{{ nodes.write.output }}", "response_type": "file"});
    let read = json!({"file": "{{ nodes.send.output.body }}", "as": "json"});
    let document = chain(&[
        report(),
        ("send", "http", send),
        ("read", "file_read", read),
    ]);
    let made = output(&me, &document, json!({"title": "T"}));
    assert_eq!(made["content"]["body"], "# T\n\nall is well", "{made}");
}

#[test]
fn a_queued_run_acts_as_its_owner_too() {
    let me = app().tenant();
    let document = chain(&[report()]);
    let asked = queue::enqueue(&me, &document, json!({"title": "Later"}), json!({}));
    let ended = queue::until(&me, &queue::accepted(&asked), queue::ended);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["outputs"]["out"]["name"], "report.md");
}

#[test]
fn files_of_others_are_not_there_and_what_is_no_file_is_refused() {
    let (me, other) = (app().tenant(), app().tenant());
    let theirs = output(&other, &chain(&[report()]), json!({"title": "secret"}));
    let read = |file: &Value| chain(&[("read", "file_read", json!({"file": file}))]);
    let refused = error(&me, &read(&theirs["$file"]), json!({}));
    assert_eq!(refused["kind"], "not_found", "{refused}");
    let document = chain(&[("read", "file_read", json!({"file": "{{ inputs.file }}"}))]);
    let refused = error(&me, &document, json!({"file": "../../etc/passwd"}));
    assert_eq!(refused["kind"], "config", "{refused}");
    let binary = json!({"file": "{{ nodes.write.output }}", "as": "text"});
    let write = json!({"name": "a.bin", "base64": "/w=="});
    let document = chain(&[
        ("write", "file_write", write),
        ("read", "file_read", binary),
    ]);
    assert_eq!(error(&me, &document, json!({}))["kind"], "not_text");
}

#[test]
fn a_definition_that_came_along_may_do_what_its_key_may() {
    let me = app().tenant();
    let key = |scopes: Value| {
        let made = me.post(
            "/api/v1/api-keys",
            &json!({"name": "narrow", "scopes": scopes}),
        );
        assert_status(&made, 201);
        app().with_credential(made.json["key"].as_str().unwrap())
    };
    let document = chain(&[report()]);
    let narrow = key(json!(["workflows:run", "workflows:read"]));
    let refused = error(&narrow, &document, json!({"title": "T"}));
    assert!(
        refused["message"].as_str().unwrap().contains("files:write"),
        "{refused}"
    );
    let wider = key(json!(["workflows:run", "files:write"]));
    output(&wider, &document, json!({"title": "T"}));
    // A stored workflow was written by somebody who may.
    let id = me.workflow("writes", &document);
    let run = narrow.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": id, "inputs": {"title": "T"}}),
    );
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
}

#[test]
fn a_runs_key_is_no_key_for_anybody() {
    let stranger = app().with_credential(&format!("nai_run_{}", "0".repeat(36)));
    assert_problem(&stranger.get("/api/v1/files"), 401, "unauthenticated");
}

#[test]
fn passages_of_a_knowledge_base_go_into_a_prompt_and_the_trace_shows_the_search() {
    let me = app().tenant();
    let base = knowledge::base(&me, knowledge::hashed());
    let ids = knowledge::add(&me, &base, knowledge::zoo());
    knowledge::ready(&me, &base, &ids);
    let id = base.rsplit('/').next().unwrap();
    let find = json!({"knowledge_base": id, "query": "{{ inputs.question }}", "k": 1, "mode": "lexical",
        "filter": {"kind": "animal"}});
    let tell = json!({"template": "From {{ nodes.find.output.text }}"});
    let document = chain(&[("find", "retrieve", find), ("tell", "template", tell)]);
    let run = me.run(&document, json!({"question": "who sings in the sea?"}));
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    let text = run.json["outputs"]["out"]["text"].as_str().unwrap();
    assert!(text.starts_with("From [1] Whales sing"), "{text}");
    let trace = run.json["trace_id"].as_str().unwrap();
    let searched = || {
        let tree = me.get(&format!("/api/v1/traces/{trace}"));
        tree.json
            .to_string()
            .contains("\"gen_ai.operation.name\":\"retrieval\"")
    };
    // The search's own spans are stored after its answer.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !searched() {
        assert!(
            std::time::Instant::now() < deadline,
            "the search is not in the trace"
        );
    }
    let other = app().tenant();
    let refused = error(
        &other,
        &document,
        json!({"question": "who sings in the sea?"}),
    );
    assert_eq!(refused["kind"], "not_found", "{refused}");
}

#[test]
fn a_registered_tool_is_called_and_its_failure_is_the_nodes() {
    let me = app().tenant();
    let schema = json!({"input_schema": {"type": "object", "required": ["city"],
        "properties": {"city": {"type": "string"}}}});
    let made = tools::registered(&me, &tools::function("weather", schema));
    let ask = |tool: &str, arguments: Value| {
        let data = json!({"tool": tool, "arguments": arguments});
        chain(&[("ask", "tool", data)])
    };
    for tool in ["weather", made.rsplit('/').next().unwrap()] {
        let document = ask(tool, json!({"city": "{{ inputs.city }}"}));
        let given = output(&me, &document, json!({"city": "Oslo"}));
        assert!(given["output"].to_string().contains("Oslo"), "{given}");
    }
    let refused = error(&me, &ask("weather", json!({"city": 7})), json!({}));
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("/arguments/city"),
        "{refused}"
    );
    let missing = error(&me, &ask("nothing", json!({})), json!({}));
    assert_eq!(missing["kind"], "not_found", "{missing}");
    let failing = json!({"config": {"url": format!("{}/web/status/503", app().llm.url)}});
    tools::registered(&me, &tools::function("broken", failing));
    let failed = error(&me, &ask("broken", json!({})), json!({}));
    assert_eq!(failed["kind"], "http_status", "{failed}");
}

/// Registers what is deployed under a slug as a tool of the same name.
fn workflow_tool(me: &Tenant, slug: &str, definition: &Value) {
    let workflow = me.workflow(slug, definition);
    deploy(me, &workflow, slug, json!({}));
    let tool = json!({"name": slug, "kind": "workflow", "config": {"deployment": slug}});
    tools::registered(me, &tool);
}

#[test]
fn a_deployed_workflow_is_a_tool_of_a_workflow() {
    let me = app().tenant();
    let mut greets = chain(&[(
        "say",
        "template",
        json!({"template": "Hello, {{ inputs.name }}!"}),
    )]);
    greets["nodes"][0]["data"] =
        json!({"schema": [{"name": "name", "type": "string", "required": true}]});
    workflow_tool(&me, "greet", &greets);
    let ask = json!({"tool": "greet", "arguments": {"name": "{{ inputs.who }}"}});
    let document = chain(&[("ask", "tool", ask)]);
    let given = output(&me, &document, json!({"who": "Ada"}));
    assert_eq!(given["output"]["out"]["text"], "Hello, Ada!", "{given}");
    // A definition that came along may do what its key may.
    let made = me.post(
        "/api/v1/api-keys",
        &json!({"name": "narrow", "scopes": ["workflows:run", "tools:run"]}),
    );
    assert_status(&made, 201);
    let narrow = app().with_credential(made.json["key"].as_str().unwrap());
    let refused = error(&narrow, &document, json!({"who": "Bob"}));
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("deployments:run"),
        "{refused}"
    );
}

#[test]
fn a_workflow_that_is_its_own_tool_ends() {
    let me = app().tenant();
    let document = chain(&[("ask", "tool", json!({"tool": "again", "arguments": {}}))]);
    workflow_tool(&me, "again", &document);
    let refused = error(&me, &document, json!({}));
    assert!(
        refused["message"].as_str().unwrap().contains("five deep"),
        "{refused}"
    );
    let runs = me.get("/api/v1/workflows/execute?limit=50");
    assert_status(&runs, 200);
    // The first, and five below it.
    assert_eq!(
        runs.json["data"].as_array().unwrap().len(),
        6,
        "{}",
        runs.text
    );
}

#[test]
fn what_is_called_for_a_node_keeps_to_the_workflows_hosts() {
    let me = app().tenant();
    tools::registered(&me, &tools::function("weather", json!({})));
    let hook = json!({"name": "partner", "url": format!("{}/web/echo", app().llm.url), "event_types": ["alert.opened"]});
    let hook = me.post("/api/v1/webhooks", &hook);
    assert_status(&hook, 201);
    let send = json!({"webhook": hook.json["id"], "event_type": "order.shipped", "data": {}});
    let call = json!({"tool": "weather", "arguments": {}});
    // The same through a workflow that is a tool, which has no list of its own.
    workflow_tool(&me, "ask", &chain(&[("call", "tool", call.clone())]));
    let host = app().llm.url.trim_start_matches("http://");
    for (node, data) in [
        ("tool", call),
        ("webhook", send),
        ("tool", json!({"tool": "ask", "arguments": {}})),
    ] {
        let mut document = chain(&[("n", node, data)]);
        document["settings"] = json!({"egress": []});
        let refused = error(&me, &document, json!({}));
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("settings.egress"),
            "{refused}"
        );
        document["settings"] = json!({"egress": [host]});
        output(&me, &document, json!({}));
    }
}
