//! kill -9 while documents are cut, embedded and indexed: no chunk is missing, none is there twice, and an edit embeds what it changed.
//! One kill and 300 documents; `NODEAI_SOAK_DOCUMENTS=10000` makes more of them, with three kills.

use super::fresh_database;
use e2e::mortal::Mortal;
use e2e::{Tenant, assert_status, database};
use llm_standin::StandIn;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Documents of one request.
const IN_REQUEST: usize = 50;
/// Paragraphs of a document, each a chunk.
const PARAGRAPHS: usize = 3;
/// Documents that are edited.
const EDITED: usize = 10;

fn paragraph(n: usize, part: usize) -> String {
    format!(
        "Part {part} of document {n} is about subject {}.",
        n * PARAGRAPHS + part
    )
}

fn text(n: usize) -> String {
    let parts: Vec<String> = (0..PARAGRAPHS).map(|part| paragraph(n, part)).collect();
    parts.join("\n\n")
}

fn number(url: &str, sql: &str) -> usize {
    database::text(url, sql).unwrap().parse().unwrap()
}

fn ready(url: &str) -> usize {
    number(
        url,
        "SELECT count(*)::text FROM public.documents WHERE status = 'ready'",
    )
}

fn base(mortal: &Mortal, me: &Tenant, llm: &StandIn) -> String {
    let secret = json!({"name": "STANDIN_KEY", "value": "sk-test"});
    assert_status(
        &mortal.insist(|| me.try_post("/api/v1/secrets", &secret)),
        201,
    );
    let settings = json!({"chunking": {"size": 60, "overlap": 0}, "embedding":
        {"model": "embed-soak", "base_url": llm.openai(), "key_secret": "STANDIN_KEY", "dimensions": 32}});
    let body = json!({"name": "soak", "settings": settings});
    let made = mortal.insist(|| me.try_post("/api/v1/knowledge-base", &body));
    assert_status(&made, 201);
    made.header("location").to_owned()
}

fn add(mortal: &Mortal, me: &Tenant, base: &str, wanted: usize) {
    for from in (0..wanted).step_by(IN_REQUEST) {
        let some = from..(from + IN_REQUEST).min(wanted);
        let documents: Vec<Value> = some
            .map(|n| json!({"title": format!("d{n}"), "text": text(n)}))
            .collect();
        let (key, body) = (format!("add-{from}"), json!({"documents": documents}));
        let headers = [("idempotency-key", key.as_str())];
        let path = format!("{base}/documents");
        let ask = || me.try_post_with(&path, &headers, &body);
        // What a dead host had begun is done or not, and the key knows which.
        while mortal.insist(ask).status != 202 {}
    }
}

/// Kills the host when a share of the documents is ready, again and again, and waits until all are.
fn go_through(mortal: &Mortal, url: &str, wanted: usize, kills: usize) {
    let deadline =
        Instant::now() + Duration::from_secs(180) + Duration::from_millis(200) * wanted as u32;
    let mut killed = 0;
    loop {
        let done = ready(url);
        if killed < kills && done >= wanted * (killed + 1) / (kills + 2) {
            mortal.kill();
            killed += 1;
            // The leases of the dead end now, and not in two minutes.
            database::execute(
                url,
                "UPDATE public.knowledge_jobs SET lease_until = clock_timestamp() WHERE status = 'processing'",
            );
            mortal.start();
        }
        if done == wanted {
            assert_eq!(killed, kills);
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{done} of {wanted} after {killed} kills"
        );
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Texts that were sent to be embedded since the request at `from`.
fn embedded(llm: &StandIn, from: usize) -> Vec<String> {
    let requests = llm.requests().into_iter().skip(from);
    let inputs = requests.filter(|r| r.path.ends_with("/embeddings"));
    let texts = inputs.flat_map(|r| r.body["input"].as_array().cloned().unwrap_or_default());
    texts
        .filter_map(|t| t.as_str().map(str::to_owned))
        .collect()
}

fn whole(me: &Tenant, base: &str, url: &str, wanted: usize) {
    let chunks = "SELECT count(*)::text FROM public.chunks";
    assert_eq!(number(url, chunks), wanted * PARAGRAPHS);
    let places = "SELECT count(DISTINCT (document_id, number))::text FROM public.chunks";
    assert_eq!(number(url, places), wanted * PARAGRAPHS);
    let texts = "SELECT count(DISTINCT content_hash)::text FROM public.chunks c WHERE c.embedding IS NOT NULL
        AND EXISTS (SELECT FROM nodeai.chunk_codes x WHERE x.chunk_id = c.id)";
    assert_eq!(number(url, texts), wanted * PARAGRAPHS);
    assert_eq!(
        number(url, "SELECT count(*)::text FROM nodeai.chunk_drafts"),
        0
    );
    let report = me.get(&format!("{base}/report?recount=true")).json;
    let counts = &report["integrity"];
    assert_eq!(counts["chunk_count"], counts["counted"], "{report}");
    assert_eq!(counts["wrong_terms"], 0, "{report}");
    assert_eq!(report["orphans"], 0, "{report}");
}

#[test]
fn no_chunk_is_missing_and_none_is_there_twice() {
    let wanted = std::env::var("NODEAI_SOAK_DOCUMENTS").ok();
    let wanted: usize = wanted.and_then(|n| n.parse().ok()).unwrap_or(300);
    let kills = if wanted > 1_000 { 3 } else { 1 };
    let (_, _, url) = fresh_database();
    let mortal = Mortal::new(&url, &format!("1:{}", "ab".repeat(32)));
    mortal.start();
    let (me, llm) = (mortal.tenant(), StandIn::start().unwrap());
    let base = base(&mortal, &me, &llm);
    std::thread::scope(|scope| {
        scope.spawn(|| add(&mortal, &me, &base, wanted));
        go_through(&mortal, &url, wanted, kills);
    });
    whole(&me, &base, &url, wanted);

    let before = llm.requests().len();
    let mut changed = Vec::new();
    for n in (0..wanted).step_by(wanted / EDITED).take(EDITED) {
        let find = format!("SELECT id::text FROM public.documents WHERE title = 'd{n}'");
        let id = database::text(&url, &find).unwrap();
        let now = format!("Part 1 of document {n} is about something else.");
        let content = text(n).replace(&paragraph(n, 1), &now);
        let path = format!("{base}/documents/{id}/content");
        assert_status(&me.put_with(&path, &[], &json!({"text": content})), 200);
        changed.push(now);
    }
    go_through(&mortal, &url, wanted, 0);
    whole(&me, &base, &url, wanted);
    let mut asked = embedded(&llm, before);
    asked.sort();
    changed.sort();
    assert_eq!(asked, changed);
}
