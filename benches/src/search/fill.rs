//! Tenants with a base each, filled with what the ingest would leave in the tables.

use super::corpus::Corpus;
use anyhow::{Context, Result};
use bytes::Bytes;
use e2e::Tenant;
use futures::SinkExt;
use nodeai_auth::api_key::{ApiKey, Mode};
use nodeai_knowledge::analysis::Analyser;
use nodeai_knowledge::vector;
use nodeai_llm::vectors::{Numbers, Work, hashed};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

/// Values of a vector.
const DIMENSIONS: u32 = 384;
/// Chunks of a document, and of a portion that is sent at once.
const OF_DOCUMENT: usize = 10;
const PORTION: usize = 1_000;

/// A tenant and the base.
pub struct Side {
    /// The tenant's key.
    pub key: String,
    /// Ids of the documents.
    pub documents: HashSet<String>,
    org: String,
    base: String,
    random: StdRng,
    /// Chunks that have a number.
    numbered: usize,
}

/// The key of the first tenant, or of one more.
pub async fn tenant(client: &Client, first: &str, number: u64) -> Result<String> {
    if number == 0 {
        return Ok(first.to_owned());
    }
    let mut bytes = [0; 256];
    rand::thread_rng().fill_bytes(&mut bytes);
    let key = ApiKey::mint(Mode::Live, &bytes).context("a key")?;
    let row = json!({"user_id": Uuid::now_v7(), "email": format!("{number}@example.org"), "org_id": Uuid::now_v7(),
        "key_id": Uuid::now_v7(), "key_hash": key.hash(), "key_last4": key.last4(), "key_prefix": "nai_live_", "scopes": ["*"],
        "name": "bench"});
    client
        .query_one("SELECT nodeai.bootstrap_local($1)", &[&row])
        .await?;
    // The limit is not what is measured.
    client
        .batch_execute(
            "UPDATE public.api_keys SET rate_per_minute = 60000000, rate_burst = 60000000;
          UPDATE public.organizations SET rate_per_minute = 60000000, rate_burst = 60000000",
        )
        .await?;
    Ok(key.expose().to_owned())
}

impl Side {
    /// Makes the base through the API.
    pub async fn made(client: &Client, address: &str, key: String, number: u64) -> Result<Self> {
        let me = Tenant::new(&format!("http://{address}"), String::new(), key.clone());
        let settings = json!({"embedding": {"model": "builtin/hash", "dimensions": DIMENSIONS}});
        let input = json!({"name": "bench", "settings": settings});
        let make = move || me.post("/api/v1/knowledge-base", &input);
        let made = tokio::task::spawn_blocking(make).await?;
        let base = made.json["id"].as_str().context("a base")?.to_owned();
        let org = "SELECT org_id::text FROM public.knowledge_bases WHERE id = $1::text::uuid";
        Ok(Self {
            key,
            org: client.query_one(org, &[&base]).await?.get(0),
            base,
            documents: HashSet::new(),
            random: StdRng::seed_from_u64(number + 1),
            numbered: 0,
        })
    }

    /// Where it is searched.
    pub fn path(&self) -> String {
        format!("/api/v1/knowledge-base/{}/search", self.base)
    }

