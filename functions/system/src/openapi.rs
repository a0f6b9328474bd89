//! `/api/v1/openapi.json`: the document that the native build made from all areas' routes.

use http::{HeaderValue, header};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{Body, IntoReply, Problem};
use serde_json::json;

const DOCUMENT: &str = include_str!("../openapi.json");

/// The document, as it was generated.
pub struct Document;

impl IntoReply for Document {
    fn into_reply(self) -> Response {
        let mut response = Response::new(Body::Full(DOCUMENT.as_bytes().into()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn describe(op: &mut Describe) {
        let content = json!({"application/json": {"schema": {"type": "object"}}});
        op.response(
            "200",
            json!({"description": "This document", "content": content}),
        );
    }
}

/// Gives the document.
pub async fn handle() -> Result<Document, Problem> {
    Ok(Document)
}
