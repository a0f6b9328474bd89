//! Documents: they change all at once, whoever is killed and however many work on them.

use super::{TEXTS, add, base, chunks, exact, ingest, step, tenant};
use migrations_tests::Database;
use migrations_tests::{command, service};
use serde_json::json;

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
    let (tenant, me, worker) = tenant(&db).await;
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
    // One is at work: whoever comes behind a request leaves the next to those who have time.
    add(&me, &base, TEXTS[1]).await;
    for (most, wanted) in [(1, "busy"), (2, "claimed")] {
        let args = json!({"org_id": tenant.org, "at_most": most});
        let third = service(&worker, "knowledge_claim", args).await;
        assert_eq!(third["outcome"], wanted, "{third}");
    }
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
