//! A run from the request to its answer.

use crate::commit::{Ran, commit};
use crate::drive::{BUFFERED, drive};
use crate::events::follow;
use crate::model::RunResult;
use crate::queue::kick;
use crate::start::{Ask, Begin, Mode, start};
use crate::stream;
use http::{HeaderName, StatusCode, header};
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::reply::{Json, Response, json_response};
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_runner::NoSink;
use schemars::JsonSchema;
use serde::Serialize;

/// A run's answer: JSON at its end, a stream of events, or where it can be found later.
pub struct Reply(Response);

/// A run that goes on by itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// The run; `Location` says where it is.
    execution_id: String,
    /// Its trace, 32 hex digits.
    trace_id: String,
    /// `queued`; what it is now, for a request that is repeated.
    status: String,
}

impl IntoReply for Reply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<RunResult>(
            "200",
            "The run has ended (also when it failed); with stream, text/event-stream",
        );
        op.json_response::<Accepted>(
            "202",
            "The run goes on by itself; Location says where it is",
        );
        op.problem("402", "A budget of this run is used up; it says which");
        op.problem("404", "There is no such workflow");
        op.problem(
            "409",
            "The first request with this Idempotency-Key is still running, or a policy keeps the run from starting",
        );
    }
}

/// Runs to the end and answers, or answers at once and streams, or leaves the run to the queue.
///
/// Errors: 400, 402, 403, 404, 409, 422 for what cannot start; 503 when the store stays away.
pub async fn run<S: Scope>(caller: Caller<S>, ask: Ask) -> Result<Reply, Problem> {
    let mode = ask.mode.clone();
    let started = match start(&caller, ask).await? {
        Begin::Run(started) => *started,
        Begin::Replay(result) if matches!(mode, Mode::Stream) => {
            return Ok(Reply(stream::replay(*result)));
        }
        Begin::Replay(result) => {
            return Ok(Reply(
                Json::ok(*result).header(REPLAYED, "true").into_reply(),
            ));
        }
        Begin::Queued(stored) => {
            let answer = Accepted {
                execution_id: stored.id,
                trace_id: stored.trace_id,
                status: stored.status,
            };
            return accepted(caller, answer, &mode, true).await;
        }
    };
    match mode {
        Mode::Stream => Ok(Reply(stream::open(caller, started))),
        Mode::Sync => {
            let finished = drive(&caller, &started, &NoSink, BUFFERED).await;
            let result = commit(&caller, &Ran::of(&started), finished).await?;
            Ok(Reply(Json::ok(result).into_reply()))
        }
        Mode::Queued(_) => {
            let answer = Accepted {
                execution_id: started.execution_id,
                trace_id: caller.cx.trace.trace_id.to_string(),
                status: "queued".to_owned(),
            };
            accepted(caller, answer, &mode, false).await
        }
    }
}

/// Runs to the end, for areas that go on with what came out. Whether it succeeded is in the result.
///
/// Errors: as [`run`].
pub async fn finish<S: Scope>(caller: &Caller<S>, ask: Ask) -> Result<RunResult, Problem> {
    match start(caller, ask).await? {
        Begin::Run(started) => {
            let finished = drive(caller, &started, &NoSink, BUFFERED).await;
            commit(caller, &Ran::of(&started), finished).await
        }
        Begin::Replay(result) => Ok(*result),
        Begin::Queued(_) => Err(Problem::internal("what is waited for is not queued")),
    }
}

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Answers that the run is in the queue, and begins with it after the answer.
async fn accepted<S: Scope>(
    caller: Caller<S>,
    answer: Accepted,
    mode: &Mode,
    replayed: bool,
) -> Result<Reply, Problem> {
    let Mode::Queued(queued) = mode else {
        return Err(Problem::internal("only a queued run is accepted"));
    };
    // The run's own trace has this request in it.
    caller.cx.own_trace.set(true);
    if queued.run_after_us.is_none_or(|at| at <= clock::now_us()) {
        kick(&caller.cx, &answer.execution_id);
    }
    if queued.follow {
        return Ok(Reply(follow(caller, &answer.execution_id, None).await?));
    }
    let place = format!("/api/v1/workflows/execute/{}", answer.execution_id);
    let mut headers = Vec::new();
    headers.extend(place.parse().ok().map(|place| (header::LOCATION, place)));
    if replayed {
        headers.push((REPLAYED, http::HeaderValue::from_static("true")));
    }
    Ok(Reply(json_response(StatusCode::ACCEPTED, headers, &answer)))
}
