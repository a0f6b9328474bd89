//! A write: one call of a SQL function, with idempotency, version check, audit row and the answer that a retry gets
//! again. [`Write`] changes one row, [`Command`] runs a named SQL function in the same frame.

use crate::answer::Answer;
use crate::caller::{Caller, Scope};
use crate::cx::Cx;
use nodeai_http::reply::Response;
use nodeai_http::{FieldError, Problem};
use nodeai_store::Column;
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

/// The audit row of a write; the store adds what was before and after.
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

/// What every write has around what it does.
#[derive(Debug, Clone, Serialize)]
pub struct Framed<B> {
    #[serde(flatten)]
    body: B,
    org_id: String,
    audit: Option<Audit>,
    answer: Answer,
    idempotency: Option<Value>,
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    what: &'static str,
    /// Members of the answer's body that are shown once and stored sealed only.
    #[serde(skip)]
    once: Map<String, Value>,
    #[serde(skip)]
    beside: bool,
}

/// What a write does, in SQL.
pub trait Body: Serialize {
    /// The SQL function that does it.
    const FUNCTION: &'static str;
}

/// A change of one row, with the rows that belong to it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    table: &'static str,
    op: Op,
    id: String,
    row: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_version: Option<i64>,
    children: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    returning: Vec<&'static str>,
}

impl Body for Row {
    const FUNCTION: &'static str = "write";
}

/// A named SQL function with its arguments.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    #[serde(rename = "do")]
    name: &'static str,
    args: Value,
}

impl Body for Named {
    const FUNCTION: &'static str = "command";
}

/// A write of one row, to be made by [`Caller::write`].
pub type Write = Framed<Row>;
/// A named write (`nodeai.do_<name>` in SQL), to be made by [`Caller::write`].
pub type Command = Framed<Named>;

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
    #[serde(default)]
    message: Option<String>,
}

impl Write {
    /// A write of the row `id` of `table`; `what` names it in messages ("workflow").
    pub fn new(op: Op, table: &'static str, what: &'static str, id: &str) -> Self {
        let body = Row {
            table,
            op,
            id: id.to_owned(),
            row: json!({}),
            expect_version: None,
            children: Vec::new(),
            returning: Vec::new(),
        };
        Self::around(body, what, id)
    }

    /// The row's columns.
    pub fn row(mut self, row: Value) -> Self {
        self.body.row = row;
        self
    }

    /// The version that the row must have; `None` for any.
    pub fn expect_version(mut self, version: Option<i64>) -> Self {
        self.body.expect_version = version;
        self
    }

    /// Columns of the row, as it is after the write, that go into the answer's body.
    pub fn returning(mut self, columns: &[Column]) -> Self {
        self.body.returning = columns.iter().map(|column| column.name).collect();
        self
    }

    /// Another row that is made in the same transaction.
    pub fn child(mut self, table: &str, row: Value) -> Self {
        self.body.children.push(json!({"table": table, "row": row}));
        self
    }
}

impl Command {
    /// The write `nodeai.do_<name>` on the thing `id`; `what` names it in messages.
    pub fn named(name: &'static str, what: &'static str, id: &str, args: Value) -> Self {
        Self::around(Named { name, args }, what, id)
    }
}

impl<B: Body> Framed<B> {
    fn around(body: B, what: &'static str, id: &str) -> Self {
        Self {
            body,
            org_id: String::new(),
            audit: None,
            answer: Answer::no_content(),
            idempotency: None,
            id: id.to_owned(),
            what,
            once: Map::new(),
            beside: false,
        }
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
        self.answer = Answer::new(status, headers, body);
        self
    }

    /// A member of the answer's body that only this answer and its repetitions show: it is never stored in clear.
    pub fn once(mut self, member: &str, value: &str) -> Self {
        self.once.insert(member.to_owned(), json!(value));
        self
    }

    /// Leaves the request's idempotency key alone: for what is written beside the request's own write.
    pub fn beside(mut self) -> Self {
        self.beside = true;
        self
    }

    fn of_request(mut self, cx: &Cx, org_id: &str) -> Result<Self, Problem> {
        self.org_id = org_id.to_owned();
        if let Some(audit) = &mut self.audit {
            audit.request_id = Some(cx.trace.trace_id.to_string());
        }
        if !self.beside {
            self.idempotency = idempotency(cx)?;
        }
        if let Some(claim) = &self.idempotency
            && !self.once.is_empty()
        {
            self.answer.seal(cx, org_id, claim, &self.once)?;
        }
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
    Ok(Some(
        json!({"key": key, "route": cx.route(), "request_hash": cx.fingerprint()}),
    ))
}

impl<S: Scope> Caller<S> {
    /// Makes the write and answers with its stored answer. Errors: 404, 409, 412, 422 as the store finds.
    pub async fn write<B: Body>(&self, write: Framed<B>) -> Result<Response, Problem> {
        let write = write.of_request(&self.cx, self.org_id())?;
        let written: Written = self.call(B::FUNCTION, &write).await?;
        match written.outcome.as_str() {
            "done" => {
                let mut answer = written.answer.unwrap_or(write.answer);
                answer.merge(write.once);
                Ok(answer.into_response(false))
            }
            "replayed" => {
                let mut answer = written.answer.ok_or_else(in_flight)?;
                if let Some(claim) = &write.idempotency {
                    answer.unseal(&self.cx, self.org_id(), claim)?;
                }
                Ok(answer.into_response(true))
            }
            _ => Err(refusal(written, write.what)),
        }
    }
}

/// The stored answer of a request that was made before, for areas that have looked it up themselves.
///
/// Errors: 409 when the first request has not ended.
pub fn replayed(stored: Value) -> Result<Response, Problem> {
    let answer: Answer = serde_json::from_value(stored).map_err(|_| in_flight())?;
    Ok(answer.into_response(true))
}

fn in_flight() -> Problem {
    Problem::conflict("the first request with this key has not ended").retry_after(1)
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
        "refused" => Problem::conflict(written.message.unwrap_or_default()),
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
