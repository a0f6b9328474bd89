//! Knowledge bases: a document changes all at once, statistics are exact whoever dies, only the last lease writes, and scores are
//! those of a recount.

mod answers;
mod best;
mod indexes;
mod ingest;
mod search;
mod vectors;

use migrations_tests::{Database, Session, Tenant, command, id, service};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A step of a job, as its owner.
async fn step(worker: &Session, taken: &Value, name: &str, more: Value) -> Value {
    let mut args = json!({"job_id": taken["job"]["id"], "lease_token": taken["job"]["lease_token"], "step": name});
    let map = args.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    let claims = taken["claims"].as_str().expect("claims");
    let sql = "SELECT nodeai.act($1, 'authenticated', 'knowledge_step', $2)";
    let row = worker.client().query_one(sql, &[&claims, &args]).await;
    row.unwrap_or_else(|error| panic!("{name}: {error:?}"))
        .get(0)
}

async fn base(me: &Session) -> String {
    let base = id();
    let settings = json!({"lexical": {"analyser": "none"}, "search": {"k1": 1.2, "b": 0.75}});
    let made = command(
        me,
        "knowledge_create",
        json!({"id": base, "name": "k", "settings": settings}),
    )
    .await;
    assert_eq!(made["outcome"], "done", "{made}");
    base
}

async fn add(me: &Session, base: &str, text: &str) -> String {
    let document = id();
    let row = json!({"id": document, "title": "d", "source_kind": "text", "content": text, "content_hash": text});
    let made = command(
        me,
        "knowledge_add",
        json!({"knowledge_base_id": base, "documents": [row], "skip_duplicates": false}),
    )
    .await;
    assert_eq!(made["outcome"], "done", "{made}");
    document
}

/// A chunk for each sentence, its terms the words.
fn chunks(text: &str) -> Vec<Value> {
    let mut at = 0;
    let parts = text.split_inclusive('.').enumerate();
    parts
        .map(|(number, part)| {
            let start = at;
            at += part.len();
            let mut terms: BTreeMap<&str, u32> = BTreeMap::new();
            let words: Vec<&str> = part.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
            words.iter().for_each(|word| *terms.entry(word).or_insert(0) += 1);
            json!({"number": number, "start": start, "end": at, "content": part, "content_hash": part, "tokens": 1,
                "length": words.len(), "terms": terms, "metadata": {}})
        })
        .collect()
}

async fn ingest(worker: &Session, text: &str) -> Value {
    let taken = service(worker, "knowledge_claim", json!({})).await;
    assert_eq!(taken["outcome"], "claimed", "{taken}");
    let made = chunks(text);
    let staged = step(
        worker,
        &taken,
        "stage",
        json!({"first": 0, "total": made.len(), "chunks": made, "vectors": []}),
    )
    .await;
    assert_eq!(staged["outcome"], "ok", "{staged}");
    let done = step(worker, &taken, "publish", json!({"total": made.len()})).await;
    assert_eq!(done["outcome"], "ok", "{done}");
    taken
}

async fn exact(me: &Session, base: &str) {
    let report = me
        .call("knowledge_report", json!({"id": base, "recount": true}))
        .await;
    let counts = &report["integrity"];
    assert_eq!(
        (
            &counts["counted"],
            &counts["counted_terms"],
            &counts["wrong_terms"]
        ),
        (&counts["chunk_count"], &counts["term_count"], &json!(0)),
        "{report}"
    );
}

async fn tenant(db: &Database) -> (Tenant, Session, Session) {
    let tenant = db.tenant("a").await;
    let session = tenant.session(db).await;
    (tenant, session, db.session().await)
}

const TEXTS: [&str; 3] = [
    "the whale sings. the whale dives deep.",
    "a bird sings and sings. a bird flies.",
    "deep water.",
];
