//! `POST /api/v1/finetune`

use crate::FinetuneRun;
use crate::check::{USUAL_EPOCHS, check_cost, estimate};
use crate::model::{Job, finetune_jobs as col};
use crate::provider::{Address, Provider, job, open};
use crate::source::{DatasetInput, Gathered};
use http::{HeaderName, StatusCode, header};
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_finetune::dataset::{Dataset, Example, FEWEST, to_jsonl};
use nodeai_finetune::provider::{Dialect, Order};
use nodeai_http::reply::{Body, Json};
use nodeai_http::{Check, Checker, FieldError, IntoReply, Problem};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How it is trained; what is not given is the provider's choice.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsInput {
    /// 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epochs: Option<u32>,
    /// Examples per step, 1 to 4,096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_size: Option<u32>,
    /// OpenAI's and Azure's multiplier, Together's and Mistral's rate; above 0 and at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// The same seed trains the same way where the provider can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    /// Goes into the model's name: 1 to 40 of `A-Z a-z 0-9 -`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    suffix: Option<String>,
}

/// A job to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobInput {
    /// At most 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// Who trains.
    provider: Dialect,
    /// Where it is, for Azure and servers of one's own.
    #[serde(default)]
    base_url: Option<String>,
    /// The secret with its key; `OPENAI_API_KEY`, `AZURE_OPENAI_API_KEY`, `TOGETHER_API_KEY` or `MISTRAL_API_KEY` unless given.
    #[serde(default)]
    key_secret: Option<String>,
    /// The model to train, as the provider calls it.
    base_model: String,
    /// Examples.
    dataset: DatasetInput,
    /// How.
    #[serde(default)]
    settings: SettingsInput,
    /// USD per million trained tokens, for the estimate.
    #[serde(default)]
    usd_per_million_tokens: Option<f64>,
    /// Refuses a job that is estimated to cost more, or whose price is not known.
    #[serde(default)]
    max_usd: Option<f64>,
}

