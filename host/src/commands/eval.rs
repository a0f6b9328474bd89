//! `nodeai eval`: an evaluation over the API, for a terminal and for continuous integration.
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::cli::EvalArgs;

/// Time between two looks at an evaluation that is at work.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks in a row that may fail.
const PATIENCE: u32 = 30;
const PATH: &str = "/api/v1/rag-evaluation/evaluations";

/// Makes an evaluation (or takes up one that there is), waits for its end, prints what it came to, and holds it against the limits.
///
/// # Errors
/// When it cannot be made, does not succeed, or does not keep a limit: the command exits with 1 then.
pub async fn run(args: &EvalArgs) -> Result<()> {
    let api = Api::new(&args.url, &args.key)?;
    let id = match (&args.id, &args.file) {
        (Some(id), _) => id.clone(),
        (None, Some(file)) => {
            let made = api.ask(Method::POST, PATH, Some(&read(file)?)).await?;
            let id = made["id"].as_str().context("the answer has no id")?;
            id.to_owned()
        }
        (None, None) => bail!("give a file with the evaluation, or --id"),
    };
    eprintln!("evaluation {id}");
    let ended = wait(&api, &id, args.timeout).await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&ended)?),
        false => print!("{}", table(&ended)),
    }
    let status = ended["status"].as_str().unwrap_or_default();
    if status != "succeeded" {
        let why = ended["error"]["message"].as_str().unwrap_or_default();
        bail!("the evaluation {id} {status}: {why}");
    }
    hold(&api, &id, args).await
}

fn read(file: &str) -> Result<Value> {
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(|_| ())?,
        path => {
            text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
    }
    serde_json::from_str(&text).with_context(|| format!("{file} is no JSON"))
}

async fn wait(api: &Api, id: &str, timeout_s: u64) -> Result<Value> {
    let path = format!("{PATH}/{id}");
    let until = Instant::now() + Duration::from_secs(timeout_s);
    let (mut failures, mut told) = (0, String::new());
    loop {
        match api.ask(Method::GET, &path, None).await {
            Ok(now) => {
                failures = 0;
                let progress = progress(&now);
                if progress != told {
                    eprintln!("{progress}");
                    told = progress;
                }
                if now["finished_at"].is_string() {
                    return Ok(now);
                }
            }
            Err(error) if failures < PATIENCE && error.is::<Passing>() => failures += 1,
            Err(error) => return Err(error),
        }
        if Instant::now() > until {
            bail!(
                "the evaluation {id} has not ended after {timeout_s} s; it goes on, and --id {id} waits for it"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn progress(now: &Value) -> String {
    let count = |name: &str| now["progress"][name].as_u64().unwrap_or(0);
    let status = now["status"].as_str().unwrap_or_default();
    let items = now["items"].as_u64().unwrap_or(0);
    let (answered, results, of) = (count("answered"), count("results"), count("of"));
    format!("{status}: {answered} of {items} answers, {results} of {of} results")
}

/// What an evaluation came to, a line for each metric.
fn table(ended: &Value) -> String {
    let rows = ended["summary"].as_array().into_iter().flatten();
    let number = |value: &Value| {
        let value = value.as_f64();
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
    };
    let line = |[metric, mean, interval, n, failed]: [&str; 5]| {
        format!("{metric:<32} {mean:>10} {interval:>20} {n:>6} {failed:>6}\n")
    };
    let mut text = line(["metric", "mean", "95 % interval", "n", "failed"]);
    for row in rows {
        let interval = match row["interval"].as_array().map(Vec::as_slice) {
            Some([low, high]) => format!("{} … {}", number(low), number(high)),
            _ => "-".to_owned(),
        };
        let metric = row["metric"].as_str().unwrap_or_default();
        let (n, failed) = (row["n"].to_string(), row["failed"].to_string());
        text += &line([metric, &number(&row["mean"]), &interval, &n, &failed]);
    }
    let micros = ended["cost_usd_micros"].as_i64().unwrap_or(0);
    text += &format!("cost: {:.6} USD\n", micros as f64 / 1e6);
    text
}

/// Holds it against the limits of the command line.
async fn hold(api: &Api, id: &str, args: &EvalArgs) -> Result<()> {
    let mut limits = Vec::new();
    for (name, given) in [("min", &args.fail_below), ("max", &args.fail_above)] {
        for limit in given {
            let (metric, value) = split(limit)?;
            limits.push(json!({"metric": metric, name: value}));
        }
    }
    if limits.is_empty() && args.baseline.is_none() {
        return Ok(());
    }
    let body = json!({"limits": limits, "baseline": args.baseline, "max_failed": args.max_failed});
    let gate = api
        .ask(Method::POST, &format!("{PATH}/{id}/gate"), Some(&body))
        .await?;
    match gate["passed"] == true {
        true => Ok(()),
        false => bail!("{}", broken(&gate)),
    }
}

fn split(limit: &str) -> Result<(&str, f64)> {
    let split = limit.rsplit_once('=');
    let read = split.and_then(|(metric, value)| Some((metric, value.parse::<f64>().ok()?)));
    read.with_context(|| format!("{limit:?} is no limit such as faithfulness=0.8"))
}

/// What does not hold, as a sentence.
fn broken(gate: &Value) -> String {
    let limits = gate["limits"].as_array().into_iter().flatten();
    let limits = limits.filter(|limit| limit["passed"] != true).map(|limit| {
        let metric = limit["metric"].as_str().unwrap_or_default();
        let mean = &limit["mean"];
        match (limit["min"].as_f64(), limit["max"].as_f64()) {
            _ if mean.is_null() => format!("{metric} has no scores"),
            (Some(min), _) if mean.as_f64() < Some(min) => {
                format!("{metric} is {mean}, below {min}")
            }
            (_, Some(max)) if mean.as_f64() > Some(max) => {
                format!("{metric} is {mean}, above {max}")
            }
            _ => format!("{} items have no {metric}", limit["failed"]),
        }
    });
    let worse = gate["worse"].as_array().into_iter().flatten();
    let worse = worse.map(|one| {
        let metric = one["metric"].as_str().unwrap_or_default();
        let (from, to) = (&one["first"]["mean"], &one["second"]["mean"]);
        format!(
            "{metric} is significantly worse than at the baseline: {to} instead of {from}, p = {}",
            one["p_holm"]
        )
    });
    let nothing = (gate["compared"] == 0)
        .then(|| "the baseline has no metric and items in common with it".to_owned());
    let all = limits.chain(worse).chain(nothing);
    all.collect::<Vec<_>>().join("; ")
}

/// A failure that may pass: the next look can be better.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Passing(String);

struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    key: String,
}

impl Api {
    fn new(url: &str, key: &str) -> Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .context("cannot read this machine's certificates")?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: url.trim_end_matches('/').to_owned(),
            key: key.to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .context("the URL or the key is not usable")?;
        let response = self.client.request(request).await;
        let response =
            response.map_err(|error| Passing(format!("cannot reach {}: {error}", self.url)))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| Passing(error.to_string()))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let said = said(status, &answer);
        match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            true => Err(Passing(said).into()),
            false => bail!("{said}"),
        }
    }
}

