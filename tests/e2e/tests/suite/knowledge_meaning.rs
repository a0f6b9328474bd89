//! Documents that are cut where their meaning turns: each sentence is embedded once.

use super::app;
use super::knowledge::{add, base, ready, search};
use e2e::assert_status;
use serde_json::{Value, json};

#[test]
fn a_text_that_is_cut_by_meaning_is_embedded_once() {
    let me = app().tenant();
    let secret = json!({"name": "STANDIN_KEY", "value": "sk-test"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    let letters = uuid::Uuid::new_v4().simple().to_string();
    let letters = letters.replace(|c: char| c.is_ascii_digit(), "x");
    let model = format!("embed-meaning-{letters}");
    let path = base(
        &me,
        json!({"chunking": {"strategy": "semantic", "breakpoint": 50},
        "embedding": {"model": model, "base_url": app().llm.openai(), "key_secret": "STANDIN_KEY", "dimensions": 32}}),
    );
    let sentences: Vec<String> = (0..80)
        .map(|i| format!("Sentence {i} tells of whale {}.", i * i))
        .collect();
    let text = sentences.join(" ");
    let ids = add(&me, &path, json!([{"title": "whales", "text": text}]));
    ready(&me, &path, &ids);
    let asked = || -> Vec<Value> {
        let requests = app().llm.requests().into_iter();
        let mine = requests
            .filter(|r| r.path.ends_with("/embeddings") && r.body["model"] == model.as_str());
        mine.flat_map(|r| r.body["input"].as_array().unwrap().clone())
            .collect()
    };
    let chunks = || {
        let listed = me.get(&format!("{path}/documents/{}/chunks?limit=200", ids[0]));
        listed.json["data"].as_array().unwrap().clone()
    };
    let first = asked();
    assert!(chunks().len() > 1, "it was cut");
    let sentences_asked = |texts: &[Value]| {
        texts
            .iter()
            .filter(|t| t.as_str().unwrap().len() < 120)
            .count()
    };
    assert!(sentences_asked(&first) >= 80, "{}", first.len());
    // An edit at the end has its own and its neighbour's context embedded again, and the chunks that it is in.
    let content = format!("{path}/documents/{}/content", ids[0]);
    let edited = text.replace("Sentence 79 tells", "Sentence 79 sings");
    assert_status(&me.put_with(&content, &[], &json!({"text": edited})), 200);
    ready(&me, &path, &ids);
    let again = asked().split_off(first.len());
    assert!(!again.is_empty());
    assert!(
        again
            .iter()
            .all(|text| text.as_str().unwrap().contains("Sentence 79 sings")
                || chunks().iter().any(|chunk| chunk["content"] == *text)),
        "{again:?}"
    );
    assert!(again.len() < 10, "{again:?}");
    let found = search(&me, &path, json!({"query": "sings", "mode": "lexical"}));
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
}
