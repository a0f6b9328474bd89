//! OpenAI: files and fine-tuning jobs. A job is `running` when first asked for after its
//! creation and `succeeded` from then on; one of a `slow` model goes on until it is cancelled. Models whose name contains `429`
//! or `500` are refused so; one of a `taken` model is made, and answered by a gateway that gave up.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashMap;

use crate::Shared;
use crate::plan::bad_request;

/// A stored file.
#[derive(Clone)]
pub(crate) struct File {
    id: String,
    purpose: String,
    name: String,
    content: Bytes,
}

/// A fine-tuning job.
#[derive(Clone)]
pub(crate) struct Job {
    id: String,
    model: String,
    training_file: String,
    status: &'static str,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/files", post(upload).get(list_files))
        .route("/v1/files/{id}", get(file).delete(delete_file))
        .route("/v1/files/{id}/content", get(content))
        .route("/v1/fine_tuning/jobs", post(create).get(list_jobs))
        .route("/v1/fine_tuning/jobs/{id}", get(job))
        .route("/v1/fine_tuning/jobs/{id}/events", get(events))
        .route("/v1/fine_tuning/jobs/{id}/checkpoints", get(checkpoints))
        .route("/v1/fine_tuning/jobs/{id}/cancel", post(cancel))
        .route("/v1/fine_tuning/jobs/{id}/pause", post(pause))
        .route("/v1/fine_tuning/jobs/{id}/resume", post(resume))
}

fn file_json(file: &File) -> Value {
    json!({
        "id": file.id, "object": "file", "bytes": file.content.len(), "created_at": 1_700_000_000,
        "filename": file.name, "purpose": file.purpose, "status": "processed",
    })
}

fn job_json(job: &Job) -> Value {
    let done = job.status == "succeeded";
    json!({
        "id": job.id, "object": "fine_tuning.job", "created_at": 1_700_000_000, "model": job.model,
        "training_file": job.training_file, "validation_file": null, "status": job.status, "error": null, "seed": 0,
        "finished_at": done.then_some(1_700_000_060), "hyperparameters": {"n_epochs": 3}, "organization_id": "org-1",
        "result_files": [],
        "fine_tuned_model": done.then(|| format!("ft:{}:stand-in::{}", job.model, job.id)),
        "trained_tokens": done.then_some(1_000),
    })
}

fn list(data: Vec<Value>) -> Json<Value> {
    Json(json!({"object": "list", "data": data, "has_more": false}))
}