    /// Fills it with so many chunks.
    pub async fn filled(mut self, client: &Client, corpus: &Corpus, chunks: usize) -> Result<Self> {
        let began = Instant::now();
        // Rows are as they have to be: triggers and keys are left out, and indexes of postings are made at the end.
        client
            .batch_execute("SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
            .await?;
        let again = drop_indexes(client).await?;
        let mut counts = BTreeMap::new();
        let mut length = 0;
        for from in (0..chunks).step_by(PORTION) {
            let portion = self.portion(corpus, from..chunks.min(from + PORTION), &mut counts);
            length += portion.length;
            for (target, rows) in portion.rows {
                copy(client, target, rows).await?;
            }
        }
        // The host's drainers would make the graph and the blocks meanwhile: that is done when it is asked for, by this session.
        let lock = "SELECT pg_advisory_lock(hashtextextended('nodeai.vectors/' || $1 || '/1', 0)),
            pg_advisory_lock(hashtextextended('nodeai.terms/' || $1 || '/1', 0))";
        client.query_one(lock, &[&self.base]).await?;
        self.statistics(client, chunks, length, counts).await?;
        client.batch_execute(&again).await?;
        client
            .batch_execute("RESET session_replication_role")
            .await?;
        println!("{chunks} chunks in {:.0} s", began.elapsed().as_secs_f64());
        let began = Instant::now();
        let settle = "SELECT nodeai.settle_terms('{\"time_ms\": 600000}')";
        client.query_one(settle, &[]).await?;
        println!("blocks in {:.0} s", began.elapsed().as_secs_f64());
        Ok(self)
    }

    fn portion(
        &mut self,
        corpus: &Corpus,
        range: std::ops::Range<usize>,
        counts: &mut BTreeMap<String, i64>,
    ) -> Portion {
        let mut portion = Portion::default();
        let mut document = String::new();
        for number in range {
            if number % OF_DOCUMENT == 0 {
                document = Uuid::now_v7().to_string();
                portion.document(self, &document);
                self.documents.insert(document.clone());
            }
            let text = corpus.text(&mut self.random);
            let terms = portion.chunk(self, &document, number % OF_DOCUMENT, &text);
            for term in terms {
                *counts.entry(term).or_insert(0) += 1;
            }
        }
        portion
    }

    async fn statistics(
        &self,
        client: &Client,
        chunks: usize,
        length: i64,
        counts: BTreeMap<String, i64>,
    ) -> Result<()> {
        let (terms, counts): (Vec<String>, Vec<i64>) = counts.into_iter().unzip();
        let stats = "INSERT INTO public.term_stats (org_id, knowledge_base_id, index_version, term, document_frequency)
            SELECT $1::text::uuid, $2::text::uuid, 1, u.* FROM unnest($3::text[], $4::bigint[]) u";
        client
            .execute(stats, &[&self.org, &self.base, &terms, &counts])
            .await?;
        let totals = "UPDATE public.corpus_stats SET chunk_count = $2::bigint, term_count = $3, numbered = $2::bigint WHERE knowledge_base_id = $1::text::uuid";
        client
            .execute(totals, &[&self.base, &(chunks as i64), &length])
            .await?;
        Ok(())
    }
}

/// Takes the indexes of postings away; gives what makes them again.
async fn drop_indexes(client: &Client) -> Result<String> {
    let row = client
        .query_one(
            "SELECT string_agg(format('ALTER TABLE public.chunk_terms DROP CONSTRAINT %I', c.conname), ';') || ';'
                || (SELECT string_agg('DROP INDEX public.' || i.indexname, ';') FROM pg_indexes i
                  WHERE i.tablename = 'chunk_terms' AND i.indexname <> 'chunk_terms_pkey'),
              string_agg(format('ALTER TABLE public.chunk_terms ADD CONSTRAINT %I %s', c.conname, pg_get_constraintdef(c.oid)), ';') || ';'
                || (SELECT string_agg(i.indexdef, ';') FROM pg_indexes i
                  WHERE i.tablename = 'chunk_terms' AND i.indexname <> 'chunk_terms_pkey')
            FROM pg_constraint c WHERE c.conrelid = 'public.chunk_terms'::regclass AND c.contype = 'p'",
            &[],
        )
        .await?;
    client.batch_execute(row.get(0)).await?;
    Ok(row.get(1))
}

/// Rows of some chunks, by what they are copied into.
#[derive(Default)]
struct Portion {
    rows: BTreeMap<&'static str, String>,
    length: i64,
}

const DOCUMENTS: &str = "public.documents (id, org_id, knowledge_base_id, title, source_kind, status, chunk_count, metadata)";
const CHUNKS: &str = "public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset, content,
    content_hash, token_count, term_count, embedding)";
