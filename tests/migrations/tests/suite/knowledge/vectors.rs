//! Both ways to near vectors: pgvector's graph and the scan of codes give what a scan of all cosines gives, see the same chunks, and
//! stay with their tenant; the extension may come and go.

use migrations_tests::{Database, Session, Tenant, command, id, service};
use nodeai_knowledge::vector::{code, cosine, decode, encode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DIMENSIONS: usize = 64;
/// Chunks of a base: more than a search scans in any case.
const CHUNKS: usize = 3_000;

/// Values between -1 and 1, from a seed.
fn random(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..DIMENSIONS).map(|_| next()).collect()
}

/// Near one of forty centres, as texts are near their subjects.
fn vector(seed: u64) -> Vec<f32> {
    let (centre, own) = (random(seed % 40 + 1), random(seed + 1_000));
    centre.iter().zip(own).map(|(c, o)| c + 0.6 * o).collect()
}

struct Corpus {
    base: String,
    org: String,
    /// Each chunk's document and vector.
    chunks: BTreeMap<String, (String, Vec<f32>)>,
    me: Session,
}

impl Corpus {
    async fn made(db: &Database, tenant: &Tenant, seed: u64) -> Self {
        let me = tenant.session(db).await;
        let base = id();
        let settings =
            json!({"lexical": {"analyser": "none"}, "embedding": {"model": "builtin/hash"}});
        let args = json!({"id": base, "name": "k", "settings": settings});
        assert_eq!(
            command(&me, "knowledge_create", args).await["outcome"],
            "done"
        );
        let mut corpus = Self {
            base,
            org: tenant.org.clone(),
            chunks: BTreeMap::new(),
            me,
        };
        let documents: Vec<String> = (0..CHUNKS / 10).map(|_| id()).collect();
        corpus.put(db, &documents, seed, CHUNKS).await;
        corpus
    }

    /// Adds chunks as `publish_drafts` does, without the jobs around it.
    async fn put(&mut self, db: &Database, documents: &[String], seed: u64, count: usize) {
        let rows: Vec<Value> = (0..count)
            .map(|i| {
                let (chunk, document) = (id(), &documents[i / 10]);
                let values = vector(seed + i as u64);
                let code = code(&values);
                let row = json!({"id": chunk, "document": document, "number": i % 10, "even": (i / 10) % 2 == 0, "sixth": (i / 10) % 6 == 0,
                    "embedding": encode(&values), "p3": code.plane3, "p2": code.plane2, "p1": code.plane1, "p0": code.plane0});
                self.chunks.insert(chunk, (document.clone(), values));
                row
            })
            .collect();
        let fill = "WITH given AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1) AS g (id uuid, document uuid, number integer,
              even boolean, sixth boolean, embedding text, p3 text, p2 text, p1 text, p0 text)
          ), d AS (INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind, status, chunk_count, metadata)
            SELECT g.document, $2::text::uuid, $3::text::uuid, 'd', 'text', 'ready', 10, jsonb_build_object('even', bool_and(g.even), 'sixth', bool_and(g.sixth))
            FROM given g GROUP BY g.document
          ), c AS (INSERT INTO public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset,
              content, content_hash, embedding)
            SELECT g.id, $2::text::uuid, $3::text::uuid, g.document, 1, g.number, 0, 1, 'x', 'x', decode(g.embedding, 'base64')
            FROM given g
          ), n AS (INSERT INTO nodeai.chunk_codes (org_id, knowledge_base_id, index_version, document_id, chunk_id, plane3, plane2, plane1, plane0)
            SELECT $2::text::uuid, $3::text::uuid, 1, g.document, g.id, ('x' || g.p3)::varbit, ('x' || g.p2)::varbit,
              ('x' || g.p1)::varbit, ('x' || g.p0)::varbit FROM given g
          ), m AS (INSERT INTO nodeai.chunk_numbers (org_id, knowledge_base_id, index_version, number, chunk_id, document_id)
            SELECT s.org_id, s.knowledge_base_id, 1, s.numbered - 1 + row_number() OVER (ORDER BY g.document, g.number), g.id, g.document
            FROM given g CROSS JOIN public.corpus_stats s WHERE s.knowledge_base_id = $3::text::uuid)
          UPDATE public.corpus_stats SET chunk_count = chunk_count + (SELECT count(*) FROM given), numbered = numbered + (SELECT count(*) FROM given)
            WHERE knowledge_base_id = $3::text::uuid";
        let owner = db.owner().await;
        owner
            .batch_execute("SET session_replication_role = replica")
            .await
            .expect("no triggers");
        owner
            .execute(fill, &[&json!(rows), &self.org, &self.base])
            .await
            .expect("rows");
    }

    /// The way that was gone, and the ten nearest by the cosines of what was found.
    async fn ask(&self, question: &[f32], more: Value) -> (String, Vec<String>) {
        let code = code(question);
        let mut args = json!({"id": self.base, "candidates": 50, "vector": question, "code": code});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let found = self.me.call("knowledge_search", args).await;
        let hits = found["vector"].as_array().expect("a list").iter();
        let scored = hits.map(|hit| {
            let vector = decode(hit["embedding"].as_str().unwrap()).unwrap();
            (
                cosine(&vector, question),
                hit["id"].as_str().unwrap().to_owned(),
            )
        });
        (found["path"].as_str().unwrap().to_owned(), best(scored))
    }

    /// The ten nearest of all.
    fn truth(&self, question: &[f32], allowed: impl Fn(&str) -> bool) -> Vec<String> {
        let inside = self
            .chunks
            .iter()
            .filter(|(_, (document, _))| allowed(document));
        best(inside.map(|(id, (_, v))| (cosine(v, question), id.clone())))
    }

    async fn path(&self) -> Value {
        let shown = self
            .me
            .call("knowledge_base", json!({"id": self.base}))
            .await;
        shown["indexes"][0]["vectors"].clone()
    }
}

