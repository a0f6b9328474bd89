//! Another index is switched to when its last document is done.

use super::{TEXTS, add, base, chunks, exact, ingest, step, tenant};
use migrations_tests::Database;
use migrations_tests::{command, service};
use serde_json::{Value, json};

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
