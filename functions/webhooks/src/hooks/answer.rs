//! What the sender is told: at once, at the run's end, by the run itself, or as it goes.

use super::chain::asking;
use super::receive::Outcome;
use super::webhook::Webhook;
use crate::incoming::model::AnswerMode;
use futures::future::{Either, select};
use http::{HeaderValue, StatusCode, header};
use nodeai_app::{Cx, clock, store_problem};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Response, json_response};
use nodeai_http::{IntoReply, Problem};
use nodeai_runs::model::Stored;
use nodeai_runs::{Starter, follow};
use nodeai_store::Store;
use nodeai_webhook::inbound::answer::of_outputs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::rc::Rc;

/// Time between two looks at a run that somebody else works on, ms.
const PERIOD_MS: u64 = 200;
/// How long a sender waits for a run's end unless `nodeai_run_timeout_ms` says something else, ms.
const PATIENCE_MS: u64 = 25_000;

/// The answer to a request of a sender.
pub struct HookReply(Response);

impl IntoReply for HookReply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<Taken>("202", "Taken: the run is in the queue, or goes on");
        let end = "At the run's end its result; with streamed, text/event-stream; with respond, what the run says";
        op.response("200", json!({"description": end}));
        op.problem("401", "The request is not from whom it should be from");
        op.problem("403", "The webhook's owner may not run workflows any more");
        op.problem("404", "There is no webhook here");
        op.problem("405", "The webhook does not take this method");
        op.problem(
            "409",
            "What the webhook runs is gone, paused or in the archive",
        );
        op.problem("413", "The body is too large");
        op.problem("502", "The run was to give the answer, and gave none");
    }
}

/// A request that was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Taken {
    /// The run; null for a webhook that only listens.
    execution_id: Option<String>,
    /// `queued`; what the run is at, when its end was waited for; `recorded` for a webhook that only listens.
    status: String,
    /// Whether this delivery was there before: the run is the first one's.
    duplicate: bool,
}

/// A request whose run is there.
struct Run<'a> {
    cx: Rc<Cx>,
    store: Store,
    webhook: &'a Webhook,
    execution_id: String,
    duplicate: bool,
}

/// Answers as the webhook says. Errors: why nothing runs.
pub async fn reply(
    cx: Rc<Cx>,
    store: Store,
    webhook: &Webhook,
    outcome: Outcome,
) -> Result<HookReply, Problem> {
    if let Some(challenge) = outcome.challenge {
        return Ok(HookReply(text(challenge)));
    }
    let execution_id = match (outcome.outcome.as_str(), outcome.execution_id) {
        ("started" | "duplicate", Some(id)) => id,
        ("recorded", _) => return Ok(HookReply(taken(None, "recorded", false))),
        (other, _) => return Err(refusal(other)),
    };
    let duplicate = outcome.outcome == "duplicate";
    let run = Run {
        cx,
        store,
        webhook,
        execution_id,
        duplicate,
    };
    run.answered().await.map(HookReply)
}

