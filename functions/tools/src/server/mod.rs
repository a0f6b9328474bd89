//! `POST /api/v1/tools/mcp`: the MCP server. Stateless in all eras: nothing is kept between two requests.

mod provider;

use crate::{ToolsRun, wellknown};
use futures::StreamExt;
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use nodeai_app::{Caller, Cx, spans};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Response, event_stream};
use nodeai_http::{Body, FromCx, IntoReply, Problem};
use nodeai_mcp::server::{
    Answer, Nowhere, Played, Received, Request, Rules, answer, receive, stage,
};
use provider::Own;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;

/// A caller of the MCP server: one who is refused is told where its metadata is.
pub struct McpCaller(Caller<ToolsRun>);

impl FromCx<Cx> for McpCaller {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let admitted = Caller::from_cx(cx.clone()).await;
        admitted.map(Self).map_err(|problem| match (problem.status, wellknown::place(&cx)) {
            (401, Some(place)) => {
                let challenge = format!("Bearer realm=\"nodeai\", resource_metadata=\"{place}\"");
                problem.with_header(header::WWW_AUTHENTICATE, challenge)
            }
            (403, Some(place)) => {
                let challenge = format!(
                    "Bearer realm=\"nodeai\", error=\"insufficient_scope\", scope=\"tools:run\", resource_metadata=\"{place}\""
                );
                problem.with_header(header::WWW_AUTHENTICATE, challenge)
            }
            _ => problem,
        })
    }

    fn describe(op: &mut Describe) {
        <Caller<ToolsRun> as FromCx<Cx>>::describe(op);
    }
}

/// An answer of JSON-RPC, or a stream of them.
pub struct McpReply(Response);

impl IntoReply for McpReply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let schema = json!({"type": "object", "description": "A message of JSON-RPC 2.0"});
        op.response(
            "200",
            json!({"description": "The answer", "content": {"application/json": {"schema": schema},
                "text/event-stream": {"schema": {"type": "string"}}}}),
        );
        op.empty_response("202", "A message that wants no answer");
    }
}

/// Answers one request.
pub async fn handle(McpCaller(caller): McpCaller) -> Result<McpReply, Problem> {
    let cx = caller.cx.clone();
    let rules = Rules {
        origins: origins(&cx).await,
    };
    let received = receive(&cx.method, &cx.headers, &cx.body, &rules);
    let own = Own::of(caller);
    let response = match received {
        Received::Answer(answer) => plain(&answer),
        Received::One(request) => one(cx, own, *request).await,
        Received::Batch(all) => batch(&own, all).await,
    };
    Ok(McpReply(response))
}

/// Origins whose pages may call: those that the operator names, and the one that CORS is restricted to.
async fn origins(cx: &Cx) -> Vec<String> {
    let named = cx.env().get("nodeai_mcp_origins").await.unwrap_or_default();
    let named = named
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty());
    let cors = Some(cx.settings.cors_origin.as_str()).filter(|one| *one != "*");
    named.chain(cors).map(str::to_owned).collect()
}

/// Answers by JSON, or by events once something comes before the answer.
async fn one(cx: Rc<Cx>, own: Own, request: Request) -> Response {
    let (actor, mut played) = stage();
    let ended = Rc::new(Cell::new(false));
    let (traced, at_end) = (cx.clone(), ended.clone());
    cx.env().spawn(Box::pin(async move {
        let answered = answer(&own, &request, &actor).await;
        at_end.set(true);
        if traced.own_trace.get() {
            // The request has been answered long ago: what its spans are has come out only now.
            traced.own_trace.set(false);
            spans::flush_later(&traced, StatusCode::OK);
        }
        actor.finish(answered);
    }));
    match played.next().await {
        Some(Played::Answer(answer)) => plain(&answer),
        Some(first) => {
            cx.own_trace.set(!ended.get());
            let all = stream::once(async move { first }).chain(played);
            event_stream(all.map(|one| one.event()).boxed())
        }
        None => Problem::internal("the answer did not come").into_response(),
    }
}

async fn batch(own: &Own, all: Vec<Result<Request, Value>>) -> Response {
    let mut answers = Vec::new();
    for request in all {
        answers.push(match request {
            Ok(request) => answer(own, &request, &Nowhere)
                .await
                .body
                .unwrap_or_default(),
            Err(refusal) => refusal,
        });
    }
    json_response(StatusCode::OK, &Value::Array(answers))
}

fn plain(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Some(body) = &answer.body else {
        let mut response = Response::new(Body::Full(bytes::Bytes::new()));
        *response.status_mut() = status;
        return response;
    };
    let mut response = json_response(status, body);
    if let Some(allow) = answer.allow {
        let value = HeaderValue::from_static(allow);
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    nodeai_http::reply::json_response(status, Vec::new(), body)
}
