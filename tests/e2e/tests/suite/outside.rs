//! Nodes that reach outside: models that give numbers, requests in batches, forms with files, databases of the user's own.

use super::{app, runs::graph};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{Tenant, assert_problem, assert_status, database};
use serde_json::{Value, json};

/// input → the node → output.
fn alone(kind: &str, data: Value) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "n", "type": kind, "data": data},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
    ]);
    graph(nodes, &[("in", None, "n"), ("n", None, "out")])
}

fn output(me: &Tenant, kind: &str, data: Value, inputs: Value) -> Value {
    let run = me.run(&alone(kind, data), inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    run.json["outputs"]["out"].clone()
}

fn error(me: &Tenant, kind: &str, data: Value, inputs: Value) -> Value {
    let run = me.run(&alone(kind, data), inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "failed", "{}", run.text);
    run.json["error"].clone()
}

/// A model at the stand-in.
fn at_stand_in(mut data: Value) -> Value {
    data["base_url"] = app().llm.openai().into();
    data["api_key"] = "sk-stand-in".into();
    data
}

#[test]
fn texts_become_vectors_in_batches_that_are_metered_and_traced() {
    let me = app().tenant();
    let texts = json!(["a red car", "a red bus", "whales sing ".repeat(50)]);
    let data = at_stand_in(
        json!({"model": "text-embedding-stand-in", "texts": "{{ inputs.texts }}", "batch_size": 2, "dimensions": 16}),
    );
    let run = me.run(&alone("embed", data.clone()), json!({"texts": texts}));
    assert_status(&run, 200);
    let made = &run.json["outputs"]["out"];
    let vectors: Vec<Vec<f64>> = serde_json::from_value(made["vectors"].clone()).unwrap();
    assert_eq!((vectors.len(), vectors[0].len()), (3, 16), "{}", run.text);
    let near = |a: usize, b: usize| -> f64 {
        vectors[a].iter().zip(&vectors[b]).map(|(x, y)| x * y).sum()
    };
    assert!(near(0, 1) > near(0, 2), "in the order of the texts");
    let tokens = made["usage"]["prompt_tokens"].as_i64().unwrap();
    assert!(tokens > 0);
    assert_eq!(run.json["usage"]["prompt_tokens"], tokens);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    let span = trace.json.to_string();
    assert!(
        span.contains("\"gen_ai.operation.name\":\"embeddings\""),
        "{span}"
    );
    // The second batch has no room: what the first one cost stays spent.
    let body = json!({"definition": alone("embed", data), "inputs": {"texts": texts}, "budget": {"tokens": 200}});
    let refused = me.post("/api/v1/workflows/execute", &body);
    assert_status(&refused, 200);
    assert_eq!(
        refused.json["error"]["kind"], "budget_exceeded",
        "{}",
        refused.text
    );
    let used = refused.json["usage"]["prompt_tokens"].as_i64().unwrap();
    assert!((1..tokens).contains(&used), "{used} of {tokens}");
}

#[test]
fn documents_are_ranked_and_a_failing_model_says_so() {
    let me = app().tenant();
    let documents = json!([{"id": 1, "text": "a red car"}, {"id": 2, "text": "whales sing"}, {"id": 3, "text": "a whale sings of whales"}]);
    let data = at_stand_in(
        json!({"model": "rerank-stand-in", "query": "whales sing", "documents": "{{ inputs.documents }}", "top_n": 2}),
    );
    let ranked = output(&me, "rerank", data, json!({"documents": documents}));
    assert_eq!(ranked["documents"], json!([documents[1], documents[2]]));
    assert!(ranked["results"][0]["score"].as_f64() > ranked["results"][1]["score"].as_f64());
    let failing = at_stand_in(json!({"model": "rerank-429", "query": "x", "documents": ["y"]}));
    let error = error(&me, "rerank", failing, json!({}));
    assert_eq!(error["kind"], "rate_limited", "{error}");
}

#[test]
fn a_batch_sends_one_request_for_each_item() {
    let me = app().tenant();
    let url = format!(
        "{}/web/echo?n={{{{ item.n }}}}&at={{{{ index }}}}",
        app().llm.url
    );
    let data = json!({"url": url, "method": "POST", "body": {"name": "{{ item.name }}"},
        "batch": {"items": "{{ inputs.people }}", "size": 2, "interval_ms": 1}});
    let people: Vec<Value> = (0..5)
        .map(|n| json!({"n": n, "name": format!("p{n}")}))
        .collect();
    let made = output(&me, "http", data, json!({"people": people}));
    assert_eq!(made["failed"], 0);
    let items = made["items"].as_array().unwrap();
    assert_eq!(items.len(), 5);
    let mut keys = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let body = &item["body"];
        assert_eq!(
            body["query"],
            json!({"n": at.to_string(), "at": at.to_string()})
        );
        assert_eq!(body["body"], json!({"name": format!("p{at}")}).to_string());
        keys.push(body["headers"]["idempotency-key"].to_string());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5, "each has a key of its own");
}

