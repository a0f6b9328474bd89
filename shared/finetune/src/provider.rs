//! Providers of fine-tuning: one set of steps, whose paths, fields and states differ. By the references of OpenAI
//! (<https://platform.openai.com/docs/api-reference/fine-tuning>), Azure OpenAI (data plane 2024-10-21), Together
//! (<https://docs.together.ai/reference/post-fine-tunes>) and Mistral (<https://docs.mistral.ai/api/#tag/fine-tuning>).

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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
        }
    }

    /// Where it is unless another address is given; Azure has one for each resource.
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Openai => Some("https://api.openai.com/v1"),
            Self::Azure => None,
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

    /// The id of an uploaded file.
    ///
    /// # Errors
    /// When the answer has none.
    pub fn read_file(&self, answer: &Value) -> Result<String, Error> {
        let id = answer["id"].as_str();
        id.map(str::to_owned)
            .ok_or(Error::Malformed("id of the file"))
    }

    /// How a job stands.
    ///
    /// # Errors
    /// When the answer is none.
    pub fn read_job(&self, answer: &Value) -> Result<Job, Error> {
        let id = answer["id"]
            .as_str()
            .ok_or(Error::Malformed("id of the job"))?;
        let state = answer["status"]
            .as_str()
            .ok_or(Error::Malformed("status"))?;
        let text = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| answer[*name].as_str());
            found.find(|text| !text.is_empty()).map(str::to_owned)
        };
        let status = status(state);
        let made = text(&["fine_tuned_model", "model_output_name", "output_name"]);
        let error = answer["error"]["message"].as_str().map(str::to_owned);
        let error = error.or_else(|| text(&["failure_reason", "message"]));
        let kept = [
            "estimated_finish",
            "finished_at",
            "result_files",
            "hyperparameters",
            "metadata",
        ];
        let kept = kept
            .iter()
            .filter(|name| !answer[**name].is_null())
            .map(|name| ((*name).to_owned(), answer[*name].clone()));
        Ok(Job {
            id: id.to_owned(),
            status,
            result_model: made.filter(|_| status == "succeeded"),
            error: error.filter(|_| status == "failed"),
            trained_tokens: answer["trained_tokens"]
                .as_i64()
                .or(answer["token_count"].as_i64()),
            metrics: Value::Object(kept.collect::<Map<String, Value>>()),
        })
    }

    /// What has happened, oldest first.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn read_events(&self, answer: &Value) -> Result<Vec<Event>, Error> {
        let rows = answer["data"].as_array().or(answer["events"].as_array());
        let rows = rows.ok_or(Error::Malformed("list of events"))?;
        // Newest first, but at Together.
        let ordered: Vec<&Value> = match self.dialect {
            Dialect::Together => rows.iter().collect(),
            _ => rows.iter().rev().collect(),
        };
        let event = |(number, row): (usize, &Value)| Event {
            id: row["id"]
                .as_str()
                .map_or_else(|| format!("{}", number + 1), str::to_owned),
            at_s: row["created_at"].as_i64(),
            level: row["level"].as_str().unwrap_or("info").to_owned(),
            message: row["message"]
                .as_str()
                .or(row["name"].as_str())
                .unwrap_or_default()
                .to_owned(),
            data: row["data"].clone(),
        };
        Ok(ordered.into_iter().enumerate().map(event).collect())
    }

    /// Models on the way.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn read_checkpoints(&self, answer: &Value) -> Result<Vec<Checkpoint>, Error> {
        let rows = answer["data"]
            .as_array()
            .or(answer["checkpoints"].as_array());
        let rows = rows.ok_or(Error::Malformed("list of checkpoints"))?;
        let one = |(number, row): (usize, &Value)| {
            let step = row["step_number"].as_i64().or(row["step"].as_i64());
            let model = row["fine_tuned_model_checkpoint"].as_str();
            Checkpoint {
                id: row["id"]
                    .as_str()
                    .map_or_else(|| step.unwrap_or(number as i64).to_string(), str::to_owned),
                step,
                model: model.map(str::to_owned),
                metrics: row["metrics"].clone(),
            }
        };
        Ok(rows.iter().enumerate().map(one).collect())
    }
}

/// A provider's state in our own words. One that is not known is at work: only what is known ends a job.
fn status(state: &str) -> &'static str {
    match state.to_ascii_lowercase().as_str() {
        "validating_files" | "validating" | "validated" | "created" => "checking",
        "queued" | "pending" | "notrunning" | "started" => "queued",
        "paused" => "paused",
        "succeeded" | "success" | "completed" => "succeeded",
        "failed" | "failed_validation" | "error" | "user_error" => "failed",
        "cancelled" | "canceled" => "cancelled",
        _ => "running",
    }
}

fn put(body: &mut Value, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        body[name] = json!(value);
    }
}

