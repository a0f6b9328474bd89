//! `POST /api/v1/rag-optimization/drain`

use crate::{OptimizationsRun, experiments, studies};
use nodeai_app::{DrainRequest, Drainer, Look, Valid, Work, Worked};
use nodeai_http::{Problem, reply::Json};

/// Takes up experiments and studies that are due: notes what has come, queues what comes next, and ends those of which all is there.
pub async fn handle(
    drainer: Drainer<OptimizationsRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Worked>, Problem> {
    let work = Work::of(&drainer)?;
    work.go_on(&request, look).await.map(Json::ok)
}

async fn look(work: &Work) -> Result<Look, Problem> {
    let experiment = experiments::drain::look(work).await?;
    let Look::Nothing(first) = experiment else {
        return Ok(experiment);
    };
    Ok(match studies::drain::look(work).await? {
        Look::Nothing(second) => Look::Nothing(first.into_iter().chain(second).min()),
        taken => taken,
    })
}