impl Check for JobInput {
    fn check(&self, c: &mut Checker) {
        c.length(self.name.as_deref().unwrap_or_default(), 0, 200, "/name");
        c.length(&self.base_model, 1, 200, "/base_model");
        if let Some(name) = &self.key_secret {
            c.length(name, 1, 100, "/key_secret");
        }
        if let Some(url) = &self.base_url {
            c.length(url, 1, 2_000, "/base_url");
        }
        self.dataset.check(c);
        let settings = &self.settings;
        let price = self.usd_per_million_tokens;
        check_cost(c, settings.epochs, "/settings/epochs", price);
        let batch = settings.batch_size.is_none_or(|n| (1..=4_096).contains(&n));
        let detail = "must be from 1 to 4096";
        c.require(batch, "/settings/batch_size", "range", detail);
        let rate = settings.learning_rate.is_none_or(|r| r > 0.0 && r <= 100.0);
        let detail = "must be above 0 and at most 100";
        c.require(rate, "/settings/learning_rate", "range", detail);
        let plain = |s: &String| {
            (1..=40).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let suffix = settings.suffix.as_ref().is_none_or(plain);
        let detail = "must have 1 to 40 of A-Z a-z 0-9 -";
        c.require(suffix, "/settings/suffix", "format", detail);
        let most = self.max_usd.is_none_or(|usd| (0.0..=1e6).contains(&usd));
        c.require(most, "/max_usd", "range", "must be from 0 to 1000000");
    }
}

/// What is uploaded.
struct Material {
    train: String,
    validation: Option<String>,
    row: Value,
}

impl JobInput {
    /// Refuses a dataset of which no job can be made. Errors: 400 with the first wrong lines.
    fn material(&self, dataset: &Dataset) -> Result<Material, Problem> {
        let wrong = |detail: String| FieldError::body("/dataset", "format", detail);
        let (train, validation) = dataset.split(self.dataset.validation, self.dataset.seed);
        if dataset.bad_lines > 0 {
            let lines = dataset.errors.iter().take(20);
            let lines = lines.map(|e| wrong(format!("line {}: {}", e.line, e.message)));
            return Err(Problem::fields(lines.collect()));
        } else if train.len() < FEWEST {
            let detail = format!(
                "{} examples to learn from; providers want {FEWEST}",
                train.len()
            );
            return Err(Problem::fields(vec![wrong(detail)]));
        }
        let tokens = |examples: &[&Example]| examples.iter().map(|e| e.tokens).sum::<u64>();
        let epochs = self.settings.epochs.unwrap_or(USUAL_EPOCHS);
        let price = self.usd_per_million_tokens;
        let cost = estimate(tokens(&train), epochs, &self.base_model, price);
        if let Some(most) = self.max_usd
            && cost.is_none_or(|cost| cost as f64 > most * 1e12)
        {
            let detail = match cost {
                Some(cost) => format!(
                    "training is estimated to cost {:.4} USD",
                    cost as f64 / 1e12
                ),
                None => "no price is known; give usd_per_million_tokens".to_owned(),
            };
            return Err(Problem::fields(vec![FieldError::body(
                "/max_usd", "exceeded", detail,
            )]));
        }
        let row = json!({"name": self.name, "provider": self.provider, "base_url": self.base_url,
            "key_secret": self.key_secret, "base_model": self.base_model, "file_id": self.dataset.file_id,
            "settings": self.settings, "estimated_cost_pusd": cost, "examples": train.len(),
            "validation_examples": validation.len(), "tokens": tokens(&train) + tokens(&validation)});
        Ok(Material {
            train: to_jsonl(&train),
            validation: (!validation.is_empty()).then(|| to_jsonl(&validation)),
            row,
        })
    }
}

/// Makes a job: the examples are checked, costed and uploaded, then the provider is asked. With an `Idempotency-Key` a repeated request
/// gets the job that it has made. 202; 422 when the provider says no, 503 when it is away or busy: the job is `failed` then. When the
/// provider does not answer whether it trains, the job is `checking` and looked for whenever it is read.
pub async fn handle(
    caller: Caller<FinetuneRun>,
    Valid(input): Valid<JobInput>,
) -> Result<Reply<Job, 202>, Problem> {
    let claim = Claim::of(&caller)?;
    if let Some(job) = earlier(&caller, claim.as_ref()).await? {
        let replayed = HeaderName::from_static("idempotency-replayed");
        return Ok(accepted(job, |answer| answer.header(replayed, true)));
    }
    let Gathered { dataset, .. } = input.dataset.gather(&caller).await?;
    let mut material = input.material(&dataset)?;
    let address = Address {
        dialect: input.provider,
        base_url: input.base_url.as_deref(),
        key_secret: input.key_secret.as_deref(),
    };
    // Without a key nothing is written.
    let provider = open(&caller, &address).await?;
    if let Some(claim) = claim {
        material.row["request_key"] = json!(claim.key);
        material.row["request_hash"] = json!(claim.hash);
    }
    let job = begin(&caller, &material).await?;
    caller.session.release();
    let job = ask(&provider, &job, &input, &material).await?;
    Ok(accepted(job, |answer| answer))
}

fn accepted(job: Job, more: impl FnOnce(Json<Job>) -> Json<Job>) -> Reply<Job, 202> {
    let location = format!("/api/v1/finetune/{}", job.id);
    let mut answer = more(Json::ok(job).header(header::LOCATION, location));
    answer.status = StatusCode::ACCEPTED;
    Reply::from(answer.into_reply())
}

/// The request's idempotency key, and what makes it the same request. The job itself has it, since the provider is asked in between.
struct Claim {
    key: String,
    hash: String,
}

impl Claim {
    fn of(caller: &Caller<FinetuneRun>) -> Result<Option<Self>, Problem> {
        let claim = nodeai_app::write::idempotency(&caller.cx)?;
        Ok(claim.map(|claim| Self {
            key: claim["key"].as_str().unwrap_or_default().to_owned(),
            hash: claim["request_hash"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }))
    }
}

#[derive(Deserialize)]
struct Earlier {
    id: String,
    request_hash: Option<String>,
}

/// The job that the same request has made before. Errors: 422 when another request had the key.
async fn earlier(
    caller: &Caller<FinetuneRun>,
    claim: Option<&Claim>,
) -> Result<Option<Job>, Problem> {
    let Some(claim) = claim else { return Ok(None) };
    let me = caller.session.user_id().to_owned();
    let select = Select::from(col::TABLE, &[col::id, col::request_hash])
        .filter(Filter::Eq(col::request_key, claim.key.clone()))
        .filter(Filter::Eq(col::created_by, me));
    let found: Vec<Earlier> = caller.select(select).await?;
    match found.into_iter().next() {
        None => Ok(None),
        Some(earlier) if earlier.request_hash.as_ref() == Some(&claim.hash) => {
            job(caller, &earlier.id).await.map(Some)
        }
        Some(_) => Err(Problem::key_reused(
            "this Idempotency-Key was used for a request with other content",
        )),
    }
}

/// Writes the job down.
async fn begin(caller: &Caller<FinetuneRun>, material: &Material) -> Result<Job, Problem> {
    let id = clock::new_id();
    let args = json!({"id": id, "row": material.row});
    let command = Command::named("finetune_create", "finetune_job", &id, args)
        .audit("finetune.created", json!({}))
        .answer(200, &[], &json!({}))
        .beside();
    let response = caller.write(command).await?;
    let Body::Full(body) = response.into_body() else {
        return Err(Problem::internal("the job was not answered as a whole"));
    };
    serde_json::from_slice(&body)
        .map_err(|_| Problem::internal("the job came in a form that was not expected"))
}

/// Uploads and asks; what goes wrong is kept with the job.
async fn ask(
    provider: &Provider,
    job: &Job,
    input: &JobInput,
    material: &Material,
) -> Result<Job, Problem> {
    match upload_and_order(provider, job, input, material).await {
        Ok(Some(answer)) => provider.keep_job(&job.id, &answer).await,
        Ok(None) => provider.keep(&job.id, json!({})).await,
        Err(problem) => {
            let message = problem.detail.clone().unwrap_or_default();
            let said =
                json!({"status": "failed", "error": {"kind": problem.slug(), "message": message}});
            provider.keep(&job.id, said).await?;
            Err(problem)
        }
    }
}

async fn upload_and_order(
    provider: &Provider,
    job: &Job,
    input: &JobInput,
    material: &Material,
) -> Result<Option<Value>, Problem> {
    let training_file = provider.upload("train", &material.train).await?;
    let mut validation_file = None;
    if let Some(content) = &material.validation {
        validation_file = Some(provider.upload("validation", content).await?);
    }
    let files = json!({"training_file": training_file, "validation_file": validation_file});
    provider.keep(&job.id, files).await?;
    let settings = &input.settings;
    let order = Order {
        model: &input.base_model,
        training_file: &training_file,
        validation_file: validation_file.as_deref(),
        suffix: settings.suffix.as_deref(),
        epochs: settings.epochs,
        batch_size: settings.batch_size,
        learning_rate: settings.learning_rate,
        seed: settings.seed,
    };
    provider.order(&order).await
}
