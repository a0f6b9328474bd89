//! Inputs as arguments: body, query, path id, preconditions.

use crate::clock;
use crate::cx::Cx;
use nodeai_http::openapi::Describe;
use nodeai_http::{Check, Checker, FieldError, FromCx, Problem, etag, input};
use nodeai_store::{Column, Filter};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::rc::Rc;

/// A JSON body that has the right types and keeps its rules.
pub struct Valid<T>(pub T);

impl<T: DeserializeOwned + Check + JsonSchema + 'static> FromCx<Cx> for Valid<T> {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        input::read_json(&cx.headers, &cx.body).map(Self)
    }

    fn describe(op: &mut Describe) {
        op.json_body::<T>();
        op.problem("400", "The body is not valid; each wrong field is listed");
        op.problem("413", "The body is too large");
        let description = "Makes a retry safe: the same key gives the first answer again";
        op.header("idempotency-key", false, description);
    }
}

/// Query parameters; unknown ones are refused when `T` denies unknown fields.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + 'static> FromCx<Cx> for Query<T> {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        input::parse_query(&cx.query).map(Self)
    }

    fn describe(op: &mut Describe) {
        op.query::<T>();
        op.problem("400", "A query parameter is unknown or not valid");
    }
}

/// The path parameter `{id}`: a UUID. Anything else cannot exist and is a 404.
pub struct PathId(pub String);

impl FromCx<Cx> for PathId {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let text = cx.parameter("id").unwrap_or_default();
        let id = uuid::Uuid::parse_str(text);
        id.map(|id| Self(id.to_string()))
            .map_err(|_| Problem::not_found("there is nothing with that id"))
    }

    fn describe(op: &mut Describe) {
        op.problem("404", "There is nothing with that id here");
    }
}

/// Reports the body's `expires_at` unless it is absent or a time in RFC 3339 that is still to come.
pub fn check_expiry(c: &mut Checker, expires_at: Option<&str>) {
    let at = expires_at.map(clock::parse_rfc3339);
    let (code, detail) = match at {
        Some(None) => ("format", "must be a time in RFC 3339"),
        Some(Some(us)) if us <= clock::now_us() => ("past", "must be in the future"),
        _ => return,
    };
    c.report(FieldError::body("/expires_at", code, detail));
}

/// Whether `text` is a UUID.
pub fn is_uuid(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok()
}

/// A filter by a query parameter that must be a UUID. Errors: 400.
pub fn uuid_filter(column: Column, id: Option<String>) -> Result<Option<Filter>, Problem> {
    let Some(text) = id else { return Ok(None) };
    match uuid::Uuid::parse_str(&text) {
        Ok(id) => Ok(Some(Filter::Eq(column, id.to_string()))),
        Err(_) => Err(Problem::fields(vec![FieldError::parameter(
            column.name,
            "format",
            "must be a UUID",
        )])),
    }
}

/// `If-Match`, when given: the version that the client knows.
pub struct IfMatch(pub Option<i64>);

impl FromCx<Cx> for IfMatch {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        match cx.header("if-match") {
            Some(value) => etag::parse_if_match(value).map(Self),
            None => Ok(Self(None)),
        }
    }

    fn describe(op: &mut Describe) {
        op.header("if-match", false, "ETag of the version that you know");
        op.problem("412", "The resource has changed since");
    }
}

/// `If-Match`, required: an update that does not say which version it changes would overwrite others' work.
pub struct RequiredIfMatch(pub Option<i64>);

impl FromCx<Cx> for RequiredIfMatch {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        if cx.header("if-match").is_none() {
            let detail = "send If-Match with the ETag of the version that you change, or * for any";
            return Err(Problem::precondition_required(detail));
        }
        IfMatch::from_cx(cx)
            .await
            .map(|IfMatch(version)| Self(version))
    }

    fn describe(op: &mut Describe) {
        op.header(
            "if-match",
            true,
            "ETag of the version that you change, or *",
        );
        op.problem("412", "The resource has changed since");
        op.problem("428", "If-Match is missing");
    }
}
