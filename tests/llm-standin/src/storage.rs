//! Supabase Storage as its published REST contract has it: objects under `/storage/v1/object/{bucket}/{key}`, resumable
//! uploads (tus, pieces of exactly 6 MiB but for the last) under `/storage/v1/upload/resumable`. Everything is in memory.

use std::collections::HashMap;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::json;

use crate::Shared;

const PIECE: usize = 6 << 20;

/// What is stored.
#[derive(Default)]
pub(crate) struct Storage {
    objects: HashMap<String, Vec<u8>>,
    uploads: HashMap<String, Upload>,
}

struct Upload {
    key: String,
    bytes: Vec<u8>,
    size: Option<usize>,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/storage/v1/object/{bucket}/{*key}", any(object))
        .route("/storage/v1/upload/resumable", post(begin))
        .route("/storage/v1/upload/resumable/{id}", any(piece))
        .layer(DefaultBodyLimit::disable())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

fn number(headers: &HeaderMap, name: &str) -> Option<usize> {
    header(headers, name).parse().ok()
}

/// Supabase says 400 and the real status in the body.
fn missing() -> Response {
    let body = json!({"statusCode": "404", "error": "not_found", "message": "Object not found"});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn object(
    State(shared): State<Shared>,
    Path((bucket, key)): Path<(String, String)>,
    method: axum::http::Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if header(&headers, "apikey").is_empty() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let name = format!("{bucket}/{key}");
    let mut inner = shared.lock();
    let objects = &mut inner.storage.objects;
    match method.as_str() {
        "POST" => {
            objects.insert(name.clone(), body.to_vec());
            Json(json!({"Key": name})).into_response()
        }
        "DELETE" => match objects.remove(&name) {
            Some(_) => Json(json!({"message": "Successfully deleted"})).into_response(),
            None => missing(),
        },
        _ => match objects.get(&name) {
            None => missing(),
            Some(bytes) => ranged(bytes, header(&headers, "range")),
        },
    }
}

fn ranged(bytes: &[u8], range: &str) -> Response {
    let ends = range.strip_prefix("bytes=").and_then(|r| r.split_once('-'));
    let ends = ends.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
    match ends {
        Some((first, _)) if first >= bytes.len() => {
            StatusCode::RANGE_NOT_SATISFIABLE.into_response()
        }
        Some((first, last)) => {
            let last = last.min(bytes.len() - 1);
            (StatusCode::PARTIAL_CONTENT, bytes[first..=last].to_vec()).into_response()
        }
        None => bytes.to_vec().into_response(),
    }
}

async fn begin(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let deferred = header(&headers, "upload-defer-length") == "1";
    let size = number(&headers, "upload-length");
    if header(&headers, "tus-resumable") != "1.0.0" || size.is_none() != deferred {
        return StatusCode::BAD_REQUEST.into_response();
    }
    // The name is only looked at when the upload is whole; in Base64 it is as good a key as another.
    let pairs = header(&headers, "upload-metadata").split(',');
    let named = |wanted: &str| {
        let mut pairs = pairs.clone();
        let found = pairs.find_map(|pair| pair.trim().strip_prefix(wanted)?.strip_prefix(' '));
        found.map(unbase64).unwrap_or_default()
    };
    let key = format!("{}/{}", named("bucketName"), named("objectName"));
    let id = shared.id("upload");
    let upload = Upload {
        key,
        bytes: Vec::new(),
        size,
    };
    shared.lock().storage.uploads.insert(id.clone(), upload);
    let location = format!("https://project.example/storage/v1/upload/resumable/{id}");
    (StatusCode::CREATED, [("location", location)]).into_response()
}

async fn piece(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    method: axum::http::Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inner = shared.lock();
    if method == axum::http::Method::DELETE {
        let gone = inner.storage.uploads.remove(&id);
        return gone.map_or_else(missing, |_| StatusCode::NO_CONTENT.into_response());
    }
    let Some(upload) = inner.storage.uploads.get_mut(&id) else {
        return missing();
    };
    if method == axum::http::Method::HEAD {
        let offset = upload.bytes.len().to_string();
        return [("upload-offset", offset)].into_response();
    }
    if number(&headers, "upload-offset") != Some(upload.bytes.len()) {
        return StatusCode::CONFLICT.into_response();
    }
    upload.size = upload.size.or(number(&headers, "upload-length"));
    upload.bytes.extend_from_slice(&body);
    let (offset, is_last) = (upload.bytes.len(), upload.size == Some(upload.bytes.len()));
    if !is_last && body.len() != PIECE {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if is_last && let Some(whole) = inner.storage.uploads.remove(&id) {
        inner.storage.objects.insert(whole.key, whole.bytes);
    }
    (
        StatusCode::NO_CONTENT,
        [("upload-offset", offset.to_string())],
    )
        .into_response()
}

/// Base64 (RFC 4648) of a text.
fn unbase64(text: &str) -> String {
    let place = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for six in text.bytes().filter_map(place) {
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
