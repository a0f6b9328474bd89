//! Where examples come from: the request itself, a file, traced calls of models.

use bytes::Bytes;
use http::{Request, header};
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Scope, clock};
use nodeai_edge::http_client;
use nodeai_finetune::calls::{self, Call};
use nodeai_finetune::dataset::{self, Dataset, LONGEST};
use nodeai_finetune::redact;
use nodeai_http::{Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where files are for the application's own components, by service chaining; nobody's URL leads there.
const FILES: &str = "http://files.spin.internal/api/v1/files";
/// Largest file of examples: it is in memory, with what is made of it.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A score that traces must have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreFilter {
    /// Its name.
    name: String,
    /// At least.
    #[serde(default)]
    min: Option<f64>,
    /// At most.
    #[serde(default)]
    max: Option<f64>,
}

/// Which calls of models become examples: the newest that fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracesInput {
    /// Only those of this workflow.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Only those of this model, as spans name it.
    #[serde(default)]
    model: Option<String>,
    /// Only from this time on, RFC 3339.
    #[serde(default)]
    from: Option<String>,
    /// Only before this time, RFC 3339.
    #[serde(default)]
    to: Option<String>,
    /// Only those with this score, on the span or its trace.
    #[serde(default)]
    score: Option<ScoreFilter>,
    /// At most so many, 1 to 5,000; 1,000 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

/// Examples: exactly one of `jsonl`, `file_id` and `traces`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetInput {
    /// JSON Lines in the chat form.
    #[serde(default)]
    jsonl: Option<String>,
    /// A file of them, at most 16 MiB.
    #[serde(default)]
    pub file_id: Option<String>,
    /// Calls of models that were traced.
    #[serde(default)]
    traces: Option<TracesInput>,
    /// Takes out what looks like a secret, an e-mail address or a telephone number.
    #[serde(default)]
    redact: bool,
    /// Most tokens of an example; 65,536 unless given.
    #[serde(default)]
    longest: Option<u64>,
    /// The part for validation, 0 to 0.5; none unless given.
    #[serde(default)]
    pub validation: f64,
    /// The same seed splits the same way.
    #[serde(default)]
    pub seed: u64,
}

/// A dataset that was gathered.
pub struct Gathered {
    /// Examples and what is wrong with others.
    pub dataset: Dataset,
    /// Places that were redacted.
    pub redacted: usize,
}

impl DatasetInput {
    /// Checks it, below `/dataset`.
    pub fn check(&self, c: &mut Checker) {
        let given = [
            self.jsonl.is_some(),
            self.file_id.is_some(),
            self.traces.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        let detail = "give exactly one of jsonl, file_id and traces";
        c.require(one, "/dataset", "one_of", detail);
        let uuid = self.file_id.as_deref().is_none_or(is_uuid);
        c.require(uuid, "/dataset/file_id", "format", "must be a UUID");
        let longest = self.longest.is_none_or(|n| (1..=1_000_000).contains(&n));
        let detail = "must be from 1 to 1000000";
        c.require(longest, "/dataset/longest", "range", detail);
        let part = (0.0..=0.5).contains(&self.validation);
        let detail = "must be from 0 to 0.5";
        c.require(part, "/dataset/validation", "range", detail);
        if let Some(traces) = &self.traces {
            traces.check(c);
        }
    }

    /// Gathers the examples. Errors: 404 for a file that is not there; 413 for one that is too large.
    pub async fn gather<S: Scope>(&self, caller: &Caller<S>) -> Result<Gathered, Problem> {
        let mut redacted = 0;
        let text = match (&self.jsonl, &self.file_id, &self.traces) {
            (Some(text), ..) => text.clone(),
            (_, Some(file), _) => file_text(caller, file).await?,
            (.., Some(traces)) => traces.jsonl(caller).await?,
            _ => String::new(),
        };
        caller.session.release();
        let mut dataset = dataset::read(&text, self.longest.unwrap_or(LONGEST));
        if self.redact {
            for example in &mut dataset.examples {
                redacted += redact::value(&mut example.value);
            }
        }
        if dataset.examples.len() > dataset::MOST {
            let detail = format!("at most {} examples", dataset::MOST);
            let error = FieldError::body("/dataset", "length", detail);
            return Err(Problem::fields(vec![error]));
        }
        Ok(Gathered { dataset, redacted })
    }
}

impl TracesInput {
    fn check(&self, c: &mut Checker) {
        let uuid = self.workflow_id.as_deref().is_none_or(is_uuid);
        let at = "/dataset/traces/workflow_id";
        c.require(uuid, at, "format", "must be a UUID");
        for (at, time) in [
            ("/dataset/traces/from", &self.from),
            ("/dataset/traces/to", &self.to),
        ] {
            let read = time.as_deref().map(clock::parse_rfc3339);
            let holds = read != Some(None);
            c.require(holds, at, "format", "must be a time in RFC 3339");
        }
        let limit = self.limit.is_none_or(|n| (1..=5_000).contains(&n));
        let detail = "must be from 1 to 5000";
        c.require(limit, "/dataset/traces/limit", "range", detail);
    }

    async fn jsonl<S: Scope>(&self, caller: &Caller<S>) -> Result<String, Problem> {
        let us = |time: &Option<String>| time.as_deref().and_then(clock::parse_rfc3339);
        let args = json!({"org_id": caller.org_id(), "workflow_id": self.workflow_id, "model": self.model,
            "from_us": us(&self.from), "to_us": us(&self.to), "score": self.score, "limit": self.limit.unwrap_or(1_000)});
        let found: Vec<Map<String, Value>> = caller.call("finetune_calls", &args).await?;
        let lines = found.iter().filter_map(|attributes| {
            let content = nodeai_otel::content_of(attributes);
            let example = calls::example(Call {
                asked: &content.input_messages,
                answered: &content.output_messages,
                input: content.input.as_ref(),
                output: content.output.as_ref(),
            });
            example.map(|example| format!("{example}\n"))
        });
        Ok(lines.collect())
    }
}

/// A file's text, read as the caller: its own component says whether they may.
async fn file_text<S: Scope>(caller: &Caller<S>, file: &str) -> Result<String, Problem> {
    let mut request = Request::get(format!("{FILES}/{file}/content"));
    for name in ["authorization", "x-organization-id"] {
        if let Some(value) = caller.cx.header(name) {
            request = request.header(name, value);
        }
    }
    let request = request
        .header(header::ACCEPT, "*/*")
        .body(Bytes::new())
        .map_err(|_| Problem::internal("the request for the file could not be made"))?;
    caller.session.release();
    let answer = http_client::send_buffered(request).await;
    let answer = answer.map_err(|error| {
        nodeai_app::errors::log("finetune", &error.to_string());
        Problem::unavailable("the file could not be read in time").retry_after(5)
    })?;
    match answer.status().as_u16() {
        200 => {}
        401 | 403 => return Err(Problem::forbidden("this caller may not read that file")),
        404 => return Err(Problem::not_found("there is no such file")),
        status => {
            let detail = format!("the file could not be read: {status}");
            return Err(Problem::unavailable(detail).retry_after(5));
        }
    }
    if answer.body().len() > MOST_BYTES {
        return Err(Problem::too_large("a file of examples has at most 16 MiB"));
    }
    String::from_utf8(answer.into_body().to_vec())
        .map_err(|_| Problem::file_unreadable("the file is not UTF-8"))
}