const CODES: &str = "nodeai.chunk_codes (org_id, knowledge_base_id, index_version, document_id, chunk_id, plane3, plane2, plane1, plane0)";
const NUMBERS: &str = "nodeai.chunk_numbers (org_id, knowledge_base_id, index_version, number, chunk_id, document_id)";
const TERMS: &str = "public.chunk_terms (org_id, knowledge_base_id, index_version, term, chunk_id, frequency, length)";

impl Portion {
    fn row(&mut self, target: &'static str, values: std::fmt::Arguments<'_>) {
        let rows = self.rows.entry(target).or_default();
        // A text takes all that is written to it.
        let _ = writeln!(rows, "{values}");
    }

    fn document(&mut self, side: &mut Side, id: &str) {
        let drawn = side.random.next_u32();
        let metadata = json!({"half": drawn % 2 == 0, "hundredth": drawn / 2 % 100});
        let (org, base) = (&side.org, &side.base);
        self.row(
            DOCUMENTS,
            format_args!("{id}\t{org}\t{base}\tA document\ttext\tready\t{OF_DOCUMENT}\t{metadata}"),
        );
    }

    /// Adds a chunk; gives its terms.
    fn chunk(
        &mut self,
        side: &mut Side,
        document: &str,
        number: usize,
        text: &str,
    ) -> impl Iterator<Item = String> + use<> {
        let mut random = [0; 16];
        side.random.fill_bytes(&mut random);
        // Chunks' ids are hashes: in no order.
        let id = Uuid::from_bytes(random);
        let (org, base) = (&side.org, &side.base);
        let terms = Analyser::default().terms(text);
        let (length, from) = (terms.length, number * 1_000);
        let to = from + text.len();
        let values = embedded(text);
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = hex::encode(bytes);
        self.row(CHUNKS, format_args!(
            "{id}\t{org}\t{base}\t{document}\t1\t{number}\t{from}\t{to}\t{text}\t{id}\t{length}\t{length}\t\\\\x{bytes}"));
        let code = vector::code(&values);
        self.row(
            CODES,
            format_args!(
                "{org}\t{base}\t1\t{document}\t{id}\tx{}\tx{}\tx{}\tx{}",
                code.plane3, code.plane2, code.plane1, code.plane0
            ),
        );
        let numbered = side.numbered;
        self.row(
            NUMBERS,
            format_args!("{org}\t{base}\t1\t{numbered}\t{id}\t{document}"),
        );
        for (term, frequency) in &terms.frequencies {
            self.row(
                TERMS,
                format_args!("{org}\t{base}\t1\t{term}\t{id}\t{frequency}\t{length}"),
            );
        }
        side.numbered += 1;
        self.length += i64::from(length);
        terms.frequencies.into_keys()
    }
}

/// The vector that the built-in model gives a text.
fn embedded(text: &str) -> Vec<f32> {
    let work = Work::Embed {
        texts: vec![text.to_owned()],
        dimensions: Some(DIMENSIONS),
        purpose: None,
    };
    match hashed::answer(&work).numbers {
        Numbers::Vectors(vectors) => vectors[0].iter().map(|x| *x as f32).collect(),
        Numbers::Ranks(_) => Vec::new(),
    }
}

async fn copy(client: &Client, target: &str, rows: String) -> Result<()> {
    let sink = client.copy_in(&format!("COPY {target} FROM STDIN")).await?;
    futures::pin_mut!(sink);
    sink.send(Bytes::from(rows)).await?;
    sink.finish().await?;
    Ok(())
}

/// Makes pgvector's graphs, as drainers do; false where it is missing.
pub async fn settle(client: &Client) -> Result<bool> {
    let began = Instant::now();
    loop {
        let row = client
            .query_one("SELECT nodeai.settle_vectors('{\"time_ms\": 600000}')", &[])
            .await?;
        let told: Value = row.get(0);
        if told["path"] != "hnsw" {
            println!("\nWith pgvector: skipped, this server does not have the extension");
            return Ok(false);
        }
        if told["left"] == 0 {
            println!("graphs in {:.0} s", began.elapsed().as_secs_f64());
            return Ok(true);
        }
    }
}
