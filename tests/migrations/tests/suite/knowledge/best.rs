//! The best by words are those that a sum over all postings gives, though not all of these are read: by heads of postings where an index
//! has no blocks, by planes of bits where it has, and however chunks come and go beside them.

use super::{base, tenant};
use migrations_tests::{Database, Session, service};
use serde_json::{Value, json};

/// Chunks of the base, ten to a document: enough for heads of postings to be read alone.
const CHUNKS: usize = 6_000;

/// Postings of chunks that have none.
const WORDS: &str = "INSERT INTO public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)
    SELECT c.org_id, c.knowledge_base_id, 1, 'w' || w, c.id, 1 + (hashtext(w || 'f' || c.id) & 15) / 6, c.term_count
    FROM public.chunks c CROSS JOIN generate_series(1, 100) w
    WHERE hashtext(w || 'r' || c.id) & 1023 < 960 / w AND NOT EXISTS (SELECT FROM public.chunk_terms t WHERE t.chunk_id = c.id)";
/// What is known of all postings.
const STATISTICS: &str = "DELETE FROM public.term_stats;
    INSERT INTO public.term_stats (org_id, knowledge_base_id, index_version, term, document_frequency)
      SELECT t.org_id, t.knowledge_base_id, 1, t.term, count(*) FROM public.chunk_terms t GROUP BY 1, 2, 4;
    UPDATE public.corpus_stats s SET chunk_count = x.n, term_count = x.length
      FROM (SELECT c.knowledge_base_id, count(*) AS n, sum(c.term_count) AS length FROM public.chunks c GROUP BY 1) x
      WHERE s.knowledge_base_id = x.knowledge_base_id";

