//! Fireworks: datasets and supervised fine-tuning jobs as resources of an account
//! (<https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api>). A dataset is looked at once before it is `READY`, a job runs when first
//! asked for after its creation and is completed from then on; one of a `slow` model goes on until it is cancelled.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::Shared;
use crate::plan::bad_request;

/// Resources by their names.
pub(crate) type Resources = BTreeMap<String, Value>;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/accounts/{account}/datasets", post(make_dataset))
        .route(
            "/v1/accounts/{account}/datasets/{dataset}",
            post(fill_dataset).get(dataset),
        )
        .route(
            "/v1/accounts/{account}/supervisedFineTuningJobs",
            post(make_job),
        )
        .route(
            "/v1/accounts/{account}/supervisedFineTuningJobs/{job}",
            post(act).get(job),
        )
}

fn not_found() -> Response {
    let body = json!({"error": {"code": "NOT_FOUND", "message": "no such resource"}});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn make_dataset(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Response> {
    let id = body["datasetId"].as_str();
    let id = id.ok_or_else(|| bad_request("datasetId is required"))?;
    let given = &body["dataset"];
    if !given["userUploaded"].is_object() {
        return Err(bad_request("dataset.userUploaded is required"));
    }
    let name = format!("accounts/{account}/datasets/{id}");
    let made = json!({"name": name, "state": "UPLOADING", "format": given["format"]});
    shared.lock().fireworks.insert(name, made.clone());
    Ok(Json(made))
}

/// `POST …/datasets/{id}:upload`
async fn fill_dataset(
    State(shared): State<Shared>,
    Path((account, dataset)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Response> {
    let id = dataset.strip_suffix(":upload").ok_or_else(not_found)?;
    let name = format!("accounts/{account}/datasets/{id}");
    let mut inner = shared.lock();
    let there = inner.fireworks.get_mut(&name).ok_or_else(not_found)?;
    let text = String::from_utf8_lossy(&body);
    if !text.contains("name=\"file\"") {
        return Err(bad_request("a part named file is required"));
    }
    let examples = text.lines().filter(|line| line.starts_with('{')).count();
    there["exampleCount"] = json!(examples.to_string());
    Ok(Json(json!({})))
}

async fn dataset(
    State(shared): State<Shared>,
    Path((account, dataset)): Path<(String, String)>,
) -> Result<Json<Value>, Response> {
    let name = format!("accounts/{account}/datasets/{dataset}");
    let mut inner = shared.lock();
    let there = inner.fireworks.get_mut(&name).ok_or_else(not_found)?;
    let seen = there.clone();
    if there["exampleCount"].is_string() {
        there["state"] = json!("READY");
    }
    Ok(Json(seen))
}

async fn make_job(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Response> {
    let dataset = body["dataset"].as_str().unwrap_or_default();
    let known = format!("accounts/{account}/datasets/{dataset}");
    let ready = shared.lock().fireworks.get(&known).cloned();
    if ready.is_none_or(|dataset| dataset["state"] != "READY") {
        return Err(bad_request("the dataset is not ready"));
    }
    let model = body["baseModel"].as_str();
    let model = model.ok_or_else(|| bad_request("baseModel is required"))?;
    let id = shared.id("job");
    let output = body["outputModel"].as_str().unwrap_or(&id);
    let name = format!("accounts/{account}/supervisedFineTuningJobs/{id}");
    let made = json!({"name": name, "state": "JOB_STATE_CREATING", "baseModel": model, "dataset": dataset,
        "outputModel": format!("accounts/{account}/models/{output}"), "status": {"code": "OK", "message": ""},
        "epochs": body["epochs"], "createTime": "2026-01-01T00:00:00Z"});
    shared.lock().fireworks.insert(name, made.clone());
    Ok(Json(made))
}

async fn job(
    State(shared): State<Shared>,
    Path((account, job)): Path<(String, String)>,
) -> Result<Json<Value>, Response> {
    let name = format!("accounts/{account}/supervisedFineTuningJobs/{job}");
    let mut inner = shared.lock();
    let there = inner.fireworks.get_mut(&name).ok_or_else(not_found)?;
    let slow = there["baseModel"]
        .as_str()
        .is_some_and(|m| m.contains("slow"));
    let next = match there["state"].as_str() {
        Some("JOB_STATE_CREATING") => "JOB_STATE_RUNNING",
        Some("JOB_STATE_RUNNING") if !slow => "JOB_STATE_COMPLETED",
        _ => return Ok(Json(there.clone())),
    };
    there["state"] = json!(next);
    if next == "JOB_STATE_COMPLETED" {
        there["completedTime"] = json!("2026-01-01T00:01:00Z");
    }
    Ok(Json(there.clone()))
}

/// `POST …/supervisedFineTuningJobs/{id}:cancel`
async fn act(
    State(shared): State<Shared>,
    Path((account, job)): Path<(String, String)>,
) -> Result<Json<Value>, Response> {
    let id = job.strip_suffix(":cancel").ok_or_else(not_found)?;
    let name = format!("accounts/{account}/supervisedFineTuningJobs/{id}");
    let mut inner = shared.lock();
    let there = inner.fireworks.get_mut(&name).ok_or_else(not_found)?;
    there["state"] = json!("JOB_STATE_CANCELLED");
    Ok(Json(json!({})))
}
