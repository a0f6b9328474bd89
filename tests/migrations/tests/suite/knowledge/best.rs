//! The best by words are those that a sum over all postings gives, though not all of these are read.

use super::{base, tenant};
use migrations_tests::{Database, Session};
use serde_json::{Value, json};

/// Chunks of the base, ten to a document: enough for heads of postings to be read alone.
const CHUNKS: usize = 6_000;

/// Words `w1` to `w40`, the first in nearly every chunk and the last in few, from one to three times; chunks of 5 to 124 words.
async fn fill(db: &Database, org: &str, base: &str) {
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind, status, chunk_count, metadata)
           SELECT md5('d' || i)::uuid, '{org}', '{base}', 'd', 'text', 'ready', 10,
             jsonb_build_object('half', i % 2, 'tenth', i % 10, 'few', i % 300)
           FROM generate_series(0, {CHUNKS} / 10 - 1) i;
         INSERT INTO public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset, content,
             content_hash, term_count)
           SELECT md5('c' || i)::uuid, '{org}', '{base}', md5('d' || i / 10)::uuid, 1, i % 10, 0, 1, 'x', 'x', 5 + (hashint4(i) & 127)
           FROM generate_series(0, {CHUNKS} - 1) i;
         INSERT INTO public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)
           SELECT '{org}', '{base}', 1, 'w' || w, c.id, 1 + (hashtext(w || 'f' || c.id) & 15) / 13, c.term_count
           FROM public.chunks c CROSS JOIN generate_series(1, 40) w
           WHERE c.knowledge_base_id = '{base}' AND hashtext(w || 'r' || c.id) & 1023 < 960 / w;
         INSERT INTO public.term_stats (org_id, knowledge_base_id, index_version, term, document_frequency)
           SELECT '{org}', '{base}', 1, t.term, count(*) FROM public.chunk_terms t WHERE t.knowledge_base_id = '{base}' GROUP BY t.term;
         UPDATE public.corpus_stats SET chunk_count = {CHUNKS}, term_count = (SELECT sum(c.term_count) FROM public.chunks c
           WHERE c.knowledge_base_id = '{base}') WHERE knowledge_base_id = '{base}';
         RESET session_replication_role;
         ANALYZE;"
    );
    let owner = db.owner().await;
    owner.batch_execute(&sql).await.expect("rows");
}

/// Ids and scores by all postings.
async fn recount(
    db: &Database,
    base: &str,
    terms: &Value,
    filter: &str,
    most: i64,
) -> Vec<(String, f64)> {
    let sql = "SELECT t.chunk_id::text, sum(q.value::float8 * ln(1 + (s.chunk_count - f.document_frequency + 0.5) / (f.document_frequency + 0.5))
          * t.frequency / (t.frequency + k.k1 * (1 - k.b + k.b * t.length * s.chunk_count / s.term_count)) ORDER BY f.document_frequency, q.key)
        FROM jsonb_each_text($2) q
          JOIN public.term_stats f ON f.knowledge_base_id = $1::text::uuid AND f.term = q.key
          JOIN public.chunk_terms t ON t.knowledge_base_id = f.knowledge_base_id AND t.term = q.key
          JOIN public.corpus_stats s ON s.knowledge_base_id = f.knowledge_base_id
          JOIN public.chunks c ON c.id = t.chunk_id JOIN public.documents d ON d.id = c.document_id
          CROSS JOIN (SELECT (x.settings #>> '{search,k1}')::float8 AS k1, (x.settings #>> '{search,b}')::float8 AS b
            FROM public.knowledge_bases x WHERE x.id = $1::text::uuid) k
        WHERE d.metadata @@ $3::text::jsonpath GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4";
    let owner = db.owner().await;
    let rows = owner
        .query(sql, &[&base, terms, &filter, &most])
        .await
        .expect("scores");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn found(
    me: &Session,
    base: &str,
    terms: &Value,
    filter: &str,
    most: i64,
) -> Vec<(String, f64)> {
    let ask =
        json!({"id": base, "candidates": most, "analyses": {"none": terms}, "filter": filter});
    let answer = me.call("knowledge_search", ask).await;
    let hits = answer["lexical"].as_array().expect("a list").iter();
    hits.map(|hit| {
        (
            hit["id"].as_str().unwrap().to_owned(),
            hit["score"].as_f64().unwrap(),
        )
    })
    .collect()
}

#[tokio::test]
async fn the_best_are_those_of_all_postings() {
    let db = Database::fresh().await;
    let (tenant, me, _) = tenant(&db).await;
    let base = base(&me).await;
    fill(&db, &tenant.org, &base).await;
    let questions = [
        json!({"w1": 1}),
        json!({"w40": 1, "w1": 1}),
        json!({"w1": 1, "w2": 1, "w3": 1, "w4": 2}),
        json!({"w10": 1, "w11": 1, "w12": 1}),
        json!({"w2": 1, "w20": 1, "w30": 3, "w40": 1, "w39": 1, "nowhere": 1}),
        (1..=40)
            .map(|w| (format!("w{w}"), json!(1)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    ];
    let filters = [
        "exists($.half)",
        "$.half == 1",
        "$.tenth == 3",
        "$.few == 7",
        "$.few == -1",
    ];
    let owner = db.owner().await;
    for (k1, b) in [(1.2, 0.75), (0.0, 0.5), (2.0, 0.0), (0.9, 1.0)] {
        let settings = format!(
            "UPDATE public.knowledge_bases SET settings = jsonb_set(settings, '{{search}}', '{{\"k1\": {k1}, \"b\": {b}}}')"
        );
        owner.batch_execute(&settings).await.expect("settings");
        for terms in &questions {
            for filter in filters {
                let most = 10;
                let wanted = recount(&db, &base, terms, filter, most).await;
                let given = found(&me, &base, terms, filter, most).await;
                assert_eq!(given.len(), wanted.len(), "{terms} {filter} {k1} {b}");
                for ((id, score), (wanted_id, wanted_score)) in given.iter().zip(&wanted) {
                    assert!(
                        (score - wanted_score).abs() < 1e-9,
                        "{terms} {filter} {k1} {b}: {given:?} {wanted:?}"
                    );
                    let tied = wanted
                        .iter()
                        .filter(|(_, s)| (s - score).abs() < 1e-9)
                        .count()
                        > 1
                        || (score - wanted[wanted.len() - 1].1).abs() < 1e-9;
                    assert!(id == wanted_id || tied, "{terms} {filter} {k1} {b}");
                }
            }
        }
    }
}