#[test]
fn a_batch_fails_with_its_first_failure_or_keeps_it() {
    let me = app().tenant();
    let url = format!("{}/web/status/{{{{ item }}}}", app().llm.url);
    let data = |on_error: &str| json!({"url": url, "batch": {"items": [200, 404, 204], "on_error": on_error}});
    let kept = output(&me, "http", data("keep"), json!({}));
    assert_eq!(kept["failed"], 1);
    assert_eq!(kept["items"][1]["error"]["kind"], "http_status");
    assert_eq!(kept["items"][2]["status"], 204);
    assert_eq!(
        error(&me, "http", data("fail"), json!({}))["kind"],
        "http_status"
    );
    // Names of the batch are unknown without one.
    let mut without = data("keep");
    without.as_object_mut().unwrap().remove("batch");
    let refused = me.run(&alone("http", without), json!({}));
    assert_problem(&refused, 400, "invalid-input");
    let private = json!({"url": "http://10.0.0.{{ item }}/", "batch": {"items": [1]}});
    assert_eq!(
        error(&me, "http", private, json!({}))["kind"],
        "url_refused"
    );
}

#[test]
fn forms_and_files_arrive_as_they_were_given() {
    let me = app().tenant();
    let data = json!({"url": format!("{}/web/form", app().llm.url), "method": "POST", "body_type": "multipart", "body": {
        "note": "{{ inputs.note }}",
        "file": {"filename": "a.bin", "content_type": "image/png", "base64": "AP8Q"},
    }});
    let made = output(&me, "http", data, json!({"note": "grüße"}));
    // In the order in which the store keeps an object's members.
    let expected = json!([
        {"name": "file", "filename": "a.bin", "content_type": "image/png", "bytes": [0, 255, 16]},
        {"name": "note", "filename": null, "content_type": null, "bytes": "grüße".as_bytes()},
    ]);
    assert_eq!(made["body"], expected);
    let data = json!({"url": format!("{}/web/echo", app().llm.url), "method": "POST", "body_type": "form",
        "body": {"q": "a b", "n": [1, 2]}, "response_type": "base64"});
    let made = output(&me, "http", data, json!({}));
    let said = BASE64_STANDARD.decode(made["body"].as_str().unwrap());
    let said: Value = serde_json::from_slice(&said.unwrap()).unwrap();
    assert_eq!(said["body"], "n=1&n=2&q=a+b");
}

/// A database beside the application's own; none where the suite does not know a server.
fn shop() -> Option<String> {
    let own = &app().database_url;
    let (server, _) = own.rsplit_once('/').filter(|_| !own.is_empty())?;
    let name = format!("shop_{}", uuid::Uuid::new_v4().simple());
    database::execute(own, &format!("CREATE DATABASE {name}"));
    let url = format!("{server}/{name}");
    database::execute(
        &url,
        "CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric(10,2), placed timestamptz, tags jsonb);
         INSERT INTO orders VALUES (1, 'Ada', 10.50, '2026-01-02T03:04:05Z', '[\"new\"]'), (2, 'Bob', 99, NULL, NULL), (3, 'Ada', 7, NULL, NULL)",
    );
    Some(url)
}

#[test]
fn a_database_of_ones_own_is_asked_with_values_beside_the_statement() {
    let Some(url) = shop() else { return };
    let me = app().tenant();
    let made = me.post("/api/v1/secrets", &json!({"name": "SHOP", "value": url}));
    assert_status(&made, 201);
    let node = |more: Value| {
        let mut data = json!({"url": "{{ secrets.SHOP }}"});
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        data
    };
    let find = node(
        json!({"sql": "SELECT id, total, placed, tags FROM orders WHERE customer = $1 AND total > $2 ORDER BY id", "params": ["{{ inputs.who }}", 5]}),
    );
    let found = output(&me, "postgres", find.clone(), json!({"who": "Ada"}));
    assert_eq!(found["row_count"], 2, "{found}");
    assert_eq!(found["rows"][0]["total"], 10.5);
    assert_eq!(found["rows"][0]["tags"], json!(["new"]));
    assert!(
        found["rows"][0]["placed"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-02T")
    );
    let evil = output(
        &me,
        "postgres",
        find,
        json!({"who": "'; DROP TABLE orders; --"}),
    );
    assert_eq!(evil["row_count"], 0);
    let add = node(
        json!({"sql": "INSERT INTO orders (id, customer, total, placed, tags) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        "params": [4, "Eve", 1.25, null, {"a": [true]}]}),
    );
    assert_eq!(
        output(&me, "postgres", add, json!({}))["rows"],
        json!([{"id": 4}])
    );
    let change = node(
        json!({"sql": "UPDATE orders SET total = 0 WHERE id = $1", "params": [4], "rows": false}),
    );
    output(&me, "postgres", change, json!({}));
    let left = node(json!({"sql": "SELECT total, tags FROM orders", "max_rows": 3}));
    let left = output(&me, "postgres", left, json!({}));
    assert_eq!(
        (&left["row_count"], &left["truncated"]),
        (&json!(3), &json!(true))
    );
    let wrong = node(json!({"sql": "SELECT nothing FROM nowhere"}));
    let wrong = error(&me, "postgres", wrong, json!({}));
    assert_eq!(wrong["kind"], "database");
    assert!(
        wrong["message"].as_str().unwrap().contains("42P01"),
        "{wrong}"
    );
}

#[test]
fn only_listed_databases_are_reached() {
    let me = app().tenant();
    for url in [
        "postgres://me@db.internal.example/x",
        "postgres://me@[::1]:5432/x",
    ] {
        let refused = error(
            &me,
            "postgres",
            json!({"url": url, "sql": "SELECT 1"}),
            json!({}),
        );
        assert_eq!(refused["kind"], "database_refused", "{refused}");
    }
}
