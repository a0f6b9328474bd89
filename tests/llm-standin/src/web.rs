//! A small web site for HTTP nodes: JSON, echo, any status, redirects, a slow and a big answer.

use std::time::Duration;

use axum::extract::{Multipart, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/web/page", get(page))
        .route("/web/sitemap.xml", get(sitemap))
        .route("/web/people", get(people))
        .route("/web/pages", get(pages))
        .route("/web/echo", any(echo))
        .route("/web/echo/{*below}", any(echo))
        .route("/web/openapi.yaml", get(openapi))
        .route("/web/form", post(form))
        .route("/web/status/{status}", any(status))
        .route("/web/turns/{statuses}/{who}", any(turns))
        .route("/web/turns/{statuses}/{who}/{*below}", any(turns))
        .route("/web/redirect/{left}", any(redirect))
        .route("/web/away", any(away))
        .route("/web/slow/{ms}", any(slow))
        .route("/web/big/{bytes}", get(big))
}

async fn page() -> Html<&'static str> {
    Html(
        "<html><head><title>Stand-in</title></head><body><h1>Hello</h1><p>A page to summarise.</p></body></html>",
    )
}

/// A sitemap with two pages of this site.
async fn sitemap(headers: HeaderMap) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let page = format!("http://{}/web/page", host.unwrap_or_default());
    let body = format!(
        "<?xml version=\"1.0\"?><urlset><url><loc>{page}</loc></url><url><loc>{page}?n=2</loc></url></urlset>"
    );
    ([("content-type", "application/xml")], body).into_response()
}

async fn people(Query(query): Query<Map<String, Value>>) -> Json<Value> {
    let email = query
        .get("email")
        .and_then(Value::as_str)
        .unwrap_or("ada@example.com");
    let company = email.split('@').nth(1).unwrap_or("example.com");
    Json(json!({"email": email, "name": "Ada Lovelace", "company": company, "employees": 42}))
}

/// Seven items, three on a page; the next page is in the `Link` header and at `/next`.
async fn pages(Query(query): Query<Map<String, Value>>) -> Response {
    let page = query.get("page").and_then(Value::as_str).unwrap_or("1");
    let page: u32 = page.parse().unwrap_or(1).max(1);
    let items: Vec<u32> = (1..=7).skip(3 * (page as usize - 1)).take(3).collect();
    let next = (page < 3).then(|| format!("/web/pages?page={}", page + 1));
    let body = Json(json!({"items": items, "next": next, "page": page}));
    match next {
        Some(next) => ([("link", format!("<{next}>; rel=\"next\""))], body).into_response(),
        None => body.into_response(),
    }
}

async fn echo(
    method: Method,
    Query(query): Query<Map<String, Value>>,
    headers: HeaderMap,
    body: String,
) -> Json<Value> {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes())
                    .into_owned()
                    .into(),
            )
        })
        .collect();
    Json(json!({"method": method.as_str(), "query": query, "headers": headers, "body": body}))
}

/// A document about `/web/echo`, relative to where it is.
async fn openapi() -> &'static str {
    r##"
openapi: 3.0.3
info: {title: Echo, version: "1"}
servers: [{url: /web/echo}]
security: [{key: []}]
paths:
  /things/{id}:
    get:
      operationId: getThing
      summary: One thing
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: tags, in: query, schema: {type: array, items: {type: string}}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Echo"}}}}
    put:
      operationId: putThing
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [name]}}}}
      responses: {"200": {description: ok}}
  /upload:
    post: {operationId: upload, requestBody: {required: true, content: {multipart/form-data: {}}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas:
    Echo: {type: object, required: [method, query]}
"##
}

/// The parts of a form with files.
async fn form(mut form: Multipart) -> Result<Json<Value>, StatusCode> {
    let mut parts = Vec::new();
    while let Some(part) = form
        .next_field()
        .await
        .map_err(|_| StatusCode::BAD_REQUEST)?
    {
        let [name, file, kind] = [part.name(), part.file_name(), part.content_type()]
            .map(|text| text.map(str::to_owned));
        let bytes = part.bytes().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        parts.push(
            json!({"name": name, "filename": file, "content_type": kind, "bytes": bytes.to_vec()}),
        );
    }
    Ok(Json(Value::Array(parts)))
}

/// A queued behaviour comes first: its status, or 200.
async fn status(State(shared): State<Shared>, Path(status): Path<u16>) -> StatusCode {
    let queued = shared.lock().script.pop_front();
    let status = queued.map_or(status, |behaviour| behaviour.status.unwrap_or(200));
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The first request of `who` gets the first status, and so on; the last one stays.
async fn turns(
    State(shared): State<Shared>,
    uri: Uri,
    Path(parts): Path<Map<String, Value>>,
) -> (StatusCode, String) {
    let statuses = parts["statuses"].as_str().unwrap_or_default();
    let path = uri.to_string();
    let turn = shared
        .lock()
        .requests
        .iter()
        .filter(|r| r.path == path)
        .count();
    let all: Vec<&str> = statuses.split(',').collect();
    let status = all.get(turn.saturating_sub(1)).or(all.last());
    let status = status.and_then(|text| text.parse::<StatusCode>().ok());
    (
        status.unwrap_or(StatusCode::BAD_REQUEST),
        format!("turn {turn}"),
    )
}

async fn redirect(Path(left): Path<u32>) -> Redirect {
    match left {
        0 => Redirect::to("/web/echo"),
        left => Redirect::to(&format!("/web/redirect/{}", left - 1)),
    }
}

/// Redirects to wherever `to` says.
async fn away(Query(query): Query<Map<String, Value>>) -> Response {
    match query.get("to").and_then(Value::as_str) {
        Some(to) => Redirect::temporary(to).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "done"
}

async fn big(Path(bytes): Path<usize>) -> String {
    "x".repeat(bytes.min(64 * 1024 * 1024))
}
