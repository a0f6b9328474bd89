//! Documents of knowledge bases: embedded once, failing with reasons, moved to other indexes, taken from files, URLs and sitemaps.

use super::app;
use super::knowledge::{add, base, hashed, ready, search, settled, titles, until, zoo};
use e2e::{Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

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
    // It is asked again in an index that was built beside the first, when that is gone.
    let rebuilt = me.post(&format!("{path}/rebuild"), &json!({"settings": hashed()}));
    assert_status(&rebuilt, 202);
    until(&me, "the switch", || {
        me.get(&path).json["active_index"] == 2
    });
    assert_status(&me.delete(&format!("{path}/indexes/1")), 204);
    assert_status(
        &me.post(&format!("{path}/documents/{}/refresh", ids[0]), &json!({})),
        200,
    );
    ready(&me, &path, &ids);
    assert_eq!(pages().len(), 2);
    assert_problem(
        &me.get(&format!("{path}/documents?status=lost")),
        400,
        "invalid-input",
    );
}
