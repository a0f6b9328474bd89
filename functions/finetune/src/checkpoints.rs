//! `GET /api/v1/finetune/{id}/checkpoints`

use crate::FinetuneRead;
use crate::provider::{job, of_job, unasked};
use nodeai_app::{Caller, PathId};
use nodeai_finetune::provider::{Checkpoint, Step};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};

/// Models on the way, as the provider lists them.
pub async fn handle(
    caller: Caller<FinetuneRead>,
    PathId(id): PathId,
) -> Result<Json<Page<Checkpoint>>, Problem> {
    let stored = job(&caller, &id).await?;
    let (provider, there) = of_job(&caller, &stored).await?;
    let answer = provider.step(Step::Checkpoints, &there, None).await?;
    let data = provider.place.read_checkpoints(&answer).map_err(unasked)?;
    Ok(Json::ok(Page {
        data,
        next_cursor: None,
    }))
}
