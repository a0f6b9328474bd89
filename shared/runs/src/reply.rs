//! A run from the request to its answer.

use crate::commit::commit;
use crate::drive::{Limit, drive};
use crate::model::RunResult;
use crate::start::{Ask, Begin, start};
use crate::stream;
use nodeai_app::{Caller, Scope};
use nodeai_http::reply::{Json, Response};
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_runner::NoSink;

/// A run's answer: JSON at its end, or a stream of events.
pub struct Reply(Response);

impl IntoReply for Reply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<RunResult>(
            "200",
            "The run has ended (also when it failed); with stream, text/event-stream",
        );
        op.problem("402", "A budget of this run is used up; it says which");
        op.problem("404", "There is no such workflow");
        op.problem(
            "409",
            "The first request with this Idempotency-Key is still running",
        );
    }
}

/// Runs to the end and answers, or answers at once and streams.
///
/// Errors: 400, 402, 403, 404, 409, 422 for what cannot start; 503 when the store stays away.
pub async fn run<S: Scope>(caller: Caller<S>, ask: Ask) -> Result<Reply, Problem> {
    let streamed = ask.stream;
    let started = match start(&caller, ask).await? {
        Begin::Run(started) => *started,
        Begin::Replay(result) if streamed => return Ok(Reply(stream::replay(*result))),
        Begin::Replay(result) => {
            let name = http::HeaderName::from_static("idempotency-replayed");
            return Ok(Reply(Json::ok(*result).header(name, "true").into_reply()));
        }
    };
    if streamed {
        return Ok(Reply(stream::open(caller, started)));
    }
    let finished = drive(&caller, &started, &NoSink, Limit::Buffered).await;
    let result = commit(&caller, &started, finished).await?;
    Ok(Reply(Json::ok(result).into_reply()))
}
