//! Knowledge bases: documents become chunks, are found by words and by meaning, change, and move to other indexes.

use super::app;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/knowledge-base";

/// A base with the test model's vectors; its path.
pub fn base(me: &Tenant, settings: Value) -> String {
    let made = me.post(PATH, &json!({"name": "notes", "settings": settings}));
    assert_status(&made, 201);
    made.header("location").to_owned()
}

pub fn hashed() -> Value {
    json!({"embedding": {"model": "builtin/hash"}, "lexical": {"language": "english"}, "chunking": {"size": 200, "overlap": 0}})
}

fn drain(me: &Tenant) {
    assert_status(&me.post(&format!("{PATH}/drain"), &json!({})), 200);
}

/// Drains until something holds; on a host with a ticker somebody else may have the work.
pub fn until(me: &Tenant, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} has not come");
        drain(me);
    }
}

/// Adds documents and gives their ids.
pub fn add(me: &Tenant, base: &str, documents: Value) -> Vec<String> {
    let added = me.post(
        &format!("{base}/documents"),
        &json!({"documents": documents}),
    );
    assert_status(&added, 202);
    let ids = added.json["documents"].as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a document is as it stays; gives it.
pub fn settled(me: &Tenant, base: &str, id: &str) -> Value {
    let path = format!("{base}/documents/{id}");
    let status = || {
        me.get(&path).json["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    until(me, "an end", || matches!(&*status(), "ready" | "failed"));
    me.get(&path).json
}

pub fn ready(me: &Tenant, base: &str, ids: &[String]) {
    for id in ids {
        let document = settled(me, base, id);
        assert_eq!(document["status"], "ready", "{document}");
    }
}

pub fn search(me: &Tenant, base: &str, body: Value) -> Value {
    let found = me.post(&format!("{base}/search"), &body);
    assert_status(&found, 200);
    found.json
}

pub fn titles(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().unwrap().iter();
    results.map(|one| one["title"].as_str().unwrap()).collect()
}

pub fn zoo() -> Value {
    json!([
        {"title": "whales", "text": "Whales sing in the deep sea. Their songs travel far.", "metadata": {"kind": "animal", "year": 2019}},
        {"title": "cars", "text": "A red car stands in the street. Cars need fuel.", "metadata": {"kind": "thing", "year": 2021}},
        {"title": "birds", "text": "Birds sing in the morning, and fly south in autumn.", "metadata": {"kind": "animal", "year": 2023, "tags": ["sky"]}},
    ])
}

#[test]
fn a_base_is_made_shown_changed_and_removed() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let shown = me.get(&path);
    assert_status(&shown, 200);
    assert_eq!(shown.json["indexes"][0]["status"], "active");
    assert_eq!(shown.json["settings"]["lexical"]["analyser"], "english");
    let changed = me.patch(
        &path,
        &json!({"name": "other", "search": {"k1": 2.0, "b": 0.5}}),
    );
    assert_status(&changed, 200);
    assert_eq!(
        changed.json["settings"]["search"],
        json!({"k1": 2.0, "b": 0.5})
    );
    let stale = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"name": "late"}));
    assert_problem(&stale, 412, "stale-version");
    let listed = me.get(&format!("{PATH}?q=OTH")).json;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let stranger = app().tenant();
    assert_problem(&stranger.get(&path), 404, "not-found");
    assert_problem(
        &stranger.post(
            &format!("{path}/search"),
            &json!({"query": "x", "mode": "lexical"}),
        ),
        404,
        "not-found",
    );
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
}

