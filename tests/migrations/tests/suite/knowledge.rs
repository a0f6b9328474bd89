//! Knowledge bases: a document changes all at once, statistics are exact whoever dies, only the last lease writes, and scores are
//! those of a recount.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn command(session: &Session, name: &str, args: Value) -> Value {
    let command = json!({"do": name, "args": args, "answer": {"status": 200, "body": {}}});
    session.call("command", command).await
}

async fn service(worker: &Session, name: &str, args: Value) -> Value {
    let sql = "SELECT nodeai.act('{\"role\":\"service_role\"}', 'service_role', $1, $2)";
    let row = worker.client().query_one(sql, &[&name, &args]).await;
    row.unwrap_or_else(|error| panic!("{name}: {error:?}"))
        .get(0)
}

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

#[tokio::test]
async fn scores_are_those_of_a_recount() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let base = base(&me).await;
    for text in TEXTS {
        add(&me, &base, text).await;
        ingest(&worker, text).await;
    }
    exact(&me, &base).await;
    let asked = ["sings", "deep", "whale"];
    let terms: BTreeMap<&str, u32> = asked.iter().map(|term| (*term, 1)).collect();
    let found = me
        .call(
            "knowledge_search",
            json!({"id": base, "candidates": 10, "analyses": {"none": terms}, "explain": true}),
        )
        .await;
    // As the Python library bm25s gives them (method "lucene", k1 1.2, b 0.75).
    let published = [0.8361218, 0.7422927, 0.48321325, 0.47855204];
    for (hit, score) in found["lexical"].as_array().unwrap().iter().zip(published) {
        assert!(
            (hit["score"].as_f64().unwrap() - score).abs() < 1e-6,
            "{hit}: {score}"
        );
    }
    let all: Vec<Value> = TEXTS.iter().flat_map(|text| chunks(text)).collect();
    let count = all.len() as f64;
    let length = |chunk: &Value| chunk["length"].as_f64().unwrap();
    let mean = all.iter().map(length).sum::<f64>() / count;
    let score = |chunk: &Value| -> f64 {
        let parts = asked.iter().map(|term| {
            let df = all
                .iter()
                .filter(|c| c["terms"].get(term).is_some())
                .count() as f64;
            let tf = chunk["terms"]
                .get(term)
                .and_then(Value::as_f64)
                .unwrap_or(0.0);
            let idf = (1.0 + (count - df + 0.5) / (df + 0.5)).ln();
            idf * tf / (tf + 1.2 * (1.0 - 0.75 + 0.75 * length(chunk) / mean))
        });
        parts.sum()
    };
    let mut wanted: Vec<(f64, &str)> = all
        .iter()
        .map(|c| (score(c), c["content"].as_str().unwrap()))
        .filter(|(s, _)| *s > 0.0)
        .collect();
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let hits = found["lexical"].as_array().unwrap();
    assert_eq!(hits.len(), wanted.len(), "{found}");
    for (hit, (score, content)) in hits.iter().zip(wanted) {
        let chunk = found["chunks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["id"] == hit["id"])
            .unwrap();
        assert!(
            (hit["score"].as_f64().unwrap() - score).abs() < 1e-9,
            "{hit}: {score}"
        );
        assert_eq!(chunk["content"], content);
        let parts: f64 = hit["terms"]
            .as_object()
            .unwrap()
            .values()
            .map(|t| t["score"].as_f64().unwrap())
            .sum();
        assert!((parts - score).abs() < 1e-9);
    }
}

