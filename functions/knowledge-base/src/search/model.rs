//! What a search takes and gives.

use crate::rules;
use nodeai_app::inputs::is_uuid;
use nodeai_http::{Check, Checker};
use nodeai_knowledge::filter::jsonpath;
use nodeai_knowledge::rank::{
    Fusion, How, MOST_CANDIDATES, Mode, Place, Weights, usual_candidates,
};
use nodeai_knowledge::settings::Search;
use nodeai_runs::model::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A question to a knowledge base. What it leaves out of `mode`, `k`, `fusion`, `weights` and `rrf_k` is as `settings.search` of the base
/// says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchInput {
    /// 1 to 8,000 characters.
    pub query: String,
    /// By words, by meaning, or both; both where the base has vectors unless given.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// How many results: 1 to 100, with `content: false` to 400; 10 unless given.
    #[serde(default)]
    pub k: Option<usize>,
    /// How the two lists of `hybrid` become one.
    #[serde(default)]
    pub fusion: Option<Fusion>,
    /// How much each list counts.
    #[serde(default)]
    pub weights: Option<Weights>,
    /// The constant of reciprocal rank fusion, 1 to 10,000; 60 unless given.
    #[serde(default)]
    pub rrf_k: Option<f64>,
    /// How long each list is: `k` to 400; five times `k`, at least 50, unless given.
    #[serde(default)]
    pub candidates: Option<usize>,
    /// A condition on documents' metadata: `{"lang": "en", "year": {"gte": 2020}, "or": [...], "not": {...}}` with `eq`, `ne`, `in`, `gt`,
    /// `gte`, `lt`, `lte`, `exists`.
    #[serde(default)]
    pub filter: Option<Value>,
    /// In these documents alone, at most 1,000 ids.
    #[serde(default)]
    pub documents: Option<Vec<String>>,
    /// Labels of whoever it is for, at most 100: documents with an `access` are found by one of theirs. Without labels only those that are
    /// for everybody; `*` among them for all.
    #[serde(default)]
    pub access: Option<Vec<String>>,
    /// Thins out results that are near each other (maximal marginal relevance), by their vectors.
    #[serde(default)]
    pub mmr: Option<Mmr>,
    /// Orders the best by a model that reads question and chunk together.
    #[serde(default)]
    pub rerank: Option<Rerank>,
    /// Gives along what a result belongs to.
    #[serde(default)]
    pub expand: Option<Expand>,
    /// For `window`: chunks on each side, 1 to 10; 1 unless given.
    #[serde(default = "one")]
    pub window: usize,
    /// In this index; the active one unless given.
    #[serde(default)]
    pub index: Option<i32>,
    /// Scans all vectors where pgvector's graph would be walked.
    #[serde(default)]
    pub exact: bool,
    /// Says of each result why it is where it is.
    #[serde(default)]
    pub explain: bool,
    /// False leaves out what results say, their titles and metadata: ids, places and scores are left.
    #[serde(default = "yes")]
    pub content: bool,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// How results are thinned out.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmr {
    /// 1 for relevance alone, 0 for difference alone; 0.5 unless given.
    #[serde(default = "half")]
    pub lambda: f64,
}

fn half() -> f64 {
    0.5
}

/// Which model orders the best.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rerank {
    /// `provider/model`, such as `cohere/rerank-v3.5`; `builtin/hash` is a test model.
    pub model: String,
    /// A server that speaks Cohere's protocol.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The secret with the key.
    #[serde(default)]
    pub key_secret: Option<String>,
    /// How many it reads: `k` to 200, 50 unless given.
    #[serde(default)]
    pub candidates: Option<usize>,
}

/// What a result belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expand {
    /// The parent that it was cut from, where the index has such.
    Parent,
    /// The chunks around it.
    Window,
}

/// Results when neither the question nor the base says how many.
const TEN: usize = 10;

/// A search with all that was left out.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which lists, and how they become one.
    pub how: How,
    /// How many results.
    pub k: usize,
    /// How long each list is.
    pub wanted: usize,
}

impl SearchInput {
    /// The search that this is where the base says `usual`.
    pub fn plan(&self, usual: &Search, mode: Mode) -> Plan {
        let k = self.k.or(usual.k).unwrap_or(TEN);
        let wanted = self.candidates.unwrap_or(usual_candidates(k));
        Plan {
            how: How {
                mode,
                fusion: self.fusion.or(usual.fusion).unwrap_or_default(),
                weights: self.weights.or(usual.weights).unwrap_or_default(),
                rrf_k: self.rrf_k.or(usual.rrf_k),
            },
            k,
            wanted: wanted.clamp(k, MOST_CANDIDATES),
        }
    }
}