fn best(scored: impl Iterator<Item = (f64, String)>) -> Vec<String> {
    let mut all: Vec<(f64, String)> = scored.collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all.truncate(10);
    all.into_iter().map(|(_, id)| id).collect()
}

fn shared(a: &[String], b: &[String]) -> usize {
    a.iter().filter(|id| b.contains(id)).count()
}

/// A drainer that finds nothing to do settles vectors.
async fn settle(db: &Database) {
    let args = json!({"least": 1_000, "time_ms": 60_000});
    let answer = service(&db.session().await, "knowledge_claim", args).await;
    assert_eq!(answer["outcome"], "empty");
}

#[tokio::test]
async fn both_ways_give_the_ten_nearest() {
    // As on Supabase, where extensions have a schema of their own.
    let db = Database::with_pgvector("CREATE SCHEMA extensions").await;
    let mine = Corpus::made(&db, &db.tenant("a").await, 0).await;
    let theirs = Corpus::made(&db, &db.tenant("b").await, 17).await;
    assert_eq!(mine.path().await, json!({"path": "exact", "waiting": null}));
    settle(&db).await;
    assert_eq!(mine.path().await, json!({"path": "hnsw", "waiting": 0}));
    let owner = db.owner().await;
    let with = async |condition: &str| -> Vec<String> {
        let sql = format!("SELECT id::text FROM public.documents WHERE metadata @@ '{condition}'");
        let rows = owner.query(&sql, &[]).await.expect("documents");
        rows.iter().map(|row| row.get(0)).collect()
    };
    let even = with("$.even == true").await;
    let most = with("$.sixth == false").await;
    let (mut found, mut filtered, mut walked, mut agreed) = (0, 0, 0, 0);
    let filter = json!({"filter": "exists($.even)"});
    for (i, corpus) in [&mine, &theirs].into_iter().cycle().take(30).enumerate() {
        let question = vector(90_000 + i as u64);
        let (path, graph) = corpus.ask(&question, json!({})).await;
        assert_eq!(path, "hnsw");
        let (path, scanned) = corpus.ask(&question, json!({"exact": true})).await;
        assert_eq!(path, "exact");
        found += shared(&graph, &corpus.truth(&question, |_| true));
        agreed += shared(&graph, &scanned);
        let (path, under) = corpus.ask(&question, filter.clone()).await;
        assert_eq!(path, "hnsw");
        assert_eq!(under, graph);
        let (path, under) = corpus
            .ask(&question, json!({"filter": "$.sixth == false"}))
            .await;
        assert_eq!(path, "hnsw", "the graph is walked on under a condition");
        let meant = |d: &str| most.iter().any(|one| one == d);
        walked += shared(&under, &corpus.truth(&question, meant));
        let (path, under) = corpus
            .ask(&question, json!({"filter": "$.even == true"}))
            .await;
        assert_eq!(path, "exact", "1,500 chunks are scanned");
        filtered += shared(
            &under,
            &corpus.truth(&question, |d| even.iter().any(|e| e == d)),
        );
        assert!(
            graph
                .iter()
                .chain(&under)
                .all(|id| corpus.chunks.contains_key(id))
        );
    }
    // Of 300.
    assert!(
        found >= 297 && filtered >= 297 && walked >= 297 && agreed >= 297,
        "{found} {filtered} {walked} {agreed}"
    );
    let close =
        "UPDATE public.documents SET access = '{sales}' WHERE metadata @@ '$.sixth == true'";
    owner.batch_execute(close).await.expect("labels");
    let (mut open, mut inside) = (0, 0);
    for i in 0..15 {
        let question = vector(91_000 + i);
        let (path, given) = mine.ask(&question, json!({})).await;
        assert_eq!(path, "hnsw", "whom a document is for is asked on the walk");
        open += shared(
            &given,
            &mine.truth(&question, |d| most.iter().any(|one| one == d)),
        );
        let sales = json!({"access": ["sales"]});
        let (path, given) = mine.ask(&question, sales).await;
        assert_eq!(path, "hnsw");
        inside += shared(&given, &mine.truth(&question, |_| true));
        let both = json!({"access": ["others"], "filter": "$.sixth == true"});
        assert_eq!(mine.ask(&question, both).await.1, Vec::<String>::new());
    }
    // Of 150.
    assert!(open >= 148 && inside >= 148, "{open} {inside}");
}