#[test]
fn bad_input_has_pointers() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let cases = [
        (
            PATH.to_owned(),
            json!({"name": "x", "settings": {"chunking": {"size": 3}}}),
            "/settings/chunking/size",
        ),
        (
            PATH.to_owned(),
            json!({"name": "x", "settings": {"search": {"b": 7}}}),
            "/settings/search/b",
        ),
        (
            PATH.to_owned(),
            json!({"name": "x", "settings": {"search": {"weights": {"vector": 101}}}}),
            "/settings/search/weights/vector",
        ),
        (
            format!("{path}/documents"),
            json!({"documents": []}),
            "/documents",
        ),
        (
            format!("{path}/documents"),
            json!({"documents": [{"text": "a", "url": "https://a.example"}]}),
            "/documents/0",
        ),
        (
            format!("{path}/documents"),
            json!({"documents": [{"url": "http://169.254.169.254/latest"}]}),
            "/documents/0/url",
        ),
        (
            format!("{path}/documents"),
            json!({"documents": [{"sitemap": "ftp://a.example/x"}]}),
            "/documents/0/sitemap",
        ),
        (
            format!("{path}/search"),
            json!({"query": "x", "filter": {"a": {"near": 1}}}),
            "/filter/a/near",
        ),
        (
            format!("{path}/search"),
            json!({"query": "x", "k": 0}),
            "/k",
        ),
        (format!("{path}/search"), json!({"query": " "}), "/query"),
        (
            format!("{path}/rebuild"),
            json!({"settings": {"chunking": {"overlap": 900}}}),
            "/settings/chunking/overlap",
        ),
    ];
    for (path, body, pointer) in cases {
        let reply = me.post(&path, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
    let plain = base(&me, json!({}));
    let reply = me.post(
        &format!("{plain}/search"),
        &json!({"query": "x", "mode": "vector"}),
    );
    assert_problem(&reply, 422, "does-not-fit");
    let reply = me.post(
        &format!("{path}/search"),
        &json!({"query": "x", "index": 9}),
    );
    assert_problem(&reply, 404, "not-found");
}

#[test]
fn what_a_search_leaves_out_is_as_the_base_says() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(&me, &path, zoo());
    ready(&me, &path, &ids);
    let usual = search(&me, &path, json!({"query": "sing"}));
    assert_eq!(usual["mode"], "hybrid");
    let settings = json!({"mode": "lexical", "k": 1, "fusion": "weighted", "weights": {"lexical": 2}, "rrf_k": 10});
    assert_status(&me.patch(&path, &json!({"search": settings})), 200);
    let found = search(&me, &path, json!({"query": "sing"}));
    assert_eq!(
        (&found["mode"], titles(&found).len()),
        (&json!("lexical"), 1)
    );
    assert!(found["took_ms"].as_f64().unwrap() > 0.0, "{found}");
    // What is said counts.
    let both = search(
        &me,
        &path,
        json!({"query": "sing", "mode": "hybrid", "k": 3}),
    );
    assert_eq!((&both["mode"], titles(&both).len()), (&json!("hybrid"), 3));
    let bare = search(
        &me,
        &path,
        json!({"query": "sing", "k": 400, "content": false}),
    );
    let first = &bare["results"][0];
    assert!(first["chunk_id"].is_string() && first["document_id"].is_string());
    assert!(first.get("content").is_none() && first.get("metadata").is_none());
    let many = json!({"query": "sing", "k": 101});
    assert_problem(
        &me.post(&format!("{path}/search"), &many),
        400,
        "invalid-input",
    );
    // An index without vectors is searched by words, whatever the base says.
    let plain = base(&me, json!({"search": {"mode": "vector"}}));
    assert_eq!(
        search(&me, &plain, json!({"query": "x"}))["mode"],
        "lexical"
    );
}

#[test]
fn documents_are_found_by_words_by_meaning_and_by_both() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(&me, &path, zoo());
    ready(&me, &path, &ids);
    let lexical = search(
        &me,
        &path,
        json!({"query": "singing whale", "mode": "lexical", "explain": true}),
    );
    assert_eq!(titles(&lexical), ["whales", "birds"], "stems are the same");
    let first = &lexical["results"][0];
    assert_eq!(first["explain"]["lexical"]["rank"], 1);
    let part = |term: &str| first["explain"]["terms"][term]["score"].as_f64().unwrap();
    let sum = part("sing") + part("whale");
    assert!(
        (sum - first["score"].as_f64().unwrap()).abs() < 1e-12,
        "{first}"
    );
    assert_eq!(
        first["content"],
        "Whales sing in the deep sea. Their songs travel far."
    );
    let vector = search(
        &me,
        &path,
        json!({"query": "red car", "mode": "vector", "k": 2, "explain": true}),
    );
    assert_eq!(titles(&vector)[0], "cars");
    assert!(vector["usage"]["prompt_tokens"].as_i64().unwrap() > 0);
    let cosine = vector["results"][0]["explain"]["vector"]["score"]
        .as_f64()
        .unwrap();
    assert!((0.1..=1.0).contains(&cosine), "{cosine}");
    for fusion in ["rrf", "weighted"] {
        let both = search(
            &me,
            &path,
            json!({"query": "birds sing", "fusion": fusion, "explain": true}),
        );
        assert_eq!(
            (titles(&both)[0], &both["mode"]),
            ("birds", &json!("hybrid"))
        );
        let why = &both["results"][0]["explain"];
        assert_eq!(
            (&why["lexical"]["rank"], &why["fused"]["rank"]),
            (&json!(1), &json!(1)),
            "{why}"
        );
    }
    let ranked = search(
        &me,
        &path,
        json!({"query": "fuel", "rerank": {"model": "builtin/hash"}, "k": 1, "explain": true}),
    );
    assert_eq!(titles(&ranked), ["cars"]);
    assert_eq!(ranked["results"][0]["explain"]["reranked"]["rank"], 1);
    let thinned = search(
        &me,
        &path,
        json!({"query": "sing", "mmr": {"lambda": 0.3}, "k": 2, "explain": true}),
    );
    assert_eq!(thinned["results"][1]["explain"]["diversified"], 2);
}

