//! One kind of search: how it is asked, and what its answers may have.

use super::fill::Side;
use crate::host::Host;
use crate::load::{self, Case, Measured};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt;
use std::time::Instant;

/// What is searched by.
pub const MODES: [&str; 3] = ["lexical", "vector", "hybrid"];

/// Which documents are meant.
#[derive(Debug, Clone, Copy)]
pub enum Condition {
    /// All.
    None,
    /// One in two.
    Half,
    /// One in a hundred.
    Hundredth,
}

impl Condition {
    fn filter(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Half => Some(json!({"half": true})),
            Self::Hundredth => Some(json!({"hundredth": 7})),
        }
    }

    fn holds(self, metadata: &Value) -> bool {
        match self {
            Self::None => true,
            Self::Half => metadata["half"] == true,
            Self::Hundredth => metadata["hundredth"] == 7,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Half => "keeps 1 of 2",
            Self::Hundredth => "keeps 1 of 100",
        })
    }
}

/// How near vectors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By pgvector's graph, or by codes where that is less work.
    Graph,
    /// By codes, as where pgvector is not.
    Codes,
}

impl Way {
    /// The p95 that is aimed at, ms.
    pub fn aim_ms(self) -> f64 {
        match self {
            Self::Graph => 50.0,
            Self::Codes => 150.0,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graph => "With pgvector",
            Self::Codes => "Without pgvector",
        })
    }
}

/// One kind of search.
pub struct Asked {
    /// Of [`MODES`].
    pub mode: &'static str,
    /// Which documents are meant.
    pub condition: Condition,
    /// How near vectors are to be found.
    pub way: Way,
}

impl Asked {
    /// Asks all, the tenants by turns, over one connection; the first ten twice: at first they prepare what is asked later.
    pub async fn all(&self, host: &Host, sides: &[Side], questions: &[String]) -> Result<Measured> {
        let mut sender = load::connect(&host.address).await?;
        let mut measured = Measured::default();
        let warm = questions.iter().take(10).map(|question| (question, false));
        let counted = questions.iter().map(|question| (question, true));
        for (at, (question, counts)) in warm.chain(counted).enumerate() {
            let side = &sides[at % sides.len()];
            let case = Case::post("", &side.path(), self.body(question));
            let began = Instant::now();
            let (_, answer) = load::answer(&mut sender, &case, &side.key).await?;
            let took = began.elapsed();
            self.check(side, &serde_json::from_slice(&answer)?)?;
            if counts {
                measured.push(took);
            }
        }
        Ok(measured)
    }

    fn body(&self, question: &str) -> Value {
        json!({"query": question, "mode": self.mode, "k": 10, "filter": self.condition.filter()})
    }

    /// All results are of the tenant's own documents, and meet the condition.
    fn check(&self, side: &Side, answer: &Value) -> Result<()> {
        let results = answer["results"].as_array().context("results")?;
        // Few documents may have none of the words.
        let few = matches!(self.condition, Condition::Hundredth);
        ensure!(few || !results.is_empty(), "nothing was found: {answer}");
        for result in results {
            let document = result["document_id"].as_str().context("a document")?;
            ensure!(
                side.documents.contains(document),
                "{document} is somebody else's"
            );
            ensure!(
                self.condition.holds(&result["metadata"]),
                "{result} is not meant"
            );
        }
        let path = &answer["vector_path"];
        let fits = match (self.mode, self.way, self.condition) {
            ("lexical", ..) => path.is_null(),
            (_, Way::Codes, _) | (.., Condition::Hundredth) => path == "exact",
            (_, Way::Graph, _) => path == "hnsw" || path == "exact",
        };
        ensure!(fits, "the vectors were found by {path}");
        Ok(())
    }
}
