//! `GET /api/v1/finetune`, `GET /api/v1/finetune/{id}`

use crate::FinetuneRead;
use crate::model::{Job, SHOWN, finetune_jobs as col};
use crate::provider::{job, of_job, who_trains};
use http::header;
use nodeai_app::errors::log;
use nodeai_app::{Caller, PathId, Query};
use nodeai_finetune::provider::Step;
use nodeai_http::page::Page;
use nodeai_http::{Problem, etag, reply::Json};
use nodeai_store::Select;
use schemars::JsonSchema;
use serde::Deserialize;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Jobs, newest first, as they were seen last.
pub async fn list(
    caller: Caller<FinetuneRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Job>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |job: &Job| &job.id)
        .await
}

/// One job. While it is at work its provider is asked; when that does not answer the job is as it was seen last.
pub async fn get(caller: Caller<FinetuneRead>, PathId(id): PathId) -> Result<Json<Job>, Problem> {
    let stored = job(&caller, &id).await?;
    let now = match stored.ended() {
        true => stored,
        false => match seen(&caller, &stored).await {
            Ok(job) => job,
            Err(problem) => {
                log("finetune", problem.detail.as_deref().unwrap_or_default());
                stored
            }
        },
    };
    let tag = etag::of(now.version);
    Ok(Json::ok(now).header(header::ETAG, tag))
}

async fn seen(caller: &Caller<FinetuneRead>, stored: &Job) -> Result<Job, Problem> {
    if stored.provider_job_id.is_none() {
        return who_trains(caller, stored).await?.look_for(stored).await;
    }
    let (provider, there) = of_job(caller, stored).await?;
    let answer = provider.step(Step::Get, &there, None).await?;
    provider.keep_job(&stored.id, &answer).await
}