/// Words `w1` to `w100`, the first in nearly every chunk and the last in few, from one to three times; chunks of 5 to 132 words.
async fn fill(db: &Database, org: &str, base: &str) {
    let sql = format!(
        "INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind, status, chunk_count, metadata)
           SELECT md5('d' || i)::uuid, '{org}', '{base}', 'd', 'text', 'ready', 10,
             jsonb_build_object('half', i % 2, 'tenth', i % 10, 'few', i % 300)
           FROM generate_series(0, {CHUNKS} / 10 - 1) i;
         INSERT INTO public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset, content,
             content_hash, term_count)
           SELECT md5('c' || i)::uuid, '{org}', '{base}', md5('d' || i / 10)::uuid, 1, i % 10, 0, 1, 'x', 'x', 5 + (hashint4(i) & 127)
           FROM generate_series(0, {CHUNKS} - 1) i;
         {WORDS};
         {STATISTICS};
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

/// Every question, under every condition and for several k1 and b, has what a sum over all postings gives.
async fn agree(db: &Database, me: &Session, base: &str, filters: &[&str], stage: &str) {
    let questions = [
        json!({"w1": 1}),
        json!({"w40": 1, "w1": 1}),
        json!({"w1": 1, "w2": 1, "w3": 1, "w4": 2}),
        json!({"w10": 1, "w11": 1, "w12": 1}),
        json!({"w2": 1, "w20": 1, "w30": 3, "w40": 1, "w39": 1, "nowhere": 1}),
        json!({"w100": 2, "w70": 1, "w3": 1, "w5": 1}),
        (1..=60)
            .map(|w| (format!("w{w}"), json!(1)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    ];
    let owner = db.owner().await;
    for (k1, b) in [(1.2, 0.75), (0.0, 0.5), (2.0, 0.0), (0.9, 1.0)] {
        let settings = format!(
            "UPDATE public.knowledge_bases SET settings = jsonb_set(settings, '{{search}}', '{{\"k1\": {k1}, \"b\": {b}}}')"
        );
        owner.batch_execute(&settings).await.expect("settings");
        for terms in &questions {
            for filter in filters {
                let wanted = recount(db, base, terms, filter, 10).await;
                let given = found(me, base, terms, filter, 10).await;
                let context = format!("{stage} {terms} {filter} {k1} {b}");
                same(&given, &wanted, &context);
            }
        }
    }
}

/// The same scores, and the same chunks but where scores are equal.
fn same(given: &[(String, f64)], wanted: &[(String, f64)], context: &str) {
    assert_eq!(given.len(), wanted.len(), "{context}");
    for ((id, score), (wanted_id, wanted_score)) in given.iter().zip(wanted) {
        assert!(
            (score - wanted_score).abs() < 1e-9,
            "{context}: {given:?} {wanted:?}"
        );
        let near = |(_, s): &&(String, f64)| (s - score).abs() < 1e-9;
        let tied = wanted.iter().filter(near).count() > 1
            || (score - wanted[wanted.len() - 1].1).abs() < 1e-9;
        assert!(id == wanted_id || tied, "{context}");
    }
}

const ALL: [&str; 5] = [
    "exists($.half)",
    "$.half == 1",
    "$.tenth == 3",
    "$.few == 7",
    "$.few == -1",
];
/// Those that leave more than a few chunks.
const MANY: [&str; 3] = [ALL[0], ALL[1], ALL[2]];

#[tokio::test]
async fn the_best_are_those_of_all_postings() {
    let db = Database::fresh().await;
    let (tenant, me, _) = tenant(&db).await;
    let base = base(&me).await;
    fill(&db, &tenant.org, &base).await;
    agree(&db, &me, &base, &ALL, "no blocks").await;
    let owner = db.owner().await;
    let settle = r#"SELECT nodeai.settle_terms('{"least": 1000, "time_ms": 600000}') ->> 'left'"#;
    // A drainer that finds nothing to do makes blocks.
    let args = json!({"least": 1000, "time_ms": 600_000});
    let answer = service(&db.session().await, "knowledge_claim", args).await;
    assert_eq!(answer["outcome"], "empty");
    let left: String = owner.query_one(settle, &[]).await.expect("settles").get(0);
    let blocks = "SELECT count(*) FROM nodeai.term_blocks";
    let made: i64 = owner.query_one(blocks, &[]).await.expect("counts").get(0);
    assert_eq!(
        (left.as_str(), made),
        ("0", 1 + 1 + 3 + 1),
        "4,096, 1,024, 256 and 64 chunks"
    );
    agree(&db, &me, &base, &ALL, "blocks").await;

    // Every third document goes, half as many chunks come, and one of the words is everywhere now.
    let change = format!(
        "DELETE FROM public.documents d WHERE hashtext(d.id::text) % 3 = 0;
         INSERT INTO public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset, content,
             content_hash, term_count)
           SELECT md5('e' || d.id || i)::uuid, d.org_id, d.knowledge_base_id, d.id, 1, 10 + i, 0, 1, 'x', 'x', 5 + (hashtext(d.id || 'n' || i) & 63)
           FROM public.documents d CROSS JOIN generate_series(0, 4) i;
         {WORDS};
         INSERT INTO public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)
           SELECT c.org_id, c.knowledge_base_id, 1, 'w100', c.id, 1, c.term_count FROM public.chunks c ON CONFLICT DO NOTHING;
         {STATISTICS}"
    );
    owner.batch_execute(&change).await.expect("changes");
    agree(&db, &me, &base, &ALL, "changed").await;
    // Settled again, it is not postings that are read.
    let left: String = owner.query_one(settle, &[]).await.expect("settles").get(0);
    assert_eq!(left, "0");
    let no_postings = "CREATE OR REPLACE FUNCTION nodeai.best_by_postings(base uuid, idx integer, terms text[], weights double precision[],
          often bigint[], allowed uuid[], f nodeai.document_filter, most integer, flat double precision, steep double precision)
        RETURNS TABLE (chunk_id uuid, score double precision) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not these'; END $$";
    owner.batch_execute(no_postings).await.expect("replaces");
    agree(&db, &me, &base, &MANY, "settled").await;
    // New numbers, without holes, and blocks for them.
    let renumber = format!(
        "SELECT nodeai.renumber_chunks('{base}', 1); SELECT nodeai.settle_terms('{{\"least\": 1000, \"time_ms\": 600000}}')"
    );
    owner.batch_execute(&renumber).await.expect("renumbers");
    let whole = "SELECT s.numbered = s.chunk_count AND s.chunk_count = (SELECT count(*) FROM nodeai.chunk_numbers)
        AND (SELECT max(c.number) + 1 = count(*) FROM nodeai.chunk_numbers c)
        AND s.numbered - (SELECT max(b.first + b.size) FROM nodeai.term_blocks b) < 64 FROM public.corpus_stats s";
    assert!(
        owner
            .query_one(whole, &[])
            .await
            .expect("counts")
            .get::<_, bool>(0)
    );
    agree(&db, &me, &base, &MANY, "renumbered").await;
    // Of documents that are not for everybody nobody sees any without a label.
    let close = "UPDATE public.documents SET access = '{sales}' WHERE metadata @@ '$.half == 0'";
    owner.batch_execute(close).await.expect("labels");
    for filter in [
        "exists($.half)",
        "$.tenth > 2",
        "$.tenth == 3",
        "$.few == 7",
    ] {
        for terms in [
            json!({"w1": 1, "w3": 2, "w60": 1}),
            json!({"w5": 1, "w100": 1}),
        ] {
            let open = format!("({filter}) && ($.half == 1)");
            let wanted = recount(&db, &base, &terms, &open, 10).await;
            let given = found(&me, &base, &terms, filter, 10).await;
            same(&given, &wanted, &format!("labels {terms} {filter}"));
        }
    }
}

