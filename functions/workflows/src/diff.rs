//! `GET /api/v1/workflows/{id}/diff`

use crate::WorkflowsRead;
use crate::at::At;
use crate::document::Egress;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::reply::Json;
use nodeai_http::{FieldError, Problem};
use nodeai_versions::Diff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which versions to compare.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// A version's number; the one before `to` unless given.
    from: Option<i64>,
    /// A version's number; the current one unless given.
    to: Option<i64>,
}

/// What happened between two versions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Difference {
    /// The older side.
    from: i64,
    /// The newer side.
    to: i64,
    /// What makes one out of the other.
    #[serde(flatten)]
    diff: Diff,
    /// The hosts that runs of both sides reach.
    egress: Sides,
}

/// Something of both sides.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sides {
    /// Of the older one.
    from: Egress,
    /// Of the newer one.
    to: Egress,
}

/// Compares two versions, in nodes, edges and fields.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Difference>, Problem> {
    let (from, to) = (checked(query.from, "from")?, checked(query.to, "to")?);
    // Numbers below 1 count from the current version: -1 is the one before it.
    let before = from.or(to.map(|n| n - 1)).unwrap_or(-1);
    let found = At::read(&caller, &id, &[Some(before), to]).await?;
    let to = found.version(to)?;
    let from = found.version(Some(from.unwrap_or(to.number - 1)))?;
    Ok(Json::ok(Difference {
        from: from.number,
        to: to.number,
        diff: nodeai_versions::diff(&from.definition, &to.definition),
        egress: Sides {
            from: from.egress(),
            to: to.egress(),
        },
    }))
}

fn checked(number: Option<i64>, name: &str) -> Result<Option<i64>, Problem> {
    match number {
        Some(n) if !(1..=i64::from(i32::MAX)).contains(&n) => {
            let error = FieldError::parameter(name, "out_of_range", "version numbers begin at 1");
            Err(Problem::fields(vec![error]))
        }
        number => Ok(number),
    }
}
