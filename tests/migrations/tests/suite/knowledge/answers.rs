//! Which answers rested on a document: by the spans of searches, of the own organisation alone.

use super::{TEXTS, add, base, ingest, tenant};
use migrations_tests::Database;
use serde_json::{Value, json};

#[tokio::test]
async fn searches_that_gave_a_documents_chunks_are_found() {
    let db = Database::fresh().await;
    let (tenant, me, worker) = tenant(&db).await;
    let other = db.tenant("b").await.session(&db).await;
    let base = base(&me).await;
    let document = add(&me, &base, TEXTS[0]).await;
    ingest(&worker, TEXTS[0]).await;
    let owner = db.owner().await;
    let fill = format!(
        "INSERT INTO public.spans (day, org_id, trace_id, span_id, name, kind, status, started_at, duration_us, attributes)
           SELECT (now() AT TIME ZONE 'UTC')::date, '{org}', repeat(x.id, 32), repeat(x.id, 16), 'search', 'internal', 'ok', now(), 5,
             jsonb_build_object('gen_ai.data_source.id', '{base}', 'gen_ai.retrieval.documents', jsonb_build_array(
               jsonb_build_object('id', gen_random_uuid(), 'score', 2, 'metadata', '{{\"document_id\": \"another\"}}'::jsonb),
               jsonb_build_object('id', c.id, 'score', 1.5, 'metadata', jsonb_build_object('document_id', x.document))))
           FROM (VALUES ('a', '{document}'), ('b', 'another')) AS x (id, document),
             (SELECT c.id FROM public.chunks c WHERE c.document_id = '{document}' AND c.number = 1) c",
        org = tenant.org
    );
    owner.batch_execute(&fill).await.expect("spans");
    let ask = json!({"id": base, "document_id": document, "limit": 10});
    let found = me.call("knowledge_answers", ask.clone()).await;
    let answers = found["answers"].as_array().expect("a list");
    assert_eq!(answers.len(), 1, "{found}");
    assert_eq!(answers[0]["trace_id"], "a".repeat(32));
    let chunks = answers[0]["chunks"].as_array().expect("chunks");
    assert_eq!(chunks.len(), 1, "{found}");
    assert_eq!(
        (&chunks[0]["rank"], &chunks[0]["current"]),
        (&json!(2), &json!(true))
    );
    let mut next = ask.clone();
    next["before"] = json!({"at_us": answers[0]["at_us"], "id": answers[0]["span_id"]});
    assert_eq!(
        me.call("knowledge_answers", next).await["answers"],
        json!([])
    );
    assert_eq!(other.call("knowledge_answers", ask).await, Value::Null);
    // A document that says more than its index does is stale.
    let change =
        format!("UPDATE public.documents SET pending_content = 'new' WHERE id = '{document}'");
    owner.batch_execute(&change).await.expect("changed");
    let report = me.call("knowledge_report", json!({"id": base})).await;
    assert_eq!(report["stale"][0]["why"], "changed", "{report}");
    assert_eq!(report["orphans"], 0, "{report}");
}
