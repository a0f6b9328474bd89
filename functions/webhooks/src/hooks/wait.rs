//! `/hooks/wait/{token}`: somebody who has no account here answers a node that waits, by the address that the run has given away.
//! The token says which run and which node; the first answer counts.

use super::chain::asking;
use http::{HeaderMap, Method, StatusCode, header};
use nodeai_app::{Cx, Visitor, store_problem};
use nodeai_engine::check_form;
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Response, json_response};
use nodeai_http::{FieldError, IntoReply, Problem};
use nodeai_runs::address;
use nodeai_runs::model::{Stored, Waiting};
use nodeai_store::{Rate, Store};
use nodeai_webhook::inbound::Request;
use nodeai_webhook::inbound::content::{MOST_BODY, pairs, parsed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The methods that an address takes unless its node says something else.
const METHODS: &str = "GET, POST, PUT";
/// Header fields that the run is told of: none that may hold a credential.
const TOLD: [&str; 7] = [
    "content-type",
    "user-agent",
    "accept-language",
    "idempotency-key",
    "x-request-id",
    "webhook-id",
    "webhook-timestamp",
];

/// What somebody is told whose answer was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Resumed {
    /// `resumed`: the run goes on.
    status: &'static str,
    /// The run.
    execution_id: String,
}

/// The answer to an answer.
pub struct WaitReply(Response);

impl IntoReply for WaitReply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<Resumed>(
            "200",
            "Taken: the run goes on; what the node says, if it says something else",
        );
        op.problem("400", "The data is not what the node waits for");
        op.problem("404", "Nothing has this address");
        op.problem("405", "The node does not take this method");
        op.problem(
            "409",
            "It was answered already, or the run has not come to it yet; then Retry-After is set",
        );
        op.problem("410", "Nothing waits here any more");
        op.problem("413", "The body is too large");
    }
}

/// What `hook_wait` answers.
#[derive(Deserialize)]
struct Found {
    outcome: String,
    org_id: String,
    #[serde(default)]
    wait: Option<Waiting>,
    rate: Rate,
}

/// What `run_answer` answers.
#[derive(Deserialize)]
struct Stood {
    outcome: String,
    #[serde(default)]
    execution: Option<Stored>,
}

/// Answers a node that waits. An address that was never given away is not found, whatever it says.
pub async fn handle(visitor: Visitor) -> Result<WaitReply, Problem> {
    let cx = visitor.cx.clone();
    takes(&cx.method, &[])?;
    let token = cx.parameter("token").unwrap_or_default();
    let keys = cx.settings.master_keys.as_ref().ok();
    let of = keys.and_then(|keys| address::read(keys, token));
    let (execution_id, node) = of.ok_or_else(nothing)?;
    if cx.body.len() > MOST_BODY {
        let detail = format!("the body may have at most {MOST_BODY} bytes");
        return Err(Problem::too_large(detail));
    }
    let store = cx.store()?;
    let args = json!({"id": execution_id, "node": node});
    let found: Option<Found> = ask(&store, "hook_wait", &args).await?;
    let found = found.ok_or_else(over)?;
    visitor.limit(found.rate)?;
    let wait = open(&found.outcome, found.wait)?;
    takes(&cx.method, &wait.methods)?;
    let output = output(&cx, &wait)?;
    let answer = json!({"node": node, "handle": "output", "output": output});
    let args = json!({"id": execution_id, "org_id": found.org_id, "answer": answer});
    let stood: Stood = ask(&store, "run_answer", &args).await?;
    let (outcome, execution) = (stood.outcome.as_str(), stood.execution);
    let execution = execution.filter(|_| outcome == "answered");
    let execution = execution.ok_or_else(|| refusal(outcome))?;
    if execution.status == "waiting" {
        cx.env().spawn(asking(&cx, &execution_id));
    }
    Ok(WaitReply(said(wait.respond, execution_id)))
}

async fn ask<T: for<'de> Deserialize<'de>>(
    store: &Store,
    function: &'static str,
    args: &Value,
) -> Result<T, Problem> {
    store
        .call_service(function, args)
        .await
        .map_err(store_problem)
}

/// The wait, if it can be answered.
fn open(outcome: &str, wait: Option<Waiting>) -> Result<Waiting, Problem> {
    match (outcome, wait) {
        // People approve with their own credentials.
        ("waiting", Some(wait)) if wait.kind == "webhook" => Ok(wait),
        ("waiting", _) => Err(nothing()),
        (other, _) => Err(refusal(other)),
    }
}

fn nothing() -> Problem {
    Problem::not_found("nothing waits here")
}

fn over() -> Problem {
    Problem::wait_over("nobody waits for this any more")
}

