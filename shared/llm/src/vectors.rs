//! What models that write no text do: vectors of texts (embeddings) and the relevance of documents to a query (rerank).
//! Requests are built and answers parsed here, as for conversations.

pub mod hashed;
mod read;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Provider, post};
use crate::{Error, Usage};

/// What a provider adds to each text or document of a request, in tokens at most.
const AROUND_EACH: i64 = 16;

/// What a text is embedded for; models that tell them apart give better neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It is to be found.
    Document,
    /// It looks for others.
    Query,
}

/// What to ask of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Work {
    /// A vector for each text.
    Embed {
        /// The texts.
        texts: Vec<String>,
        /// How long the vectors shall be, where the model can choose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dimensions: Option<u32>,
        /// What for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<Purpose>,
    },
    /// How relevant each document is to the query.
    Rerank {
        /// What was asked.
        query: String,
        /// Candidates.
        documents: Vec<String>,
        /// How many of the best; all unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        top_n: Option<usize>,
    },
}

/// One document's place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rank {
    /// Which of the documents, from 0.
    pub index: usize,
    /// How relevant it is: higher is more. Scales differ between models.
    pub score: f64,
}

/// What a model gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// A vector for each text, in the order of the texts.
    Vectors(Vec<Vec<f64>>),
    /// The documents, the most relevant first.
    Ranks(Vec<Rank>),
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What it gives.
    pub numbers: Numbers,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Tokens read; none where the provider does not say.
    pub usage: Option<Usage>,
}

impl Work {
    /// How many texts or documents there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Embed { texts, .. } => texts.len(),
            Self::Rerank { documents, .. } => documents.len(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `gen_ai.operation.name`: `embeddings`, or `rerank`, for which the conventions have no name yet.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Embed { .. } => "embeddings",
            Self::Rerank { .. } => "rerank",
        }
    }

    /// Most tokens that it can use when its request has a body of `bytes` bytes: see [`crate::bound`]. A rerank model reads
    /// the query again with each document.
    pub fn most_usage(&self, bytes: usize) -> Usage {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let again = match self {
            Self::Embed { .. } => 0,
            Self::Rerank { query, .. } => whole(query.len()).saturating_mul(whole(self.len())),
        };
        let around = AROUND_EACH.saturating_mul(whole(self.len()).saturating_add(1));
        Usage {
            prompt_tokens: whole(bytes).saturating_add(again).saturating_add(around),
            ..Usage::default()
        }
    }
}

impl Endpoint {
    /// Builds the HTTP request of such work. `key` is the API key.
    ///
    /// # Errors
    /// When the provider has no such models, or the URL or key cannot be sent over HTTP.
    pub fn measure_request(
        &self,
        work: &Work,
        key: Option<&str>,
    ) -> Result<http::Request<Bytes>, Error> {
        let (url, body) = match (self.provider, work) {
            (Provider::OpenAiCompatible, Work::Embed { .. }) => {
                (format!("{}/embeddings", self.base_url), self.embed(work))
            }
            (Provider::OpenAiCompatible, Work::Rerank { .. }) => {
                (self.rerank_url(), self.rerank(work))
            }
            (Provider::Gemini, Work::Embed { .. }) => {
                let url = format!("{}/models/{}:batchEmbedContents", self.base_url, self.model);
                (url, self.embed_by_gemini(work))
            }
            _ => {
                let what = work.operation();
                return Err(Error::invalid(format!("{} offers no {what}", self.name)));
            }
        };
        let bearer = key.map(|key| format!("Bearer {key}"));
        let field = match self.provider {
            Provider::Gemini => ("x-goog-api-key", key),
            _ => ("authorization", bearer.as_deref()),
        };
        post(url, &[field], &body).map_err(|error| {
            Error::invalid(format!(
                "base_url, model or api_key cannot be sent over HTTP: {error}"
            ))
        })
    }

    /// OpenAI's form (<https://platform.openai.com/docs/api-reference/embeddings>). Voyage and Jina know purposes by names of
    /// their own.
    fn embed(&self, work: &Work) -> Value {
        let Work::Embed {
            texts,
            dimensions,
            purpose,
        } = work
        else {
            return Value::Null;
        };
        let mut body = json!({"model": self.model, "input": texts});
        let size = match self.name.as_str() {
            "voyage_ai" => "output_dimension",
            _ => "dimensions",
        };
        if let Some(dimensions) = dimensions {
            body[size] = (*dimensions).into();
        }
        match (self.name.as_str(), purpose) {
            ("voyage_ai", Some(purpose)) => body["input_type"] = json!(purpose),
            ("jina_ai", Some(Purpose::Document)) => body["task"] = "retrieval.passage".into(),
            ("jina_ai", Some(Purpose::Query)) => body["task"] = "retrieval.query".into(),
            _ => {}
        }
        body
    }

    /// Gemini's (<https://ai.google.dev/api/embeddings>).
    fn embed_by_gemini(&self, work: &Work) -> Value {
        let Work::Embed {
            texts,
            dimensions,
            purpose,
        } = work
        else {
            return Value::Null;
        };
        let task = purpose.map(|purpose| match purpose {
            Purpose::Document => "RETRIEVAL_DOCUMENT",
            Purpose::Query => "RETRIEVAL_QUERY",
        });
        let requests = texts.iter().map(|text| {
            let mut one = json!({
                "model": format!("models/{}", self.model),
                "content": {"parts": [{"text": text}]},
            });
            if let Some(task) = task {
                one["taskType"] = task.into();
            }
            if let Some(dimensions) = dimensions {
                one["outputDimensionality"] = (*dimensions).into();
            }
            one
        });
        json!({"requests": requests.collect::<Vec<_>>()})
    }

    /// Cohere has it beside the interface that copies OpenAI's; the others within theirs.
    fn rerank_url(&self) -> String {
        let base = match self.base_url.strip_suffix("/compatibility/v1") {
            Some(host) if self.name == "cohere" => format!("{host}/v2"),
            _ => self.base_url.clone(),
        };
        format!("{base}/rerank")
    }

    /// The form that Cohere (<https://docs.cohere.com/reference/rerank>) began and the others copy; Voyage says `top_k`.
    fn rerank(&self, work: &Work) -> Value {
        let Work::Rerank {
            query,
            documents,
            top_n,
        } = work
        else {
            return Value::Null;
        };
        let mut body = json!({"model": self.model, "query": query, "documents": documents});
        let name = match self.name.as_str() {
            "voyage_ai" => "top_k",
            _ => "top_n",
        };
        if let Some(top_n) = top_n {
            body[name] = (*top_n).into();
        }
        body
    }

    /// Parses a whole answer with a success status.
    ///
    /// # Errors
    /// When it breaks the provider's contract: no numbers, too few of them, vectors of unlike length.
    pub fn parse_measured(&self, work: &Work, body: &[u8]) -> Result<Measured, Error> {
        let json: Value = serde_json::from_slice(body)
            .map_err(|_| Error::malformed("the provider's answer is not JSON"))?;
        let numbers = match work {
            Work::Embed { texts, .. } => Numbers::Vectors(read::vectors(&json, texts.len())?),
            Work::Rerank {
                documents, top_n, ..
            } => Numbers::Ranks(read::ranks(&json, documents.len(), *top_n)?),
        };
        let model = json.get("model").and_then(Value::as_str);
        Ok(Measured {
            numbers,
            model: model.map(str::to_owned),
            usage: read::usage(&json),
        })
    }
}

#[cfg(test)]
mod tests;
