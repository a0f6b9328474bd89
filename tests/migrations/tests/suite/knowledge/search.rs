//! Searches: their scores, whom they answer, the indexes that they go by.

use super::{TEXTS, add, base, chunks, exact, ingest, tenant};
use migrations_tests::Database;
use migrations_tests::{command, service};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
                "SELECT frequency, length FROM public.chunk_terms WHERE knowledge_base_id = '{base}' AND index_version = 1 AND term = 't7'
                   AND chunk_id = md5('7')::uuid"
            ),
        ),
        (
            "chunk_terms_impact_idx",
            format!(
                "SELECT chunk_id, frequency, length FROM public.chunk_terms WHERE knowledge_base_id = '{base}' AND index_version = 1
                   AND term = 't7' AND frequency::real / (length + 64) > 0.01"
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