impl Order<'_> {
    fn openai(&self) -> Value {
        let mut hyper = json!({});
        put(&mut hyper, "n_epochs", self.epochs);
        put(&mut hyper, "batch_size", self.batch_size);
        put(&mut hyper, "learning_rate_multiplier", self.learning_rate);
        let mut body = json!({"model": self.model, "training_file": self.training_file,
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}}});
        put(&mut body, "validation_file", self.validation_file);
        put(&mut body, "suffix", self.suffix);
        put(&mut body, "seed", self.seed);
        body
    }

    fn together(&self) -> Value {
        let mut body = json!({"model": self.model, "training_file": self.training_file});
        put(&mut body, "validation_file", self.validation_file);
        put(&mut body, "n_evals", self.validation_file.map(|_| 1));
        put(&mut body, "suffix", self.suffix);
        put(&mut body, "n_epochs", self.epochs);
        put(&mut body, "batch_size", self.batch_size);
        put(&mut body, "learning_rate", self.learning_rate);
        body
    }

    fn mistral(&self) -> Value {
        let mut hyper = json!({});
        put(&mut hyper, "epochs", self.epochs);
        put(&mut hyper, "learning_rate", self.learning_rate);
        let mut body = json!({"model": self.model, "auto_start": true, "hyperparameters": hyper,
            "training_files": [{"file_id": self.training_file, "weight": 1}]});
        put(
            &mut body,
            "validation_files",
            self.validation_file.map(|file| [file]),
        );
        put(&mut body, "suffix", self.suffix);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dialect: Dialect) -> Place {
        Place {
            dialect,
            base_url: "https://p.example/v1/".to_owned(),
            key: "k".to_owned(),
        }
    }

    fn body(request: &Request<Bytes>) -> Value {
        serde_json::from_slice(request.body()).expect("JSON")
    }

    #[test]
    fn orders_are_in_each_providers_words() {
        let order = Order {
            model: "m",
            training_file: "f1",
            validation_file: Some("f2"),
            suffix: Some("s"),
            epochs: Some(3),
            ..Order::default()
        };
        let of = |dialect| place(dialect).create(&order).expect("a request");
        let openai = of(Dialect::Openai);
        assert_eq!(openai.uri(), "https://p.example/v1/fine_tuning/jobs");
        assert_eq!(openai.headers()["authorization"], "Bearer k");
        let want = json!({"model": "m", "training_file": "f1", "validation_file": "f2", "suffix": "s",
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}});
        assert_eq!(body(&openai), want);
        let azure = of(Dialect::Azure);
        assert_eq!(
            azure.uri(),
            "https://p.example/v1/openai/fine_tuning/jobs?api-version=2024-10-21"
        );
        assert_eq!(azure.headers()["api-key"], "k");
        let together = of(Dialect::Together);
        assert_eq!(together.uri(), "https://p.example/v1/fine-tunes");
        assert_eq!(body(&together)["n_epochs"], 3);
        let mistral = body(&of(Dialect::Mistral));
        assert_eq!(mistral["training_files"][0]["file_id"], "f1");
        assert_eq!(mistral["validation_files"], json!(["f2"]));
    }

    #[test]
    fn steps_have_their_paths_or_are_refused() {
        let uri = |dialect, step| {
            place(dialect)
                .step(step, "ft-1", Some("e9"))
                .map(|r| r.uri().to_string())
        };
        assert_eq!(
            uri(Dialect::Openai, Step::Events),
            Ok("https://p.example/v1/fine_tuning/jobs/ft-1/events?limit=100&after=e9".to_owned())
        );
        assert_eq!(
            uri(Dialect::Azure, Step::Events),
            Ok("https://p.example/v1/openai/fine_tuning/jobs/ft-1/events?limit=100&after=e9&api-version=2024-10-21".to_owned())
        );
        assert_eq!(
            uri(Dialect::Mistral, Step::Checkpoints),
            Ok("https://p.example/v1/fine_tuning/jobs/ft-1".to_owned())
        );
        assert_eq!(
            uri(Dialect::Together, Step::Pause),
            Err(Error::CannotDo("pause jobs"))
        );
        let hostile = place(Dialect::Openai).step(Step::Get, "../files", None);
        assert_eq!(hostile.err(), Some(Error::Unsendable));
    }

    #[test]
    fn jobs_are_read_in_our_own_words() {
        let read = |dialect, answer: Value| place(dialect).read_job(&answer).expect("a job");
        let done = read(
            Dialect::Openai,
            json!({"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": "ft:m::1", "trained_tokens": 10, "error": {}}),
        );
        assert_eq!(
            (
                done.status,
                done.result_model.as_deref(),
                done.trained_tokens
            ),
            ("succeeded", Some("ft:m::1"), Some(10))
        );
        let failed = read(
            Dialect::Openai,
            json!({"id": "1", "status": "failed", "fine_tuned_model": null, "error": {"message": "bad file"}}),
        );
        assert_eq!(
            (failed.status, failed.error.as_deref()),
            ("failed", Some("bad file"))
        );
        let together = read(
            Dialect::Together,
            json!({"id": "ft-1", "status": "completed", "output_name": "me/m", "token_count": 7}),
        );
        assert_eq!(
            (together.status, together.result_model.as_deref()),
            ("succeeded", Some("me/m"))
        );
        assert_eq!(
            read(Dialect::Mistral, json!({"id": "1", "status": "VALIDATING"})).status,
            "checking"
        );
        assert_eq!(
            read(
                Dialect::Together,
                json!({"id": "1", "status": "compressing"})
            )
            .status,
            "running"
        );
        assert!(
            place(Dialect::Openai)
                .read_job(&json!({"error": "x"}))
                .is_err()
        );
    }

    #[test]
    fn events_come_oldest_first() {
        let row = |id: &str| json!({"id": id, "created_at": 1, "level": "info", "message": id, "data": {"step": 1}});
        let openai = place(Dialect::Openai).read_events(&json!({"data": [row("e2"), row("e1")]}));
        let ids: Vec<String> = openai.expect("events").into_iter().map(|e| e.id).collect();
        assert_eq!(ids, ["e1", "e2"]);
        let mistral = json!({"events": [{"name": "status-updated", "data": {"status": "RUNNING"}, "created_at": 2}]});
        let mistral = place(Dialect::Mistral)
            .read_events(&mistral)
            .expect("events");
        assert_eq!(
            (mistral[0].message.as_str(), mistral[0].id.as_str()),
            ("status-updated", "1")
        );
    }
}
