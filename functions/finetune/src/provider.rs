//! Asking a provider: its key from the vault, its address past the guard, its answer or the problem that it is.

use crate::model::{Job, SHOWN, finetune_jobs as col};
use bytes::Bytes;
use http::{Request, StatusCode};
use nodeai_app::vault::OpenedSecret;
use nodeai_app::{Caller, Cx, Scope, store_problem};
use nodeai_edge::http_client;
use nodeai_finetune::provider::{Dialect, Error, Place, Step};
use nodeai_guard::{UrlGuard, host_matches};
use nodeai_http::{FieldError, Problem};
use nodeai_ports::SendError;
use nodeai_store::{Filter, Select};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// How long a provider may take; files of examples are big.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A provider that may be asked.
pub struct Provider {
    /// Where, and with which key.
    pub place: Place,
    cx: Rc<Cx>,
    org_id: String,
}

/// Where a provider is, and where its key is.
pub struct Address<'a> {
    /// Who it is.
    pub dialect: Dialect,
    /// Its address, when it is not the usual one.
    pub base_url: Option<&'a str>,
    /// The secret's name, when it is not the usual one.
    pub key_secret: Option<&'a str>,
}

/// A job of the organisation. Errors: 404.
pub async fn job<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Job, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id.to_owned()));
    caller.find(select, "fine-tuning job").await
}

/// The provider of a job, and the job's id there. Errors: 409 while the provider has none.
pub async fn of_job<S: Scope>(
    caller: &Caller<S>,
    job: &Job,
) -> Result<(Provider, String), Problem> {
    let Some(id) = job.provider_job_id.clone() else {
        return Err(Problem::conflict("the provider has no such job"));
    };
    Ok((who_trains(caller, job).await?, id))
}

/// The provider of a job. Errors: those of [`open`].
pub async fn who_trains<S: Scope>(caller: &Caller<S>, job: &Job) -> Result<Provider, Problem> {
    let address = Address {
        dialect: job.provider,
        base_url: job.base_url.as_deref(),
        key_secret: job.key_secret.as_deref(),
    };
    open(caller, &address).await
}

/// Opens the key, with a row in the access log, where the address lets it go.
///
/// Errors: 400 for an address that must not be called; 409 when there is no key, or it is bound to other hosts.
pub async fn open<S: Scope>(caller: &Caller<S>, at: &Address<'_>) -> Result<Provider, Problem> {
    let wrong = |code: &str, detail: String| {
        Problem::fields(vec![FieldError::body("/base_url", code, detail)])
    };
    let base_url = at.base_url.or(at.dialect.base_url());
    let base_url =
        base_url.ok_or_else(|| wrong("required", "is required for this provider".to_owned()))?;
    let url = Url::parse(base_url).map_err(|_| wrong("format", "must be a URL".to_owned()))?;
    let guard = UrlGuard::configured(&**caller.cx.env()).await;
    guard
        .check_confidential(&url)
        .map_err(|refused| wrong("refused", refused.to_string()))?;
    let name = at.key_secret.unwrap_or(at.dialect.key_secret());
    let key = key(caller, name, &url, at.dialect).await?;
    caller.session.release();
    Ok(Provider {
        place: Place {
            dialect: at.dialect,
            base_url: base_url.to_owned(),
            key,
        },
        cx: caller.cx.clone(),
        org_id: caller.org_id().to_owned(),
    })
}

async fn key<S: Scope>(
    caller: &Caller<S>,
    name: &str,
    url: &Url,
    dialect: Dialect,
) -> Result<String, Problem> {
    let args = json!({"org_id": caller.org_id(), "names": [name], "purpose": "finetune"});
    let opened: Vec<OpenedSecret> = caller.call("secrets_open", &args).await?;
    let Some(secret) = opened.into_iter().next() else {
        // The operator's own key goes to the provider's usual address alone.
        let usual = dialect == Dialect::Openai
            && dialect.base_url().and_then(|u| Url::parse(u).ok()).as_ref() == Some(url);
        let offered = match usual && name == dialect.key_secret() {
            true => caller.cx.env().get("nodeai_openai_api_key").await,
            false => None,
        };
        return offered.ok_or_else(|| Problem::conflict(format!("there is no secret {name}")));
    };
    let value = match secret.value(&caller.cx) {
        Ok(value) => value,
        Err(problem) => {
            let note = secret.tampering(&caller.cx.trace.trace_id.to_string());
            caller.call::<Value>("tampering_note", &note).await?;
            return Err(problem);
        }
    };
    let hosts = secret.hosts.as_ref();
    match hosts.is_none_or(|hosts| hosts.iter().any(|pattern| host_matches(pattern, url))) {
        true => Ok(value),
        false => Err(Problem::conflict(format!(
            "the secret {name} is bound to other hosts"
        ))),
    }
}