/// A problem as a sentence, with the fields that are wrong.
fn said(status: StatusCode, problem: &Value) -> String {
    let detail = problem["detail"].as_str().or(problem["title"].as_str());
    let mut text = format!(
        "{}: {}",
        status.as_u16(),
        detail.unwrap_or("no explanation")
    );
    for error in problem["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| error[name].as_str().unwrap_or_default();
        text += &format!("\n  {} {}", part("pointer"), part("detail"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_metric() {
        let ended = json!({"cost_usd_micros": 1_234, "summary": [
            {"metric": "faithfulness", "mean": 0.91234, "n": 20, "failed": 1, "interval": [0.85, 0.96]},
            {"metric": "mrr", "mean": null, "n": 0, "failed": 21, "interval": null}]});
        let table = table(&ended);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1],
            ["faithfulness", "0.9123", "0.8500", "…", "0.9600", "20", "1"]
        );
        assert_eq!(lines[2], ["mrr", "-", "-", "0", "21"]);
        assert_eq!(lines[3], ["cost:", "0.001234", "USD"]);
    }

    #[test]
    fn what_does_not_hold_is_said() {
        let gate = json!({"passed": false, "limits": [
            {"metric": "faithfulness", "min": 0.8, "mean": 0.75, "n": 20, "passed": false},
            {"metric": "latency_ms", "max": 100.0, "mean": 150.5, "n": 20, "passed": false},
            {"metric": "mrr", "min": 0.1, "mean": null, "n": 0, "passed": false},
            {"metric": "recall@5", "min": 0.1, "mean": 0.5, "n": 5, "failed": 95, "passed": false},
            {"metric": "token_f1", "min": 0.1, "mean": 0.5, "n": 20, "passed": true}], "worse": [], "compared": 0});
        assert_eq!(
            broken(&gate),
            "faithfulness is 0.75, below 0.8; latency_ms is 150.5, above 100; mrr has no scores; 95 items have no recall@5; \
             the baseline has no metric and items in common with it"
        );
    }

    #[test]
    fn limits_are_metric_and_number() {
        assert_eq!(split("ndcg@10=0.5").unwrap(), ("ndcg@10", 0.5));
        assert!(split("faithfulness").is_err() && split("x=y").is_err());
    }
}
