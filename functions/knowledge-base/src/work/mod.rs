//! Work on documents that wait: each is one job for one index, leased, done with the claims of whoever asked for it.

pub mod fetch;
pub mod job;
mod meaning;
pub mod models;
mod source;
pub mod trouble;

use crate::KnowledgeWrite;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use job::{Job, Outcome};
use nodeai_app::errors::{log, storage_problem};
use nodeai_app::settings::Settings;
use nodeai_app::{App, Caller, Cx, clock, store_problem};
use nodeai_guard::UrlGuard;
use nodeai_http::Problem;
use nodeai_store::{Store, TakenUp};
use nodeai_telemetry::TraceContext;
use serde_json::{Value, json};
use std::rc::Rc;

/// How long a job is somebody's without a step, µs: a step asks a model or fetches a source once.
pub const LEASE_US: i64 = 120_000_000;
/// Documents that one request works on at the same time.
const LANES: usize = 4;
/// How long work goes on after a response, µs.
const KICK_US: i64 = 15_000_000;
/// Documents of an organisation at work, beyond which no request takes up another after its response.
const KICKED: u32 = 8;
/// What the context of a job is called in usage and logs.
const PATTERN: &str = "/api/v1/knowledge-base";

/// What was done.
#[derive(Debug, Default, Clone, Copy)]
pub struct Done {
    /// Jobs that were taken up.
    pub taken: u32,
    /// Of them, those that are done.
    pub ready: u32,
    /// Of them, those that go on or are tried again later.
    pub later: u32,
    /// Of them, those that failed.
    pub failed: u32,
    /// Whether there may be more.
    pub more: bool,
    /// When something will be due, µs since the Unix epoch.
    pub due_us: Option<i64>,
}

impl Done {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ready => self.ready += 1,
            Outcome::Later | Outcome::Lost => self.later += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

/// What works with what.
pub struct Worker {
    app: Rc<App>,
    settings: Rc<Settings>,
    store: Store,
    guard: UrlGuard,
    org_id: Option<String>,
    /// Beyond how many at work no other is taken up.
    at_most: Option<u32>,
}

impl Worker {
    /// For one organisation, or for all.
    ///
    /// Errors: 503 where no storage is configured.
    pub async fn new(app: &Rc<App>, org_id: Option<&str>) -> Result<Self, Problem> {
        let settings = app.settings().await;
        let backend = settings.backend.as_ref().map_err(storage_problem)?;
        Ok(Self {
            app: app.clone(),
            store: Store::new(backend.clone(), app.env.clone()),
            guard: UrlGuard::configured(&*app.env).await,
            org_id: org_id.map(str::to_owned),
            at_most: None,
            settings,
        })
    }

    /// One that takes up nothing while so many documents of the organisation are at work.
    pub fn at_most(self, documents: u32) -> Self {
        Self {
            at_most: Some(documents),
            ..self
        }
    }

    /// Takes up what is due until `until_us`.
    ///
    /// Errors: 503 when the store stays away.
    pub async fn drain(&self, most: u32, until_us: i64) -> Result<Done, Problem> {
        let mut done = Done::default();
        let mut failed = None;
        let mut at_work = FuturesUnordered::new();
        loop {
            done.more = true;
            while failed.is_none()
                && at_work.len() < LANES
                && done.taken < most
                && clock::now_us() < until_us
            {
                match self.claim().await {
                    // What is at work is not dropped for it.
                    Err(problem) => failed = Some(problem),
                    Ok(Ok(taken)) => {
                        done.taken += 1;
                        at_work.push(self.process(taken, until_us));
                    }
                    Ok(Err(answer)) => {
                        done.more = false;
                        done.due_us = answer["due_us"].as_i64();
                        break;
                    }
                }
            }
            match at_work.next().await {
                Some(outcome) => done.note(outcome),
                None => return failed.map_or(Ok(done), Err),
            }
        }
    }

    async fn claim(&self) -> Result<Result<TakenUp, Value>, Problem> {
        let args = json!({"org_id": self.org_id, "lease_us": LEASE_US, "at_most": self.at_most});
        let nonce = clock::hex(&clock::random::<16>());
        let now_s = clock::now_us() / 1_000_000;
        let taken = self
            .store
            .take_up("knowledge_claim", &args, &nonce, now_s)
            .await;
        taken.map_err(store_problem)
    }

    async fn process(&self, taken: TakenUp, until_us: i64) -> Outcome {
        let TakenUp { session, answer } = taken;
        let trace = TraceContext::root(clock::random());
        let cx = Cx::detached(self.app.clone(), self.settings.clone(), PATTERN, trace);
        let caller = Caller::<KnowledgeWrite>::acting(Rc::new(cx), Rc::from(session));
        match Job::of(&answer["job"], caller, &self.guard, until_us) {
            Some(job) => job.work().await,
            None => {
                log("knowledge_claim", "a job without an id");
                Outcome::Lost
            }
        }
    }
}

/// Works on what an organisation has waiting, after the response. What it leaves is drained by whoever comes next.
pub fn kick(cx: &Rc<Cx>, org_id: &str) {
    let (app, org_id) = (cx.app.clone(), org_id.to_owned());
    cx.env().spawn(Box::pin(async move {
        let done = async {
            let worker = Worker::new(&app, Some(&org_id)).await?.at_most(KICKED);
            worker.drain(u32::MAX, clock::now_us() + KICK_US).await
        };
        if let Err(problem) = done.await {
            log("knowledge", problem.detail.as_deref().unwrap_or_default());
        }
    }));
}