#[tokio::test]
async fn a_document_changes_all_at_once_and_leaves_nothing_behind() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let base = base(&me).await;
    let document = add(&me, &base, TEXTS[0]).await;
    ingest(&worker, TEXTS[0]).await;
    add(&me, &base, TEXTS[1]).await;
    ingest(&worker, TEXTS[1]).await;
    let change = json!({"do": "content", "id": document, "knowledge_base_id": base, "content": TEXTS[2], "content_hash": TEXTS[2]});
    assert_eq!(
        command(&me, "knowledge_document", change).await["outcome"],
        "done"
    );
    let taken = service(&worker, "knowledge_claim", json!({})).await;
    let made = chunks(TEXTS[2]);
    step(
        &worker,
        &taken,
        "stage",
        json!({"first": 0, "total": 1, "chunks": made, "vectors": []}),
    )
    .await;
    let found = |term: &'static str| {
        let ask = json!({"id": base, "candidates": 10, "analyses": {"none": {term: 1}}});
        async {
            me.call("knowledge_search", ask).await["lexical"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(
        (found("whale").await, found("water").await),
        (2, 0),
        "as it was"
    );
    step(&worker, &taken, "publish", json!({"total": 1})).await;
    assert_eq!(
        (found("whale").await, found("water").await),
        (0, 1),
        "as it is"
    );
    exact(&me, &base).await;
    let remove = json!({"do": "remove", "id": document, "knowledge_base_id": base});
    assert_eq!(
        command(&me, "knowledge_document", remove).await["outcome"],
        "done"
    );
    exact(&me, &base).await;
    assert_eq!(found("water").await, 0);
    assert_eq!(me.count("SELECT count(*) FROM public.chunks").await, 2);
    assert_eq!(
        me.count("SELECT count(*) FROM public.term_stats WHERE term = 'water'")
            .await,
        0
    );
}

#[tokio::test]
async fn who_was_killed_is_taken_over_and_only_the_last_lease_writes() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let base = base(&me).await;
    add(&me, &base, TEXTS[0]).await;
    let made = chunks(TEXTS[0]);
    let first = service(&worker, "knowledge_claim", json!({"lease_us": 0})).await;
    // It puts one chunk aside and dies; its lease is over at once.
    step(
        &worker,
        &first,
        "stage",
        json!({"first": 0, "total": 2, "chunks": made[..1], "vectors": [], "lease_us": 0}),
    )
    .await;
    let second = service(&worker, "knowledge_claim", json!({})).await;
    assert_eq!(second["job"]["id"], first["job"]["id"], "{second}");
    for (name, more) in [
        (
            "stage",
            json!({"first": 1, "total": 2, "chunks": made[1..], "vectors": []}),
        ),
        ("publish", json!({"total": 1})),
        ("end", json!({"state": "failed"})),
    ] {
        assert_eq!(
            step(&worker, &first, name, more).await["outcome"],
            "lost",
            "{name}"
        );
    }
    let loaded = step(&worker, &second, "load", json!({})).await;
    assert_eq!(loaded["staged"], 1, "what was put aside is still there");
    let early = step(&worker, &second, "publish", json!({"total": 2})).await;
    assert_eq!(early["outcome"], "restart", "half a document is none");
    let again = json!({"first": 0, "total": 2, "chunks": made, "vectors": []});
    assert_eq!(step(&worker, &second, "stage", again).await["staged"], 2);
    assert_eq!(
        step(&worker, &second, "publish", json!({"total": 2})).await["chunks"],
        2
    );
    assert_eq!(
        me.count("SELECT count(*) FROM public.chunks").await,
        2,
        "none lost, none twice"
    );
    exact(&me, &base).await;
}

#[tokio::test]
async fn many_drainers_leave_exact_statistics() {
    let db = Database::fresh().await;
    let (_, me, _) = tenant(&db).await;
    let base = base(&me).await;
    let mut documents = Vec::new();
    for i in 0..30 {
        documents.push(add(&me, &base, &format!("word{i} shared. other{i} shared.")).await);
    }
    let drainers = (0..6).map(|_| async {
        let worker = db.session().await;
        loop {
            let taken = service(&worker, "knowledge_claim", json!({})).await;
            if taken["outcome"] != "claimed" {
                return;
            }
            let loaded = step(&worker, &taken, "load", json!({})).await;
            // It has been removed meanwhile.
            let Some(text) = loaded["document"]["content"].as_str() else {
                continue;
            };
            let made = chunks(text);
            let stage = json!({"first": 0, "total": made.len(), "chunks": made, "vectors": []});
            step(&worker, &taken, "stage", stage).await;
            step(&worker, &taken, "publish", json!({"total": made.len()})).await;
        }
    });
    let removing = async {
        for document in &documents[..10] {
            let remove = json!({"do": "remove", "id": document, "knowledge_base_id": base});
            assert_eq!(
                command(&me, "knowledge_document", remove).await["outcome"],
                "done"
            );
        }
    };
    futures::future::join(futures::future::join_all(drainers), removing).await;
    exact(&me, &base).await;
    assert_eq!(me.count("SELECT count(*) FROM public.chunks").await, 40);
}

#[tokio::test]
async fn an_index_is_switched_to_when_its_last_document_is_done() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let base = base(&me).await;
    add(&me, &base, TEXTS[0]).await;
    ingest(&worker, TEXTS[0]).await;
    let settings = json!({"lexical": {"analyser": "none"}});
    let rebuild = json!({"do": "rebuild", "id": base, "settings": settings});
    assert_eq!(
        command(&me, "knowledge_index", rebuild.clone()).await["outcome"],
        "done"
    );
    assert_eq!(
        command(&me, "knowledge_index", rebuild).await["outcome"],
        "refused",
        "one at a time"
    );
    // It goes into both.
    add(&me, &base, TEXTS[1]).await;
    let shown = || async { me.call("knowledge_base", json!({"id": base})).await };
    for _ in 0..3 {
        assert_eq!(shown().await["active_index"], 1);
        let taken = service(&worker, "knowledge_claim", json!({})).await;
        let document = taken["job"]["document_id"].as_str().unwrap();
        let text = step(&worker, &taken, "load", json!({})).await["document"]["content"]
            .as_str()
            .unwrap()
            .to_owned();
        let made = chunks(&text);
        step(
            &worker,
            &taken,
            "stage",
            json!({"first": 0, "total": made.len(), "chunks": made, "vectors": []}),
        )
        .await;
        assert_eq!(
            step(&worker, &taken, "publish", json!({"total": made.len()})).await["outcome"],
            "ok",
            "{document}"
        );
    }
    assert_eq!(
        service(&worker, "knowledge_claim", json!({})).await["outcome"],
        "empty"
    );
    let now = shown().await;
    assert_eq!(
        (&now["active_index"], &now["documents"]),
        (&json!(2), &json!({"ready": 2})),
        "{now}"
    );
    let chunks: Vec<&Value> = now["indexes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["chunks"])
        .collect();
    assert_eq!(chunks, [4, 4]);
    exact(&me, &base).await;
    let back = json!({"do": "activate", "id": base, "number": 1});
    assert_eq!(
        command(&me, "knowledge_index", back).await["outcome"],
        "done"
    );
    let drop = json!({"do": "drop", "id": base, "number": 2});
    assert_eq!(
        command(&me, "knowledge_index", drop).await["outcome"],
        "done"
    );
    assert_eq!(
        me.count("SELECT count(*) FROM public.chunks WHERE index_version = 2")
            .await,
        0
    );
    exact(&me, &base).await;
}

