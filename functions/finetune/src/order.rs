//! An order, and what is known when nobody answers it: the provider may train, and be paid, all the same.

use crate::model::Job;
use crate::provider::{Failed, Provider};
use nodeai_app::clock;
use nodeai_finetune::provider::Order;
use nodeai_http::Problem;
use serde_json::{Value, json};

/// How long an order that was not answered may still become a job, µs.
const PATIENCE_US: i64 = 10 * 60 * 1_000_000;

impl Provider {
    /// Orders a job. Where the answer is lost, the job is looked for by its file; none while it is not known whether there is one.
    ///
    /// Errors: those of [`Provider::send`], when there is no job for certain.
    pub async fn order(&self, order: &Order<'_>) -> Result<Option<Value>, Problem> {
        let failed = match self.exchange(self.place.create(order)).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(failed) => failed,
        };
        match failed {
            Failed::Said(problem) => Err(problem),
            Failed::Broken(problem) => match self.ordered(order.training_file).await {
                Ok(Some(job)) => Ok(Some(job)),
                Ok(None) => Err(problem),
                Err(_) => Ok(None),
            },
            Failed::Silent(_) => Ok(self.ordered(order.training_file).await.ok().flatten()),
        }
    }

    /// The job at the provider that learns from a file.
    async fn ordered(&self, training_file: &str) -> Result<Option<Value>, Problem> {
        let list = self.send(self.place.newest()).await?;
        Ok(self.place.of_file(&list, training_file).cloned())
    }

    /// Looks for the job of an order that was not answered. One that is not there after ten minutes has failed, and so has one that was
    /// given up before its order.
    pub async fn look_for(&self, job: &Job) -> Result<Job, Problem> {
        let found = match &job.training_file {
            Some(file) => self.ordered(file).await?,
            None => None,
        };
        if let Some(answer) = found {
            return self.keep_job(&job.id, &answer).await;
        }
        let made_us = clock::parse_rfc3339(&job.created_at).unwrap_or_default();
        if clock::now_us() - made_us < PATIENCE_US {
            return Ok(job.clone());
        }
        let message = "the provider has no such job; its order was lost on the way";
        let error = json!({"kind": "lost", "message": message});
        self.keep(&job.id, json!({"status": "failed", "error": error}))
            .await
    }
}
