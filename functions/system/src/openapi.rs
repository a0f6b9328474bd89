//! `/api/v1/openapi.json`: the document that the native build made from all areas' routes.

use http::{HeaderValue, header};
use nodeai_http::reply::Response;
use nodeai_http::{Body, Problem};

const DOCUMENT: &str = include_str!("../openapi.json");

/// The document, as it was generated.
pub async fn handle() -> Result<Response, Problem> {
    let mut response = Response::new(Body::Full(DOCUMENT.as_bytes().into()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