impl Check for SearchInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.query, 1, 8_000, "/query");
        let blank = self.query.trim().is_empty();
        c.require(!blank, "/query", "length", "must not be blank");
        let (most, detail) = match self.content {
            true => (100, "1 to 100"),
            false => (MOST_CANDIDATES, "1 to 400"),
        };
        let k = self.k.unwrap_or(TEN);
        c.require((1..=most).contains(&k), "/k", "out_of_range", detail);
        let many = self.candidates.is_none_or(|n| (k..=400).contains(&n));
        c.require(many, "/candidates", "out_of_range", "k to 400");
        let window = (1..=10).contains(&self.window);
        c.require(window, "/window", "out_of_range", "1 to 10");
        if let Some(weights) = &self.weights {
            rules::report(c, weights.faults("/weights"));
        }
        let constant = self.rrf_k.is_none_or(|k| (1.0..=10_000.0).contains(&k));
        c.require(constant, "/rrf_k", "out_of_range", "1 to 10000");
        if let Some(Err(faults)) = self.filter.as_ref().map(|f| jsonpath(f, "/filter")) {
            rules::report(c, faults);
        }
        rules::access(c, self.access.as_ref(), true, "/access");
        if let Some(ids) = &self.documents {
            let few = (1..=1_000).contains(&ids.len());
            c.require(few, "/documents", "length", "1 to 1000 ids");
            for (i, id) in ids.iter().enumerate() {
                c.require(
                    is_uuid(id),
                    &format!("/documents/{i}"),
                    "format",
                    "must be a UUID",
                );
            }
        }
        if let Some(mmr) = &self.mmr {
            let holds = (0.0..=1.0).contains(&mmr.lambda);
            c.require(holds, "/mmr/lambda", "out_of_range", "0 to 1");
        }
        if let Some(rerank) = &self.rerank {
            rerank.check(c, k);
        }
    }
}

impl Rerank {
    fn check(&self, c: &mut Checker, k: usize) {
        c.length(&self.model, 3, 256, "/rerank/model");
        let texts = [
            Some(&self.model),
            self.base_url.as_ref(),
            self.key_secret.as_ref(),
        ];
        let plain = texts
            .into_iter()
            .flatten()
            .all(|text| !text.contains(['{', '}']));
        c.require(plain, "/rerank", "template", "without braces");
        let named = self.key_secret.as_deref().is_none_or(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        c.require(
            named,
            "/rerank/key_secret",
            "format",
            "a secret's name: letters, digits, _",
        );
        let many = self.candidates.is_none_or(|n| (k..=200).contains(&n));
        c.require(many, "/rerank/candidates", "out_of_range", "k to 200");
    }
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchOutput {
    /// The best first.
    pub results: Vec<Found>,
    /// The index that was searched.
    pub index: i64,
    /// How it was searched.
    pub mode: Mode,
    /// How the candidates by meaning were found; absent where none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_path: Option<VectorPath>,
    /// How many candidates there were.
    pub candidates: Candidates,
    /// What models were asked for vectors and relevance.
    pub usage: Usage,
    /// How long it took, milliseconds.
    pub took_ms: f64,
}

/// How the candidates by meaning were found. Either way they are scored by their exact cosines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorPath {
    /// By the graph of pgvector, and by scanning what is not in it yet.
    Hnsw,
    /// By scanning the codes of all vectors.
    Exact,
}

impl VectorPath {
    /// Its name in answers and spans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hnsw => "hnsw",
            Self::Exact => "exact",
        }
    }
}

/// How many candidates there were.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Candidates {
    /// By words.
    pub lexical: usize,
    /// By meaning.
    pub vector: usize,
}

/// A result. Places count characters of the document's content.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// The chunk.
    pub chunk_id: String,
    /// Its document.
    pub document_id: String,
    /// The document's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where the document comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_uri: Option<String>,
    /// The chunk's number in the document.
    pub number: i64,
    /// Where it begins.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The document's metadata, and `headings` above the chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// By the last of the stages; scales differ between them.
    pub score: f64,
    /// What it belongs to, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expanded: Option<Expanded>,
    /// Why it is here, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explained>,
}

/// What a result belongs to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Expanded {
    /// Where it begins.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// What it says.
    pub content: String,
}

/// A result's way through the stages; those that it did not come through are absent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained {
    /// By words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexical: Option<Place>,
    /// The terms that it has of the question: `idf`, `tf`, `length` of the chunk, and the part of the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<Map<String, Value>>,
    /// By meaning: the cosine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Place>,
    /// Both made one; in other modes the list itself.
    pub fused: Option<Place>,
    /// By the rerank model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<Place>,
    /// The place after thinning out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diversified: Option<usize>,
}