#[test]
fn filters_narrow_what_is_searched() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(&me, &path, zoo());
    ready(&me, &path, &ids);
    let cases = [
        (json!({"kind": "animal"}), vec!["birds", "whales"]),
        (json!({"year": {"gte": 2021}}), vec!["birds", "cars"]),
        (json!({"kind": {"in": ["thing", "x"]}}), vec!["cars"]),
        (json!({"tags": "sky"}), vec!["birds"]),
        (
            json!({"not": {"tags": {"exists": true}}}),
            vec!["cars", "whales"],
        ),
        (
            json!({"or": [{"year": 2019}, {"kind": "thing"}]}),
            vec!["cars", "whales"],
        ),
    ];
    for mode in ["lexical", "vector", "hybrid"] {
        for (filter, wanted) in &cases {
            let found = search(
                &me,
                &path,
                json!({"query": "whales sing birds red car street sea", "mode": mode, "filter": filter}),
            );
            let mut found = titles(&found);
            found.sort_unstable();
            assert_eq!(&found, wanted, "{mode} {filter}");
        }
    }
    let only = search(&me, &path, json!({"query": "sing", "documents": [ids[2]]}));
    assert_eq!(titles(&only), ["birds"]);
    let path = format!("{path}/documents/{}", ids[0]);
    assert_status(
        &me.patch(&path, &json!({"metadata": {"kind": "myth"}})),
        200,
    );
    let base = path.split("/documents").next().unwrap();
    assert_eq!(
        titles(&search(
            &me,
            base,
            json!({"query": "sing", "filter": {"kind": "myth"}})
        )),
        ["whales"]
    );
}

#[test]
fn a_search_can_be_followed_in_its_trace() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(&me, &path, zoo());
    ready(&me, &path, &ids);
    let found = me.post(&format!("{path}/search"), &json!({"query": "whales sing"}));
    assert_status(&found, 200);
    let trace = found.header("x-trace-id").to_owned();
    let deadline = Instant::now() + Duration::from_secs(20);
    let query = loop {
        let query = me.get(&format!("/api/v1/query-tracer/{trace}"));
        // Spans are stored after the answer.
        if query.status == 200 {
            break query;
        }
        assert!(Instant::now() < deadline, "{}", query.text);
    };
    let text = query.text;
    for stage in ["retrieval", "fusion", "select"] {
        assert!(text.contains(&format!("\"{stage}\"")), "{stage}: {text}");
    }
    assert!(
        text.contains(found.json["results"][0]["chunk_id"].as_str().unwrap()),
        "{text}"
    );
}

#[test]
fn a_key_for_searching_searches_and_nothing_else() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let key = |scopes: Value| {
        let made = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}));
        assert_status(&made, 201);
        app().with_credential(made.json["key"].as_str().unwrap())
    };
    let (searcher, reader) = (
        key(json!(["knowledge:run"])),
        key(json!(["knowledge:read"])),
    );
    let ask = json!({"query": "x"});
    assert_status(&searcher.post(&format!("{path}/search"), &ask), 200);
    assert_problem(
        &reader.post(&format!("{path}/search"), &ask),
        403,
        "scope-missing",
    );
    assert_problem(&searcher.delete(&path), 403, "scope-missing");
}