#[tokio::test]
async fn nobody_reaches_another_organisations_base() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let other = db.tenant("b").await.session(&db).await;
    let base = base(&me).await;
    let document = add(&me, &base, TEXTS[0]).await;
    for name in ["knowledge_base", "knowledge_report"] {
        assert_eq!(
            other.call(name, json!({"id": base})).await,
            Value::Null,
            "{name}"
        );
    }
    let ask = json!({"id": base, "candidates": 5, "analyses": {"none": {"whale": 1}}});
    assert_eq!(other.call("knowledge_search", ask).await, Value::Null);
    let theirs = json!({"do": "remove", "id": document, "knowledge_base_id": base});
    assert_eq!(
        command(&other, "knowledge_document", theirs).await["outcome"],
        "missing"
    );
    let rebuild = json!({"do": "rebuild", "id": base, "settings": {}});
    assert_eq!(
        command(&other, "knowledge_index", rebuild).await["outcome"],
        "missing"
    );
    let taken = service(&worker, "knowledge_claim", json!({})).await;
    let stolen = json!({"job_id": taken["job"]["id"], "lease_token": taken["job"]["lease_token"], "step": "publish", "total": 0});
    assert_eq!(
        other.call("knowledge_step", stolen).await["outcome"],
        "lost"
    );
}

#[tokio::test]
async fn hot_queries_go_by_their_indexes() {
    let db = Database::fresh().await;
    let (tenant, me, _) = tenant(&db).await;
    let base = base(&me).await;
    let owner = db.owner().await;
    let fill = format!(
        "SET session_replication_role = replica;
         INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind, status)
           SELECT gen_random_uuid(), '{org}', CASE WHEN i % 20 = 0 THEN '{base}'::uuid ELSE md5((i % 20)::text)::uuid END, 'd', 'text',
             CASE WHEN i % 100 = 0 THEN 'failed' ELSE 'ready' END FROM generate_series(1, 20000) i;
         INSERT INTO public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)
           SELECT '{org}', '{base}', 1, 't' || i % 500, md5(i::text)::uuid, 1, 10 FROM generate_series(1, 50000) i;
         INSERT INTO nodeai.chunk_codes (org_id, knowledge_base_id, index_version, document_id, chunk_id, plane3, plane2, plane1, plane0)
           SELECT '{org}', CASE WHEN i % 20 = 0 THEN '{base}'::uuid ELSE md5((i % 20)::text)::uuid END, 1, gen_random_uuid(),
             md5(i::text)::uuid, B'01', B'01', B'01', B'01' FROM generate_series(1, 20000) i;
         RESET session_replication_role;
         ANALYZE public.documents, public.chunk_terms, nodeai.chunk_codes;",
        org = tenant.org
    );
    owner.batch_execute(&fill).await.expect("rows");
    owner
        .batch_execute("VACUUM ANALYZE public.chunk_terms")
        .await
        .expect("vacuumed");
    let cases = [
        (
            "chunk_terms_pkey",
            format!(
                "SELECT sum(frequency), sum(length) FROM public.chunk_terms WHERE knowledge_base_id = '{base}' AND index_version = 1 AND term = 't7'"
            ),
        ),
        (
            "chunk_codes_base_idx",
            format!(
                "SELECT chunk_id FROM nodeai.chunk_codes WHERE knowledge_base_id = '{base}' AND index_version = 1"
            ),
        ),
        (
            "documents_base_idx",
            format!(
                "SELECT id FROM public.documents WHERE org_id = '{}' AND knowledge_base_id = '{base}' ORDER BY id DESC LIMIT 51",
                tenant.org
            ),
        ),
        (
            "documents_status_idx",
            format!(
                "SELECT id FROM public.documents WHERE org_id = '{}' AND knowledge_base_id = '{base}' AND status = 'failed' ORDER BY id DESC LIMIT 51",
                tenant.org
            ),
        ),
    ];
    for (index, query) in cases {
        let rows = owner
            .query(&format!("EXPLAIN {query}"), &[])
            .await
            .expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(plan.join("\n").contains(index), "{index}: {plan:#?}");
    }
}
