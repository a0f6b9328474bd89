//! Providers of fine-tuning: one set of steps, whose paths, fields and states differ. By the references of OpenAI
//! (<https://platform.openai.com/docs/api-reference/fine-tuning>), Azure OpenAI (data plane 2024-10-21), Together
//! (<https://docs.together.ai/reference/post-fine-tunes>), Mistral (<https://docs.mistral.ai/api/#tag/fine-tuning>) and Fireworks
//! (<https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api>), whose API is one of resources: a dataset is made before it is filled.

mod adopt;
mod fireworks;
mod order;
mod read;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use fireworks::Readiness;

use crate::multipart::Form;

/// Who trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI, and servers that copy its API.
    Openai,
    /// Azure OpenAI; its base URL is that of the resource.
    Azure,
    /// Together AI.
    Together,
    /// Mistral.
    Mistral,
    /// Fireworks; its base URL is that of the account, such as `https://api.fireworks.ai/v1/accounts/mine`.
    Fireworks,
}

/// Version of Azure's API.
const AZURE_VERSION: &str = "2024-10-21";

/// Where and with which key.
#[derive(Clone)]
pub struct Place {
    /// Who it is.
    pub dialect: Dialect,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
    /// The key.
    pub key: String,
}

/// What is asked of a job that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// How it stands.
    Get,
    /// What has happened, newest first, behind an event.
    Events,
    /// Models on the way.
    Checkpoints,
    /// End it.
    Cancel,
    /// Let it rest.
    Pause,
    /// Let it go on.
    Resume,
}

/// What is to be trained.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order<'a> {
    /// The base model, as the provider calls it.
    pub model: &'a str,
    /// The id of the uploaded examples.
    pub training_file: &'a str,
    /// The id of those that it is measured on.
    pub validation_file: Option<&'a str>,
    /// Goes into the name of the model.
    pub suffix: Option<&'a str>,
    /// Epochs; the provider's choice unless given.
    pub epochs: Option<u32>,
    /// Examples per step.
    pub batch_size: Option<u32>,
    /// Multiplier (OpenAI, Azure) or rate (Together, Mistral) of learning.
    pub learning_rate: Option<f64>,
    /// The same seed trains the same way where the provider can.
    pub seed: Option<i64>,
}

/// How a job stands, in the words of our own API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Job {
    /// The provider's id.
    pub id: String,
    /// `checking`, `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled`.
    pub status: &'static str,
    /// The model that it made.
    pub result_model: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Tokens that were trained.
    pub trained_tokens: Option<i64>,
    /// What else the provider tells: estimated end, files with results.
    pub metrics: Value,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The provider's id of it, or its number.
    pub id: String,
    /// Unix time, s; null when the provider does not say.
    pub at_s: Option<i64>,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// For a person.
    pub message: String,
    /// Metrics of a step, such as `{step, train_loss}`.
    pub data: Value,
}

/// A model on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// The provider's id of it.
    pub id: String,
    /// The step.
    pub step: Option<i64>,
    /// The model, where it can be called.
    pub model: Option<String>,
    /// Metrics at that step.
    pub metrics: Value,
}

/// Why a provider cannot be asked, or its answer not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It has no such step.
    CannotDo(&'static str),
    /// The address or the key cannot be sent over HTTP.
    Unsendable,
    /// The answer breaks the provider's contract.
    Malformed(&'static str),
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CannotDo(what) => write!(out, "this provider cannot {what}"),
            Self::Unsendable => out.write_str("the address or the key cannot be sent over HTTP"),
            Self::Malformed(what) => write!(out, "the provider's answer has no {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl Dialect {
    /// The secret that holds the key unless another one is named.
    pub fn key_secret(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI_API_KEY",
            Self::Azure => "AZURE_OPENAI_API_KEY",
            Self::Together => "TOGETHER_API_KEY",
            Self::Mistral => "MISTRAL_API_KEY",
            Self::Fireworks => "FIREWORKS_API_KEY",
        }
    }

    /// Where it is unless another address is given; Azure has one for each resource,
    /// Fireworks for each account.
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Openai => Some("https://api.openai.com/v1"),
            Self::Azure | Self::Fireworks => None,
            Self::Together => Some("https://api.together.xyz/v1"),
            Self::Mistral => Some("https://api.mistral.ai/v1"),
        }
    }

    /// Whether events are asked for behind one that is known; others give all of them each time.
    pub fn pages_events(self) -> bool {
        matches!(self, Self::Openai | Self::Azure)
    }

    fn jobs(self) -> &'static str {
        match self {
            Self::Together => "fine-tunes",
            Self::Fireworks => "supervisedFineTuningJobs",
            _ => "fine_tuning/jobs",
        }
    }
}