fn not_found() -> Response {
    let body = json!({"error": {"message": "No such object", "type": "invalid_request_error", "code": null}});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// Reads a multipart body by its boundary lines.
async fn upload(
    State(shared): State<Shared>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Response> {
    let kind = headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let boundary = kind
        .split("boundary=")
        .nth(1)
        .map(|b| b.trim_matches('"').to_owned());
    let boundary = boundary.ok_or_else(|| bad_request("expected multipart/form-data"))?;
    let text = String::from_utf8_lossy(&body);
    let (mut purpose, mut name, mut content) = (String::new(), String::new(), None);
    for part in text.split(&format!("--{boundary}")) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let value = value.strip_suffix("\r\n").unwrap_or(value);
        if head.contains("name=\"purpose\"") {
            value.clone_into(&mut purpose);
        } else if head.contains("name=\"file\"") {
            let file_name = head
                .split("filename=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            file_name.unwrap_or("file").clone_into(&mut name);
            content = Some(Bytes::from(value.to_owned()));
        }
    }
    let content = content.ok_or_else(|| bad_request("'file' is a required property"))?;
    let file = File {
        id: shared.id("file"),
        purpose,
        name,
        content,
    };
    let answer = file_json(&file);
    shared.lock().files.push(file);
    Ok(Json(answer))
}

async fn list_files(State(shared): State<Shared>) -> Json<Value> {
    list(shared.lock().files.iter().map(file_json).collect())
}

fn find_file(shared: &Shared, id: &str) -> Option<File> {
    shared
        .lock()
        .files
        .iter()
        .find(|file| file.id == id)
        .cloned()
}

async fn file(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    find_file(&shared, &id)
        .map(|file| Json(file_json(&file)))
        .ok_or_else(not_found)
}

async fn content(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Bytes, Response> {
    find_file(&shared, &id)
        .map(|file| file.content)
        .ok_or_else(not_found)
}

async fn delete_file(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    find_file(&shared, &id).ok_or_else(not_found)?;
    shared.lock().files.retain(|file| file.id != id);
    Ok(Json(json!({"id": id, "object": "file", "deleted": true})))
}

async fn create(
    State(shared): State<Shared>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Response> {
    let model = body["model"]
        .as_str()
        .ok_or_else(|| bad_request("you must provide a model parameter"))?;
    if let Some(refused) = refused(model) {
        return Err(refused);
    }
    let training_file = body["training_file"].as_str().unwrap_or_default();
    if find_file(&shared, training_file).is_none() {
        return Err(bad_request("invalid training_file"));
    }
    let job = Job {
        id: shared.id("ftjob"),
        model: model.to_owned(),
        training_file: training_file.to_owned(),
        status: "validating_files",
    };
    let answer = job_json(&job);
    let taken = job.model.contains("taken");
    shared.lock().jobs.push(job);
    match taken {
        true => Err((StatusCode::GATEWAY_TIMEOUT, "upstream timed out").into_response()),
        false => Ok(Json(answer)),
    }
}

async fn list_jobs(State(shared): State<Shared>) -> Json<Value> {
    list(shared.lock().jobs.iter().rev().map(job_json).collect())
}

async fn job(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    change(&shared, &id, |job| match job.status {
        "validating_files" => "running",
        "running" if !job.model.contains("slow") => "succeeded",
        other => other,
    })
    .ok_or_else(not_found)
}

async fn pause(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    change(&shared, &id, |_| "paused").ok_or_else(not_found)
}

async fn resume(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    change(&shared, &id, |_| "running").ok_or_else(not_found)
}

/// The failure that a model's name asks for.
fn refused(model: &str) -> Option<Response> {
    let status = match () {
        () if model.contains("429") => StatusCode::TOO_MANY_REQUESTS,
        () if model.contains("500") => StatusCode::INTERNAL_SERVER_ERROR,
        () => return None,
    };
    let body = json!({"error": {"message": format!("scripted failure {status}"), "type": "server_error", "code": null}});
    Some((status, [("retry-after", "7")], Json(body)).into_response())
}

async fn checkpoints(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    let inner = shared.lock();
    let job = inner.jobs.iter().find(|job| job.id == id);
    let job = job.ok_or_else(not_found)?;
    Ok(list(vec![json!({
        "object": "fine_tuning.job.checkpoint", "id": format!("{id}-step-10"), "created_at": 1_700_000_030,
        "fine_tuned_model_checkpoint": format!("ft:{}:stand-in::{id}:ckpt-step-10", job.model),
        "fine_tuning_job_id": id, "step_number": 10, "metrics": {"step": 10, "train_loss": 0.5},
    })]))
}

async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Response> {
    change(&shared, &id, |_| "cancelled").ok_or_else(not_found)
}

fn change(shared: &Shared, id: &str, next: fn(&Job) -> &'static str) -> Option<Json<Value>> {
    let mut inner = shared.lock();
    let job = inner.jobs.iter_mut().find(|job| job.id == id)?;
    job.status = next(job);
    Some(Json(job_json(job)))
}

/// Newest first, in pages behind `after`: that it was made, three steps once it runs, and its end.
async fn events(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Response> {
    let inner = shared.lock();
    let job = inner.jobs.iter().find(|job| job.id == id);
    let job = job.ok_or_else(not_found)?;
    let event = |number: usize, kind: &str, message: String, data: Value| {
        json!({"object": "fine_tuning.job.event", "id": format!("{id}-event-{number}"), "created_at": 1_700_000_000 + number,
            "level": "info", "message": message, "type": kind, "data": data})
    };
    let mut all = vec![event(0, "message", "Created".to_owned(), json!({}))];
    if job.status != "validating_files" {
        all.extend((1..=3).map(|step| {
            let loss = 1.0 / step as f64;
            event(
                step,
                "metrics",
                format!("Step {step}"),
                json!({"step": step, "train_loss": loss}),
            )
        }));
    }
    if matches!(job.status, "succeeded" | "cancelled") {
        all.push(event(
            4,
            "message",
            format!("The job is {}", job.status),
            json!({}),
        ));
    }
    all.reverse();
    if let Some(after) = query.get("after") {
        let place = all.iter().position(|event| event["id"] == after.as_str());
        all.drain(..=place.ok_or_else(not_found)?);
    }
    // Small pages, so that whoever reads them has to turn them.
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(20).min(2);
    let has_more = all.len() > limit;
    all.truncate(limit);
    Ok(Json(
        json!({"object": "list", "data": all, "has_more": has_more}),
    ))
}
