//! Committing a run: state, log, trace, spans and usage in one transaction, before the answer.

use crate::memory::kept;
use crate::model::{RunResult, Usage};
use crate::signals::Lease;
use crate::start::Started;
use nodeai_app::{Caller, Scope, clock, errors::log, errors::store_problem, spans};
use nodeai_engine::Compiled;
use nodeai_http::Problem;
use nodeai_runner::Finished;
use nodeai_telemetry::{Span, Status, terms};
use nodeai_travel::written;
use serde_json::{Value, json};

/// Waits between the tries of a commit, ms: about nine seconds in all, so that a short outage loses no run.
const BACKOFF_MS: [u64; 6] = [100, 300, 900, 1_500, 2_500, 4_000];

/// Which run has ended, and how much of it is kept already.
pub struct Ran<'a> {
    /// The run.
    pub execution_id: &'a str,
    /// The stored workflow.
    pub workflow_id: Option<&'a str>,
    /// Whose run it is, for a queued one.
    pub lease: Option<Lease>,
    /// How many events of its log are kept.
    pub kept: usize,
    /// What ran, which says what is recorded; everything without.
    pub plan: Option<&'a Compiled>,
    /// Whether nothing of what went in or came out is kept.
    pub private: bool,
}

impl<'a> Ran<'a> {
    /// A run that was driven in one go.
    pub fn of(started: &'a Started) -> Self {
        Self {
            execution_id: &started.execution_id,
            workflow_id: started.workflow_id.as_deref(),
            lease: None,
            kept: 0,
            plan: Some(&started.plan.compiled),
            private: started.private,
        }
    }
}

/// Commits and gives the answer. Errors: 503 when the store stays away; the spans are then in the log.
pub async fn commit<S: Scope>(
    caller: &Caller<S>,
    ran: &Ran<'_>,
    mut finished: Finished,
) -> Result<RunResult, Problem> {
    caller.cx.own_trace.set(true);
    if ran.private {
        finished.spans.iter_mut().for_each(without_content);
    }
    let mut args = arguments(caller, ran, &finished);
    strip_nul(&mut args);
    let mut waits = BACKOFF_MS.iter();
    let stored = loop {
        match caller.session.call::<Value>("run_commit", &args).await {
            Ok(answer) => break Ok(answer),
            Err(error) => match waits.next() {
                Some(wait) if matches!(error, nodeai_store::Error::Unavailable(_)) => {
                    caller.session.release();
                    caller.cx.env().sleep_ms(*wait).await;
                }
                _ => break Err(error),
            },
        }
    };
    match stored {
        // A run that the caller waits for begins without waiting for the disk: a database that died since may have lost it.
        Ok(answer) if answer["outcome"] == "missing" && ran.lease.is_none() => {
            spans::write_to_log(caller.org_id(), &finished.spans);
            let lost = "the run is not in the database any more".to_owned();
            Err(store_problem(nodeai_store::Error::Unavailable(lost)))
        }
        Ok(answer) => {
            if answer["outcome"] != "committed" && answer["outcome"] != "already" {
                log("run_commit", &answer["outcome"].to_string());
            }
            Ok(result(caller, ran, finished))
        }
        Err(error) => {
            spans::write_to_log(caller.org_id(), &finished.spans);
            Err(store_problem(error))
        }
    }
}

fn result<S: Scope>(caller: &Caller<S>, ran: &Ran<'_>, finished: Finished) -> RunResult {
    let usage = finished.usage;
    RunResult {
        execution_id: ran.execution_id.to_owned(),
        trace_id: caller.cx.trace.trace_id.to_string(),
        status: finished.status.as_str().to_owned(),
        outputs: finished.outputs,
        usage: Usage::new(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cost_pusd,
        ),
        error: finished.error.map(Into::into),
    }
}

fn arguments<S: Scope>(caller: &Caller<S>, ran: &Ran<'_>, finished: &Finished) -> Value {
    let usage = &finished.usage;
    let duration_us = finished.finished_us - finished.started_us;
    let ok = finished.error.is_none();
    let trace_id = caller.cx.trace.trace_id;
    let name = finished
        .spans
        .first()
        .map_or("invoke_workflow", |root| root.name.as_str());
    json!({
        "execution": {
            "id": ran.execution_id, "org_id": caller.org_id(), "status": finished.status,
            "outputs": if ran.private { &Value::Null } else { &finished.outputs }, "error": finished.error, "finished_us": finished.finished_us,
            "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
            "cost_pusd": usage.cost_pusd, "lease_token": ran.lease,
        },
        "first_seq": ran.kept,
        "last_seq": finished.log.len().saturating_sub(1),
        "events": recorded(ran, finished),
        "memory": if ran.private { Value::Null } else { kept(&finished.log[ran.kept..]) },
        "trace": {
            "trace_id": trace_id, "name": name, "kind": "run",
            "status": if ok { Status::Ok } else { Status::Error },
            "start_us": finished.started_us, "duration_us": duration_us,
            "execution_id": ran.execution_id, "workflow_id": ran.workflow_id,
            "user_id": caller.session.user_id(), "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens, "cost_pusd": usage.cost_pusd, "error": finished.error,
            "terms": terms::terms(finished.spans.iter().map(|span| &span.attributes)),
        },
        "spans": finished.spans,
        "usage": [{
            "id": clock::new_id(), "at_us": finished.finished_us, "kind": "run", "route": caller.cx.pattern,
            "workflow_id": ran.workflow_id, "execution_id": ran.execution_id, "trace_id": trace_id,
            "duration_us": duration_us, "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens, "cost_pusd": usage.cost_pusd,
        }],
    })
}

/// What is kept of the log, by the workflow's own policy: its exact text, so that a replay can be compared with it.
/// A log whose beginning is kept, since the run outlived a worker, is kept whole.
fn recorded(ran: &Ran<'_>, finished: &Finished) -> Vec<Value> {
    let keeps = |plan: &Compiled| plan.record().keeps(finished.status);
    if ran.private {
        return Vec::new();
    }
    match ran.kept > 0 || ran.plan.is_none_or(keeps) {
        true => written(&finished.log[ran.kept..]),
        false => Vec::new(),
    }
}

/// Takes from a span what went in and came out.
fn without_content(span: &mut Span) {
    for name in ["nodeai.input", "nodeai.output"] {
        span.attributes.remove(name);
    }
}

/// PostgreSQL's jsonb cannot hold U+0000, and what models and servers answer may: it becomes U+FFFD.
pub(crate) fn strip_nul(value: &mut Value) {
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
            Value::Array(items) => stack.extend(items),
            Value::Object(fields) => {
                if fields.keys().any(|key| key.contains('\0')) {
                    let old = std::mem::take(fields);
                    fields.extend(
                        old.into_iter()
                            .map(|(k, v)| (k.replace('\0', "\u{fffd}"), v)),
                    );
                }
                stack.extend(fields.values_mut());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_becomes_the_replacement_character_everywhere() {
        let mut value = json!({"a\u{0}": ["x\u{0}y", {"b": "\u{0}"}], "c": 1});
        strip_nul(&mut value);
        assert_eq!(
            value,
            json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}], "c": 1})
        );
    }
}