impl Place {
    fn request(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        let base = self.base_url.trim_end_matches('/');
        let azure = self.dialect == Dialect::Azure;
        let url = match (azure, path.contains('?')) {
            (false, _) => format!("{base}/{path}"),
            (true, false) => format!("{base}/openai/{path}?api-version={AZURE_VERSION}"),
            (true, true) => format!("{base}/openai/{path}&api-version={AZURE_VERSION}"),
        };
        let (name, value) = match azure {
            true => ("api-key", self.key.clone()),
            false => ("authorization", format!("Bearer {}", self.key)),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| Error::Unsendable)?;
        value.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .header(name, value);
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        request.body(body).map_err(|_| Error::Unsendable)
    }

    /// Uploads examples. The boundary is drawn by the caller.
    ///
    /// # Errors
    /// When the address or the key cannot be sent.
    pub fn upload(
        &self,
        name: &str,
        content: &str,
        boundary: &str,
    ) -> Result<Request<Bytes>, Error> {
        if self.dialect == Dialect::Fireworks {
            return self.fill_dataset(name, content, boundary);
        }
        let together = [
            ("purpose", "fine-tune"),
            ("file_name", name),
            ("file_type", "jsonl"),
        ];
        let (path, fields) = match self.dialect {
            Dialect::Together => ("files/upload", &together[..]),
            _ => ("files", &together[..1]),
        };
        let form = Form {
            fields,
            file_name: name,
            content,
        };
        let (kind, body) = form.write(boundary);
        self.request(Method::POST, path, &kind, body)
    }

    /// Begins a job.
    ///
    /// # Errors
    /// When the address or the key cannot be sent.
    pub fn create(&self, order: &Order<'_>) -> Result<Request<Bytes>, Error> {
        let body = match self.dialect {
            Dialect::Openai | Dialect::Azure => order.openai(),
            Dialect::Together => order.together(),
            Dialect::Mistral => order.mistral(),
            Dialect::Fireworks => order.fireworks(),
        };
        let body = Bytes::from(body.to_string());
        self.request(Method::POST, self.dialect.jobs(), "application/json", body)
    }

    /// A step of a job. `after` is the event behind which events are wanted.
    ///
    /// # Errors
    /// When the provider has no such step, or the address or the key cannot be sent.
    pub fn step(
        &self,
        step: Step,
        job: &str,
        after: Option<&str>,
    ) -> Result<Request<Bytes>, Error> {
        // An id goes into a path: nothing of it may be one.
        let plain = |id: &str| {
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        if !plain(job) || !after.is_none_or(plain) {
            return Err(Error::Unsendable);
        }
        if self.dialect == Dialect::Fireworks {
            return self.fireworks_step(step, job);
        }
        let path = format!("{}/{job}", self.dialect.jobs());
        let openai = self.dialect.pages_events();
        match step {
            Step::Get => self.request(Method::GET, &path, "", Bytes::new()),
            Step::Events if openai => {
                let after = after.map_or_else(String::new, |after| format!("&after={after}"));
                let path = format!("{path}/events?limit=100{after}");
                self.request(Method::GET, &path, "", Bytes::new())
            }
            // Mistral has them in the job itself.
            Step::Events | Step::Checkpoints if self.dialect == Dialect::Mistral => {
                self.request(Method::GET, &path, "", Bytes::new())
            }
            Step::Events => self.request(Method::GET, &format!("{path}/events"), "", Bytes::new()),
            Step::Checkpoints => self.request(
                Method::GET,
                &format!("{path}/checkpoints"),
                "",
                Bytes::new(),
            ),
            Step::Cancel => self.request(Method::POST, &format!("{path}/cancel"), "", Bytes::new()),
            Step::Pause if openai => {
                self.request(Method::POST, &format!("{path}/pause"), "", Bytes::new())
            }
            Step::Resume if openai => {
                self.request(Method::POST, &format!("{path}/resume"), "", Bytes::new())
            }
            Step::Pause => Err(Error::CannotDo("pause jobs")),
            Step::Resume => Err(Error::CannotDo("resume jobs")),
        }
    }
}