impl Run<'_> {
    async fn answered(self) -> Result<Response, Problem> {
        // The run's own trace has this request in it.
        self.cx.own_trace.set(true);
        match self.webhook.answer_mode {
            AnswerMode::Accepted => {
                if !self.duplicate {
                    let asking = asking(&self.cx, &self.execution_id);
                    self.cx.env().spawn(asking);
                }
                Ok(taken(Some(self.execution_id), "queued", self.duplicate))
            }
            AnswerMode::AtEnd => match self.ended().await? {
                Some(run) => Ok(json_response(StatusCode::OK, Vec::new(), &run.result())),
                None => Ok(taken(Some(self.execution_id), "running", self.duplicate)),
            },
            AnswerMode::Respond => match self.ended().await? {
                Some(run) => said_by(&run),
                None => Ok(taken(Some(self.execution_id), "running", self.duplicate)),
            },
            AnswerMode::Streamed => {
                let asking = asking(&self.cx, &self.execution_id);
                self.cx.env().spawn(asking);
                let org_id = self.webhook.org_id.clone();
                let starter = Starter {
                    cx: self.cx,
                    store: self.store,
                    org_id,
                };
                follow(starter, &self.execution_id, None).await
            }
        }
    }

    /// The run once it has ended; none when that takes longer than a sender waits.
    async fn ended(&self) -> Result<Option<Stored>, Problem> {
        let env = self.cx.env();
        let set = env.get("nodeai_run_timeout_ms").await;
        let most = set
            .and_then(|text| text.parse().ok())
            .unwrap_or(PATIENCE_MS);
        let until_us = clock::now_us().saturating_add_unsigned(most.saturating_mul(1_000));
        let asking = asking(&self.cx, &self.execution_id);
        if let Either::Right((_, asking)) = select(asking, env.sleep_ms(most)).await {
            // The sender has waited long enough; the run goes on.
            env.spawn(asking);
        }
        loop {
            let run = self.look().await?;
            if run.ended() {
                return Ok(Some(run));
            }
            if clock::now_us() >= until_us {
                return Ok(None);
            }
            env.sleep_ms(PERIOD_MS).await;
        }
    }

    async fn look(&self) -> Result<Stored, Problem> {
        #[derive(Deserialize)]
        struct Found {
            execution: Stored,
        }
        let args = json!({"id": self.execution_id, "org_id": self.webhook.org_id});
        let found: Option<Found> = {
            let found = self.store.call_service("run_get", &args).await;
            found.map_err(store_problem)?
        };
        let gone = || Problem::not_found("the run of this delivery is gone");
        found.map(|found| found.execution).ok_or_else(gone)
    }
}

/// What the run's `respond` node gives. Errors: 502 when there is none; why is the owner's matter.
fn said_by(run: &Stored) -> Result<Response, Problem> {
    let said = of_outputs(&run.outputs).filter(|_| run.status == "succeeded");
    let said =
        said.ok_or_else(|| Problem::run_failed(format!("execution {} gave no answer", run.id)))?;
    let mut response = Response::new(Body::Full(said.body.into()));
    *response.status_mut() = said.status;
    *response.headers_mut() = said.headers;
    Ok(response)
}

fn taken(execution_id: Option<String>, status: &str, duplicate: bool) -> Response {
    let place = execution_id.as_ref();
    let place = place.map(|id| format!("/api/v1/workflows/execute/{id}"));
    let place = place.and_then(|place| HeaderValue::try_from(place).ok());
    let headers = place.map(|place| (header::LOCATION, place));
    let taken = Taken {
        execution_id,
        status: status.to_owned(),
        duplicate,
    };
    json_response(StatusCode::ACCEPTED, headers.into_iter().collect(), &taken)
}

fn text(said: String) -> Response {
    let mut response = Response::new(Body::Full(said.into()));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn refusal(outcome: &str) -> Problem {
    match outcome {
        // Why is for the owner, who finds it in the list of requests.
        "unverified" => Problem::unauthenticated("the request is not from whom it should be from"),
        "owner_gone" | "forbidden" => {
            Problem::forbidden("the owner of this webhook may not run this any more")
        }
        "missing" => Problem::conflict("what this webhook runs is not there any more"),
        "paused" => Problem::conflict("the deployment is paused; it runs again once it is resumed"),
        "archived" => Problem::conflict("the workflow is in the archive, where nothing runs"),
        other => {
            nodeai_app::errors::log("hook_receive", other);
            Problem::internal("the request had an outcome that was not expected")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: &str, outputs: serde_json::Value) -> Stored {
        let row = json!({"id": "e", "workflow_id": null, "workflow_version": null, "trace_id": "t", "status": status,
            "mode": "queued", "outputs": outputs});
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_run_answers_by_its_respond_node_when_it_has_succeeded() {
        let outputs = json!({"out": {"status": 418, "headers": {}, "body": "tea"}});
        let said = said_by(&ended("succeeded", outputs.clone())).unwrap();
        assert_eq!(said.status(), 418);
        let failed = said_by(&ended("failed", outputs)).err().unwrap();
        assert_eq!((failed.status, failed.slug()), (502, "run-failed"));
        assert!(said_by(&ended("succeeded", json!({"out": 1}))).is_err());
    }

    #[test]
    fn a_refusal_does_not_say_why_a_request_is_not_verified() {
        let problem = refusal("unverified");
        assert_eq!(problem.status, 401);
        assert_eq!(refusal("owner_gone").status, 403);
        assert_eq!(refusal("paused").status, 409);
    }
}
