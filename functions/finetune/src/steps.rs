//! `POST /api/v1/finetune/{id}/cancel`, `…/pause`, `…/resume`

use crate::FinetuneRun;
use crate::model::Job;
use crate::provider::{job, of_job};
use nodeai_app::{Caller, PathId};
use nodeai_finetune::provider::Step;
use nodeai_http::{Problem, reply::Json};

async fn step(caller: Caller<FinetuneRun>, id: &str, step: Step) -> Result<Json<Job>, Problem> {
    let stored = job(&caller, id).await?;
    if stored.ended() {
        return Err(Problem::conflict("the job has ended"));
    }
    let (provider, there) = of_job(&caller, &stored).await?;
    let said = provider.step(step, &there, None).await?;
    // Some answer with the job, some with nothing.
    let answer = match said["id"].is_null() && said["name"].is_null() {
        true => provider.step(Step::Get, &there, None).await?,
        false => said,
    };
    provider.keep_job(id, &answer).await.map(Json::ok)
}

/// Ends a job.
pub async fn cancel(caller: Caller<FinetuneRun>, PathId(id): PathId) -> Result<Json<Job>, Problem> {
    step(caller, &id, Step::Cancel).await
}

/// Lets a job rest, where the provider can (OpenAI, Azure); 409 elsewhere.
pub async fn pause(caller: Caller<FinetuneRun>, PathId(id): PathId) -> Result<Json<Job>, Problem> {
    step(caller, &id, Step::Pause).await
}

/// Lets a job that rests go on.
pub async fn resume(caller: Caller<FinetuneRun>, PathId(id): PathId) -> Result<Json<Job>, Problem> {
    step(caller, &id, Step::Resume).await
}