/// A request that cannot be made. Errors: that.
pub fn unasked(error: Error) -> Problem {
    match error {
        Error::CannotDo(_) => Problem::conflict(error.to_string()),
        Error::Unsendable => Problem::conflict(error.to_string()),
        Error::Malformed(_) => Problem::provider_refused(error.to_string()),
    }
}

/// Why there is no answer, told apart by whether the provider may have done what it was asked for.
pub enum Failed {
    /// It says no, or that it is busy.
    Said(Problem),
    /// It, or a server before it, broke.
    Broken(Problem),
    /// Nothing came.
    Silent(Problem),
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Said(problem) | Failed::Broken(problem) | Failed::Silent(problem) => problem,
        }
    }
}

impl Provider {
    /// Sends a request, and reads the answer.
    ///
    /// Errors: 503 with `Retry-After` when the provider is away, busy or broken; 422 when it says no.
    pub async fn send(&self, request: Result<Request<Bytes>, Error>) -> Result<Value, Problem> {
        Ok(self.exchange(request).await?)
    }

    /// [`Provider::send`] that tells failures apart.
    pub async fn exchange(&self, request: Result<Request<Bytes>, Error>) -> Result<Value, Failed> {
        let request = request.map_err(|error| Failed::Said(unasked(error)))?;
        let sent = http_client::send_within(request, TIMEOUT).await;
        let answer = sent.map_err(|error| {
            let why = format!("the provider does not answer: {error}");
            let problem = Problem::unavailable(why).retry_after(5);
            match error {
                SendError::Unreachable(_) | SendError::Refused(_) => Failed::Said(problem),
                _ => Failed::Silent(problem),
            }
        })?;
        let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
        let said = |body: &Option<Value>| {
            let body = body.as_ref()?;
            let error = body["error"]["message"]
                .as_str()
                .or(body["message"].as_str());
            error.map(|text| text.chars().take(500).collect::<String>())
        };
        let status = answer.status();
        let why = || match said(&body) {
            Some(text) => format!("the provider answers {}: {text}", status.as_u16()),
            None => format!("the provider answers {}", status.as_u16()),
        };
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let after = answer.headers().get(http::header::RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let problem = Problem::unavailable(why()).retry_after(after.unwrap_or(5).min(3_600));
            return Err(match status.is_server_error() {
                true => Failed::Broken(problem),
                false => Failed::Said(problem),
            });
        } else if !status.is_success() {
            return Err(Failed::Said(Problem::provider_refused(why())));
        }
        body.ok_or_else(|| {
            Failed::Broken(Problem::provider_refused(
                "the provider's answer is not JSON",
            ))
        })
    }

    /// Waits.
    pub async fn rest(&self, ms: u64) {
        self.cx.env().sleep_ms(ms).await;
    }

    /// A step of a job.
    pub async fn step(&self, step: Step, job: &str, after: Option<&str>) -> Result<Value, Problem> {
        self.send(self.place.step(step, job, after)).await
    }

    /// Keeps what the provider says of a job; an end is final. Returns the job as it is then.
    pub async fn keep(&self, id: &str, mut said: Value) -> Result<Job, Problem> {
        let store = self.cx.store()?;
        said["id"] = json!(id);
        said["org_id"] = json!(self.org_id);
        let kept: Option<Job> = store
            .call_service("finetune_seen", &said)
            .await
            .map_err(store_problem)?;
        kept.ok_or_else(|| Problem::not_found("there is no such fine-tuning job"))
    }

    /// Keeps a job as the provider has it.
    pub async fn keep_job(&self, id: &str, answer: &Value) -> Result<Job, Problem> {
        let read = self.place.read_job(answer).map_err(unasked)?;
        let error = read
            .error
            .map(|message| json!({"kind": "provider", "message": message}));
        let error = error.or_else(|| {
            let silent = json!({"kind": "provider", "message": "the provider does not say why"});
            (read.status == "failed").then_some(silent)
        });
        let said = json!({"provider_job_id": read.id, "status": read.status, "result_model": read.result_model,
            "error": error, "trained_tokens": read.trained_tokens, "metrics": read.metrics});
        self.keep(id, said).await
    }
}
