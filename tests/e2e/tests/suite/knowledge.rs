//! Knowledge bases: documents become chunks, are found by words and by meaning, change, and move to other indexes.

use super::app;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/knowledge-base";

/// A base with the test model's vectors; its path.
fn base(me: &Tenant, settings: Value) -> String {
    let made = me.post(PATH, &json!({"name": "notes", "settings": settings}));
    assert_status(&made, 201);
    made.header("location").to_owned()
}

fn hashed() -> Value {
    json!({"embedding": {"model": "builtin/hash"}, "lexical": {"language": "english"}, "chunking": {"size": 200, "overlap": 0}})
}

fn drain(me: &Tenant) -> Reply {
    let drained = me.post(&format!("{PATH}/drain"), &json!({}));
    assert_status(&drained, 200);
    drained
}

/// Drains until something holds; on a host with a ticker somebody else may have the work.
fn until(me: &Tenant, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} has not come");
        drain(me);
    }
}

/// Adds documents and gives their ids.
fn add(me: &Tenant, base: &str, documents: Value) -> Vec<String> {
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
fn settled(me: &Tenant, base: &str, id: &str) -> Value {
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

fn ready(me: &Tenant, base: &str, ids: &[String]) {
    for id in ids {
        let document = settled(me, base, id);
        assert_eq!(document["status"], "ready", "{document}");
    }
}

fn search(me: &Tenant, base: &str, body: Value) -> Value {
    let found = me.post(&format!("{base}/search"), &body);
    assert_status(&found, 200);
    found.json
}

fn titles(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().unwrap().iter();
    results.map(|one| one["title"].as_str().unwrap()).collect()
}

fn zoo() -> Value {
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

fn integrity(me: &Tenant, base: &str) {
    let report = me.get(&format!("{base}/report?recount=true")).json;
    let counts = &report["integrity"];
    assert_eq!(counts["chunk_count"], counts["counted"], "{report}");
    assert_eq!(counts["term_count"], counts["counted_terms"], "{report}");
    assert_eq!(counts["wrong_terms"], 0, "{report}");
}

#[test]
fn an_edit_embeds_only_what_changed_and_statistics_stay_exact() {
    let me = app().tenant();
    let secret = json!({"name": "STANDIN_KEY", "value": "sk-test"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    // Letters alone: numbers in a model's name tell the stand-in how to behave.
    let letters = uuid::Uuid::new_v4().simple().to_string();
    let letters = letters.replace(|c: char| c.is_ascii_digit(), "x");
    let model = format!("embed-edit-{letters}");
    let path = base(
        &me,
        json!({"chunking": {"size": 60, "overlap": 0},
        "embedding": {"model": model, "base_url": app().llm.openai(), "key_secret": "STANDIN_KEY", "dimensions": 32}}),
    );
    let text = "The first paragraph is about the moon.\n\nThe second paragraph is about tides.\n\nThe third paragraph is about boats.";
    let ids = add(&me, &path, json!([{"title": "sea", "text": text}]));
    ready(&me, &path, &ids);
    let asked = || -> Vec<Value> {
        let requests = app().llm.requests().into_iter();
        let mine = requests
            .filter(|r| r.path.ends_with("/embeddings") && r.body["model"] == model.as_str());
        mine.map(|r| r.body["input"].clone()).collect()
    };
    assert_eq!(
        asked()
            .iter()
            .map(|texts| texts.as_array().unwrap().len())
            .sum::<usize>(),
        3
    );
    let chunks =
        |me: &Tenant| me.get(&format!("{path}/documents/{}/chunks", ids[0])).json["data"].clone();
    let before = chunks(&me);
    let content = format!("{path}/documents/{}/content", ids[0]);
    let changed = text.replace("about tides", "about the tides");
    assert_status(&me.put_with(&content, &[], &json!({"text": changed})), 200);
    ready(&me, &path, &ids);
    assert_eq!(
        asked().last(),
        Some(&json!(["The second paragraph is about the tides."]))
    );
    let after = chunks(&me);
    assert_eq!(
        before[0]["id"], after[0]["id"],
        "what says the same is the same chunk"
    );
    assert_ne!(before[1]["id"], after[1]["id"]);
    let whole = me.get(&format!("{path}/documents/{}", ids[0])).json["content"]
        .as_str()
        .unwrap()
        .to_owned();
    for chunk in after.as_array().unwrap() {
        let (start, end) = (
            chunk["start_offset"].as_u64().unwrap() as usize,
            chunk["end_offset"].as_u64().unwrap() as usize,
        );
        let part: String = whole.chars().skip(start).take(end - start).collect();
        assert_eq!(chunk["content"], part);
    }
    integrity(&me, &path);
    let found = search(&me, &path, json!({"query": "boats", "expand": "window"}));
    assert!(
        found["results"][0]["expanded"]["content"]
            .as_str()
            .unwrap()
            .contains("tides"),
        "{found}"
    );
    assert_status(&me.delete(&format!("{path}/documents/{}", ids[0])), 204);
    integrity(&me, &path);
    assert_eq!(
        search(&me, &path, json!({"query": "moon"}))["results"],
        json!([])
    );
}

#[test]
fn what_cannot_be_embedded_fails_with_a_reason_and_can_be_tried_again() {
    let me = app().tenant();
    let path = base(
        &me,
        json!({"embedding": {"model": "text-embedding-stand-in", "base_url": app().llm.openai(),
        "key_secret": "LATE_KEY"}}),
    );
    let ids = add(
        &me,
        &path,
        json!([{"title": "a", "text": "Nobody has given the key yet."}]),
    );
    let failed = settled(&me, &path, &ids[0]);
    assert_eq!(
        (&failed["status"], &failed["error"]["kind"]),
        (&json!("failed"), &json!("secret_missing")),
        "{failed}"
    );
    assert_eq!(
        me.get(&format!("{path}/documents?status=failed")).json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        me.get(&format!("{path}/report")).json["failed"][0]["document_id"],
        json!(ids[0])
    );
    assert_status(
        &me.post(
            "/api/v1/secrets",
            &json!({"name": "LATE_KEY", "value": "sk-test"}),
        ),
        201,
    );
    let retry = format!("{path}/documents/{}/retry", ids[0]);
    assert_status(&me.post(&retry, &json!({})), 200);
    ready(&me, &path, &ids);
    assert_problem(&me.post(&retry, &json!({})), 409, "conflict");
}

#[test]
fn a_provider_that_is_busy_is_asked_again_later() {
    let me = app().tenant();
    let path = base(
        &me,
        json!({"embedding": {"model": "embed-429", "base_url": app().llm.openai(), "key_secret": "BUSY_KEY"}}),
    );
    assert_status(
        &me.post(
            "/api/v1/secrets",
            &json!({"name": "BUSY_KEY", "value": "sk-test"}),
        ),
        201,
    );
    let ids = add(
        &me,
        &path,
        json!([{"title": "a", "text": "It has to wait."}]),
    );
    let shown = || me.get(&format!("{path}/documents/{}", ids[0])).json;
    until(&me, "a wait", || shown()["error"]["kind"] == "rate_limited");
    assert_ne!(shown()["status"], "failed", "it is not given up");
    assert_status(&me.delete(&path), 204);
}

#[test]
fn another_index_is_built_beside_and_switched_to() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let mut ids = add(&me, &path, zoo());
    ready(&me, &path, &ids);
    let rebuilt = me.post(&format!("{path}/rebuild"), &json!({"settings": {"chunking": {"strategy": "sentence", "window": 1}, "embedding": {"model": "builtin/hash", "dimensions": 64}}}));
    assert_status(&rebuilt, 202);
    assert_eq!(rebuilt.json["number"], 2);
    ids.extend(add(
        &me,
        &path,
        json!([{"title": "late", "text": "Zebras came in between. They have stripes."}]),
    ));
    until(&me, "the switch", || {
        me.get(&path).json["active_index"] == 2
    });
    ready(&me, &path, &ids);
    let found = search(&me, &path, json!({"query": "stripes", "expand": "parent"}));
    assert_eq!(found["results"][0]["content"], "They have stripes.");
    assert_eq!(
        found["results"][0]["expanded"]["content"],
        "Zebras came in between. They have stripes."
    );
    integrity(&me, &path);
    // The way back, for what came in meanwhile too.
    until(&me, "both indexes", || {
        me.get(&path).json["indexes"][0]["jobs"]
            .as_object()
            .unwrap()
            .keys()
            .all(|state| state == "done")
    });
    assert_status(
        &me.post(&format!("{path}/indexes/1/activate"), &json!({})),
        200,
    );
    let found = search(&me, &path, json!({"query": "stripes", "mode": "lexical"}));
    assert_eq!(
        found["results"][0]["content"],
        "Zebras came in between. They have stripes."
    );
    assert_problem(&me.delete(&format!("{path}/indexes/1")), 409, "conflict");
    assert_status(&me.delete(&format!("{path}/indexes/2")), 204);
    assert_problem(
        &me.post(&format!("{path}/indexes/2/activate"), &json!({})),
        404,
        "not-found",
    );
    integrity(&me, &path);
}

#[test]
fn duplicates_are_told_and_left_out_where_wanted() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(
        &me,
        &path,
        json!([{"title": "one", "text": "The same words."}]),
    );
    let again = |skip: bool| {
        let body = json!({"documents": [{"title": "two", "text": "The same words."}], "skip_duplicates": skip});
        me.post(&format!("{path}/documents"), &body).json["documents"][0].clone()
    };
    assert_eq!(
        again(true),
        json!({"id": null, "title": "two", "duplicate_of": ids[0]})
    );
    assert_eq!(again(false)["duplicate_of"], json!(ids[0]));
    let report = me.get(&format!("{path}/report")).json;
    assert_eq!(
        report["duplicates"][0]["documents"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn files_and_pages_become_documents() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let upload = me.send(
        Method::POST,
        "/api/v1/files?name=notes.md",
        &[("content-type", "text/markdown")],
        b"# Notes\n\nOtters hold hands.\n".to_vec(),
    );
    assert_status(&upload, 201);
    let page = format!("{}/web/page", app().llm.url);
    let ids = add(
        &me,
        &path,
        json!([{"title": "notes", "file_id": upload.json["id"]}, {"url": page}]),
    );
    ready(&me, &path, &ids);
    let found = search(&me, &path, json!({"query": "otters"}));
    assert_eq!(
        (titles(&found)[0], &found["results"][0]["document_id"]),
        ("notes", &json!(ids[0]))
    );
    let document = me.get(&format!("{path}/documents/{}", ids[1])).json;
    assert_eq!(document["source_uri"], json!(page));
    assert!(document["fetched_at"].is_string(), "{document}");
    // Nothing has changed there: the document stays as it is.
    assert_status(
        &me.post(&format!("{path}/documents/{}/refresh", ids[1]), &json!({})),
        200,
    );
    ready(&me, &path, &ids);
    let other = app().tenant();
    let theirs = base(&other, hashed());
    let body = json!({"documents": [{"file_id": upload.json["id"]}]});
    let refused = other.post(&format!("{theirs}/documents"), &body);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"][0]["pointer"], "/documents/0/file_id");
}

#[test]
fn the_pages_of_a_sitemap_become_documents_once() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let sitemap = format!("{}/web/sitemap.xml", app().llm.url);
    let ids = add(&me, &path, json!([{"sitemap": sitemap}]));
    ready(&me, &path, &ids);
    let of = |query: String| {
        me.get(&format!("{path}/documents?{query}")).json["data"]
            .as_array()
            .unwrap()
            .clone()
    };
    let pages = || of(format!("origin_id={}", ids[0]));
    until(&me, "two pages", || {
        pages()
            .iter()
            .filter(|page| page["status"] == "ready")
            .count()
            == 2
    });
    assert_eq!(
        me.get(&format!("{path}/documents/{}", ids[0])).json["progress"],
        json!({"found": 2, "added": 2})
    );
    assert_status(
        &me.post(&format!("{path}/documents/{}/refresh", ids[0]), &json!({})),
        200,
    );
    ready(&me, &path, &ids);
    assert_eq!(pages().len(), 2, "what is there is not added again");
    assert_eq!(of("source_kind=sitemap".to_owned()).len(), 1);
    assert_problem(
        &me.get(&format!("{path}/documents?status=lost")),
        400,
        "invalid-input",
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
