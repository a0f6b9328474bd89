//! The ticker: asks the application to work on what is due, schedules, runs of the queue, deliveries of webhooks, documents
//! of knowledge bases, evaluations, experiments, alert rules, files that were deleted, days of spans that are kept.
//! Elsewhere a schedule does (see deploy/).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use crate::log;

type Http = Client<HttpConnector, Full<Bytes>>;

/// What is asked for, and how often.
struct Job {
    /// What it is called in the log.
    what: &'static str,
    /// Where the application does it.
    path: &'static str,
    /// Time between two looks. One that finds nothing costs a statement.
    every: Duration,
    /// Looks that may be at work at the same time: one that found work stays with it.
    most: usize,
}

const RUNS: Job = Job {
    what: "queued runs",
    path: "/api/v1/workflows/execute/drain",
    every: Duration::from_secs(1),
    most: 4,
};

const SCHEDULES: Job = Job {
    what: "schedules",
    path: "/api/v1/workflows/execute/schedules/drain",
    every: Duration::from_secs(1),
    most: 1,
};

const DELIVERIES: Job = Job {
    what: "deliveries of webhooks",
    path: "/api/v1/webhooks/drain",
    every: Duration::from_secs(1),
    most: 4,
};

const DOCUMENTS: Job = Job {
    what: "documents of knowledge bases",
    path: "/api/v1/knowledge-base/drain",
    every: Duration::from_secs(2),
    most: 2,
};

const EVALUATIONS: Job = Job {
    what: "evaluations",
    path: "/api/v1/rag-evaluation/drain",
    every: Duration::from_secs(1),
    most: 1,
};

const EXPERIMENTS: Job = Job {
    what: "experiments",
    path: "/api/v1/rag-optimization/drain",
    every: Duration::from_secs(1),
    most: 1,
};

/// Rules look at hours; the application leaves out those that were asked within the minute.
const ALERTS: Job = Job {
    what: "alert rules",
    path: "/api/v1/observability/evaluate",
    every: Duration::from_secs(60),
    most: 1,
};

/// What was deleted can wait; a look that finds nothing costs two statements.
const FILES: Job = Job {
    what: "deleted files",
    path: "/api/v1/files/drain",
    every: Duration::from_secs(60),
    most: 1,
};

/// Days are kept once they are old; where nothing is to be kept, a look costs no statement.
const ARCHIVES: Job = Job {
    what: "archives of spans",
    path: "/api/v1/traces/archives/drain",
    every: Duration::from_secs(300),
    most: 1,
};

/// Asks for each job in its time, as the operator's schedule (`token`).
pub async fn run(url: String, token: String) {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    tokio::join!(
        tick(&SCHEDULES, &client, &url, &token),
        tick(&RUNS, &client, &url, &token),
        tick(&DELIVERIES, &client, &url, &token),
        tick(&DOCUMENTS, &client, &url, &token),
        tick(&EVALUATIONS, &client, &url, &token),
        tick(&EXPERIMENTS, &client, &url, &token),
        tick(&ALERTS, &client, &url, &token),
        tick(&FILES, &client, &url, &token),
        tick(&ARCHIVES, &client, &url, &token),
    );
}

async fn tick(job: &'static Job, client: &Http, url: &str, token: &str) {
    let places = Arc::new(Semaphore::new(job.most));
    let mut ticks = tokio::time::interval(job.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let (client, url, token) = (
            client.clone(),
            format!("{url}{}", job.path),
            token.to_owned(),
        );
        tokio::spawn(async move {
            let _place = place;
            // The application says in its own log what went wrong; the next look tries again.
            if let Err(error) = look(&client, &url, &token).await {
                log::info(&format!("{} were not looked at: {error:#}", job.what));
            }
        });
    }
}

async fn look(client: &Http, url: &str, token: &str) -> anyhow::Result<()> {
    let request = http::Request::post(url)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(b"{}")))?;
    client.request(request).await?.into_body().collect().await?;
    Ok(())
}
