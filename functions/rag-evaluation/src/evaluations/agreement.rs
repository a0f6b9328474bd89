//! `GET /api/v1/rag-evaluation/evaluations/{id}/agreement`

use crate::EvaluationsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_evaluation::agreement::agreement;
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How scores become categories.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgreementQuery {
    /// Where scores or labels are not whole numbers: at or above it is one category, below it the other; 0.5 unless given.
    threshold: Option<f64>,
}

#[derive(Deserialize)]
struct Found {
    pairs: BTreeMap<String, Vec<(f64, f64)>>,
}

/// How far scores and people's labels agree, by metric: accuracy, Cohen's kappa, Spearman's rank correlation, bias, with n.
pub async fn handle(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
    Query(query): Query<AgreementQuery>,
) -> Result<Json<Page<Value>>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Found> = caller.call("evaluation_pairs", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such evaluation"))?;
    let threshold = query.threshold.unwrap_or(0.5);
    let metrics = found.pairs.iter();
    let metrics = metrics.filter_map(|(metric, pairs)| agreement(metric, pairs, threshold));
    Ok(Json::ok(Page {
        data: metrics.map(|one| json!(one)).collect(),
        next_cursor: None,
    }))
}
