//! A write of one row: one call of the generic SQL function, with idempotency, version check, audit row and the answer
//! that a retry gets again.

use crate::caller::{Caller, Scope};
use crate::cx::Cx;
use http::{HeaderName, HeaderValue, StatusCode, header};
use nodeai_http::reply::{Response, json_response};
use nodeai_http::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a write does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Makes it.
    Insert,
    /// Changes it.
    Update,
    /// Removes it.
    Delete,
}

/// The audit row of a write.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// What was done, such as `workflow.created`.
    pub action: &'static str,
    /// To what kind of thing.
    pub resource_type: &'static str,
    /// To which one.
    pub resource_id: String,
    /// The request's trace.
    pub request_id: Option<String>,
    /// More, never a secret.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A write to be made by [`Caller::write`].
#[derive(Debug, Clone, Serialize)]
pub struct Write {
    table: &'static str,
    op: Op,
    id: String,
    org_id: String,
    row: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_version: Option<i64>,
    children: Vec<Value>,
    audit: Option<Audit>,
    answer: Answer,
    idempotency: Option<Value>,
    #[serde(skip)]
    what: &'static str,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
}

#[derive(Debug, Deserialize)]
struct Written {
    outcome: String,
    #[serde(default)]
    answer: Option<Answer>,
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    constraint: Option<String>,
    #[serde(default)]
    column: Option<String>,
}

impl Write {
    /// A write of the row `id` of `table`; `what` names it in messages ("workflow").
    pub fn new(op: Op, table: &'static str, what: &'static str, id: &str) -> Self {
        Self {
            table,
            op,
            id: id.to_owned(),
            org_id: String::new(),
            row: json!({}),
            expect_version: None,
            children: Vec::new(),
            audit: None,
            answer: Answer {
                status: 204,
                ..Answer::default()
            },
            idempotency: None,
            what,
        }
    }

    /// The row's columns.
    pub fn row(mut self, row: Value) -> Self {
        self.row = row;
        self
    }

    /// The version that the row must have; `None` for any.
    pub fn expect_version(mut self, version: Option<i64>) -> Self {
        self.expect_version = version;
        self
    }

    /// Another row that is made in the same transaction.
    pub fn child(mut self, table: &str, row: Value) -> Self {
        self.children.push(json!({"table": table, "row": row}));
        self
    }

    /// The audit row.
    pub fn audit(mut self, action: &'static str, details: Value) -> Self {
        self.audit = Some(Audit {
            action,
            resource_type: self.what,
            resource_id: self.id.clone(),
            request_id: None,
            details,
        });
        self
    }

    /// The answer: status, headers (such as `location`) and body. `body.version`, when there, is set by the store.
    pub fn answer(mut self, status: u16, headers: &[(&str, &str)], body: &impl Serialize) -> Self {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
        self.answer = Answer {
            status,
            headers: headers.collect(),
            body: serde_json::to_value(body).unwrap_or_default(),
        };
        self
    }

    fn of_request(mut self, cx: &Cx, org_id: &str) -> Result<Self, Problem> {
        self.org_id = org_id.to_owned();
        if let Some(audit) = &mut self.audit {
            audit.request_id = Some(cx.trace.trace_id.to_string());
        }
        self.idempotency = idempotency(cx)?;
        Ok(self)
    }
}

/// The request's idempotency claim: key, route and what makes it the same request.
///
/// Errors: 400 for a key that is empty, too long or not plain text.
pub fn idempotency(cx: &Cx) -> Result<Option<Value>, Problem> {
    let Some(raw) = cx.headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = raw.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 255 {
        let detail = "Idempotency-Key must have 1 to 255 visible ASCII characters";
        let error = FieldError::parameter("idempotency-key", "invalid", detail);
        return Err(Problem::fields(vec![error]));
    }
    let route = format!("{} {}", cx.method, cx.pattern);
    Ok(Some(
        json!({"key": key, "route": route, "request_hash": cx.fingerprint()}),
    ))
}

impl<S: Scope> Caller<S> {
    /// Makes the write and answers with its stored answer. Errors: 404, 409, 412, 422 as the store finds.
    pub async fn write(&self, write: Write) -> Result<Response, Problem> {
        let write = write.of_request(&self.cx, self.org_id())?;
        let what = write.what;
        let written: Written = self.call("write", &write).await?;
        match written.outcome.as_str() {
            "done" => Ok(written.answer.unwrap_or(write.answer).into_response(false)),
            "replayed" => match written.answer {
                Some(answer) => Ok(answer.into_response(true)),
                None => Err(Problem::conflict(
                    "the first request with this key has not ended",
                )),
            },
            _ => Err(refusal(written, what)),
        }
    }
}

fn refusal(written: Written, what: &str) -> Problem {
    match written.outcome.as_str() {
        "missing" => Problem::not_found(format!("there is no such {what}")),
        "stale" => {
            let current = written
                .version
                .map(nodeai_http::etag::of)
                .unwrap_or_default();
            Problem::stale(format!("the {what} has changed; its ETag is now {current}"))
        }
        "key_reused" => {
            Problem::key_reused("this Idempotency-Key was used for a request with other content")
        }
        "conflict" => {
            let constraint = written.constraint.unwrap_or_default();
            Problem::conflict(format!(
                "another {what} has this value already ({constraint})"
            ))
        }
        "forbidden" => Problem::forbidden(format!("this caller may not change this {what}")),
        "invalid" => {
            let rule = written.constraint.or(written.column).unwrap_or_default();
            Problem::invalid_input(format!("the {what} breaks a rule of its table ({rule})"))
        }
        other => {
            crate::errors::log("write", other);
            Problem::internal("the write had an outcome that was not expected")
        }
    }
}

impl Answer {
    fn into_response(self, replayed: bool) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut headers: Vec<(HeaderName, HeaderValue)> = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let name = HeaderName::try_from(name.as_str()).ok()?;
                let value = HeaderValue::from_str(value.as_str()?).ok()?;
                Some((name, value))
            })
            .collect();
        if let Some(version) = self.body["version"].as_i64()
            && let Ok(value) = HeaderValue::from_str(&nodeai_http::etag::of(version))
        {
            headers.push((header::ETAG, value));
        }
        if replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            headers.push((name, HeaderValue::from_static("true")));
        }
        if self.body.is_null() {
            let empty = nodeai_http::Body::Full(bytes::Bytes::new());
            let mut response = Response::new(empty);
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            return response;
        }
        json_response(status, headers, &self.body)
    }
}