#[tokio::test]
async fn a_graph_that_is_behind_misses_nothing_and_keeps_nothing() {
    let db = Database::with_pgvector("").await;
    let mut corpus = Corpus::made(&db, &db.tenant("a").await, 0).await;
    settle(&db).await;
    let question = vector(70_000);
    let before = corpus.ask(&question, json!({})).await.1;
    let late: Vec<String> = (0..4).map(|_| id()).collect();
    corpus.put(&db, &late, 70_000, 40).await;
    assert_eq!(corpus.path().await, json!({"path": "hnsw", "waiting": 40}));
    let (path, found) = corpus.ask(&question, json!({})).await;
    assert_eq!(path, "hnsw");
    assert_eq!(found, corpus.truth(&question, |_| true));
    assert_ne!(found, before);
    let owner = db.owner().await;
    let gone = format!(
        "DELETE FROM public.chunks WHERE id IN ('{}', '{}')",
        before[0], found[0]
    );
    owner.batch_execute(&gone).await.expect("removed");
    corpus.chunks.remove(&before[0]);
    corpus.chunks.remove(&found[0]);
    assert_eq!(
        corpus.ask(&question, json!({})).await.1,
        corpus.truth(&question, |_| true)
    );
    settle(&db).await;
    assert_eq!(corpus.path().await, json!({"path": "hnsw", "waiting": 0}));
    assert_eq!(
        corpus.ask(&question, json!({})).await.1,
        corpus.truth(&question, |_| true)
    );
    // With its base the table goes.
    let tables =
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'nodeai' AND tablename ~ '^vectors_'";
    let count = async || -> i64 { owner.query_one(tables, &[]).await.expect("a count").get(0) };
    assert_eq!(count().await, 1);
    crate::catalog::check_all(&owner).await;
    let remove = format!(
        "DELETE FROM public.knowledge_bases WHERE id = '{}'",
        corpus.base
    );
    owner.batch_execute(&remove).await.expect("removed");
    settle(&db).await;
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn the_extension_comes_and_goes() {
    let db = Database::with_pgvector("").await;
    let corpus = Corpus::made(&db, &db.tenant("a").await, 0).await;
    let owner = db.owner().await;
    let question = vector(80_000);
    let truth = corpus.truth(&question, |_| true);
    settle(&db).await;
    assert_eq!(
        corpus.ask(&question, json!({})).await,
        ("hnsw".to_owned(), truth.clone())
    );
    owner
        .batch_execute("DROP EXTENSION vector CASCADE")
        .await
        .expect("dropped");
    assert_eq!(
        corpus.ask(&question, json!({})).await,
        ("exact".to_owned(), truth.clone())
    );
    assert_eq!(corpus.path().await["path"], "exact");
    settle(&db).await;
    assert_eq!(corpus.path().await["path"], "exact");
    // Housekeeping asks for what the server has.
    owner
        .batch_execute("SELECT nodeai.housekeeping('{}')")
        .await
        .expect("housekeeping");
    settle(&db).await;
    assert_eq!(
        corpus.ask(&question, json!({})).await,
        ("hnsw".to_owned(), truth)
    );
}