#[tokio::test]
async fn bounds_are_never_below_scores() {
    let db = Database::fresh().await;
    let (tenant, me, _) = tenant(&db).await;
    let base = base(&me).await;
    fill(&db, &tenant.org, &base).await;
    let owner = db.owner().await;
    let settle = r#"SELECT nodeai.settle_terms('{"least": 1000, "time_ms": 600000}')"#;
    owner.batch_execute(settle).await.expect("settles");
    // Each chunk's bound beside what its postings give; chunks of 5 words and of 132 alike.
    let sql = "WITH s AS MATERIALIZED (SELECT nodeai.all_sums($1::text::uuid, 1, ARRAY['w1','w7','w30'], ARRAY[0.1, 1.5, 3.0], 100, $2, $3) AS sums),
        x AS (SELECT (SELECT sum(get_bit(s.sums[p], c.number) << (p - 1)) FROM generate_series(1, 10) p) / 100.0::float8 AS bound,
            coalesce((SELECT sum(w.weight * t.frequency / (t.frequency + $2 + $3 * t.length))
              FROM unnest(ARRAY['w1','w7','w30'], ARRAY[0.1, 1.5, 3.0]) w (term, weight)
                JOIN public.chunk_terms t ON t.term = w.term AND t.chunk_id = c.chunk_id), 0) AS score
          FROM s CROSS JOIN nodeai.chunk_numbers c WHERE c.number < length(s.sums[1]))
        SELECT count(*), count(*) FILTER (WHERE bound < score - 1e-9), max(bound) FILTER (WHERE score = 0),
          count(*) FILTER (WHERE bound >= (SELECT y.score FROM x y ORDER BY 1 DESC OFFSET 49 LIMIT 1) - 1e-9) FROM x";
    for (flat, steep) in [(0.3, 0.01), (1.2, 0.0), (0.0, 0.0), (0.0, 0.03)] {
        let row = owner
            .query_one(sql, &[&base, &flat, &steep])
            .await
            .expect("bounds");
        let (count, below): (i64, i64) = (row.get(0), row.get(1));
        assert!(count >= 5_888, "{count}");
        assert_eq!(below, 0, "{flat} {steep}");
        let none: Option<f64> = row.get(2);
        assert_eq!(none.unwrap_or(0.0), 0.0, "what has no posting has no bound");
        // Of what has to be scored exactly for the best 50 little is in vain.
        let reach: i64 = row.get(3);
        assert!((50..500).contains(&reach), "{flat} {steep}: {reach}");
    }
}