fn refusal(outcome: &str) -> Problem {
    match outcome {
        "already" => Problem::conflict("somebody has answered already"),
        "early" => {
            let detail =
                "the run has not come to this wait yet; the same request may succeed later";
            Problem::not_waiting_yet(detail).retry_after(1)
        }
        // It went on meanwhile.
        _ => over(),
    }
}

/// Errors: 405 for a method that is not among these; HEAD is none of them, since to ask for a head alone must not answer.
fn takes(method: &Method, methods: &[String]) -> Result<(), Problem> {
    let allow = match methods.is_empty() {
        true => METHODS.to_owned(),
        false => methods.join(", "),
    };
    match allow.split(", ").any(|taken| taken == method.as_str()) {
        true => Ok(()),
        false => {
            let problem = Problem::method_not_allowed(format!("this address takes {allow}"));
            Err(problem.with_header(header::ALLOW, allow))
        }
    }
}

/// The node's output. Errors: 400 for what does not fit its schema.
fn output(cx: &Cx, wait: &Waiting) -> Result<Value, Problem> {
    let request = Request {
        method: cx.method.as_str(),
        path: "",
        query: &cx.query,
        headers: &cx.headers,
        body: &cx.body,
    };
    let query = pairs(&cx.query);
    let data = match cx.body.is_empty() {
        true => query.clone(),
        false => parsed(&request),
    };
    if let Some(form) = &wait.form {
        check_form(form, &data).map_err(|faults| {
            let fields = faults.into_iter().map(|fault| {
                let pointer = fault.pointer.strip_prefix("/data");
                let pointer = pointer.unwrap_or(&fault.pointer).to_owned();
                FieldError::body(pointer, &fault.code, fault.message)
            });
            Problem::fields(fields.collect())
        })?;
    }
    Ok(
        json!({"data": data, "method": cx.method.as_str(), "query": query, "headers": told(&cx.headers)}),
    )
}

fn told(headers: &HeaderMap) -> Map<String, Value> {
    let named = TOLD.iter().filter_map(|name| {
        let text = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), Value::from(text)))
    });
    named.collect()
}

/// What the node says, or that the run goes on.
fn said(respond: Option<Value>, execution_id: String) -> Response {
    let Some(respond) = respond else {
        let resumed = Resumed {
            status: "resumed",
            execution_id,
        };
        return json_response(StatusCode::OK, Vec::new(), &resumed);
    };
    let status = respond["status"].as_u64();
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::OK);
    match respond.get("body") {
        Some(Value::String(text)) => {
            let mut response = Response::new(Body::Full(text.clone().into()));
            *response.status_mut() = status;
            let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Some(body) => json_response(status, Vec::new(), body),
        None => {
            let mut response = Response::new(Body::Full(bytes::Bytes::new()));
            *response.status_mut() = status;
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(kind: &str) -> Option<Waiting> {
        serde_json::from_value(json!({"node": "ask", "kind": kind})).unwrap()
    }

    #[test]
    fn only_what_waits_for_a_request_is_answered() {
        assert_eq!(open("waiting", wait("webhook")).unwrap().node, "ask");
        for kind in ["approval", "timer"] {
            assert_eq!(open("waiting", wait(kind)).unwrap_err().status, 404);
        }
        assert_eq!(open("already", None).unwrap_err().slug(), "conflict");
        assert_eq!(open("over", None).unwrap_err().slug(), "wait-over");
        let early = open("early", None).unwrap_err();
        assert_eq!((early.status, early.slug()), (409, "not-waiting-yet"));
        assert_eq!(early.headers[0].0, header::RETRY_AFTER);
    }

    #[test]
    fn methods_are_those_of_the_node_and_never_head() {
        let post = ["POST".to_owned()];
        assert!(takes(&Method::PUT, &[]).is_ok() && takes(&Method::POST, &post).is_ok());
        assert_eq!(takes(&Method::HEAD, &[]).unwrap_err().status, 405);
        assert_eq!(takes(&Method::GET, &post).unwrap_err().status, 405);
    }

    #[test]
    fn a_node_may_say_what_is_answered() {
        let of = |respond: Value| said(Some(respond), "e".to_owned());
        let text = of(json!({"status": 202, "body": "Thank you"}));
        assert_eq!(text.status(), 202);
        assert_eq!(
            text.headers()[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        assert_eq!(of(json!({})).status(), 200);
        let json = of(json!({"body": {"ok": true}}));
        assert_eq!(json.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(said(None, "e".to_owned()).status(), 200);
    }

    #[test]
    fn credentials_of_the_sender_are_not_told() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer x".parse().unwrap());
        headers.insert("user-agent", "bank/1".parse().unwrap());
        assert_eq!(
            Value::Object(told(&headers)),
            json!({"user-agent": "bank/1"})
        );
    }
}
