//! Calls of endpoints: plain functions and operations of OpenAPI documents.

use super::Outcome;
use crate::ToolsRun;
use crate::outbound::{self, Answer, Failure};
use crate::secrets::{Opened, token_of};
use nodeai_app::Caller;
use nodeai_http::{FieldError, Problem};
use nodeai_toolkit::Fault;
use nodeai_toolkit::credential::Auth;
use nodeai_toolkit::endpoint::Endpoint;
use nodeai_toolkit::openapi::{Config, Operation};
use nodeai_toolkit::output;
use nodeai_toolkit::request::Outgoing;
use serde_json::Value;

/// Calls a plain function. Errors: an argument that cannot stand where it has to; those of the vault.
pub async fn endpoint(
    caller: &Caller<ToolsRun>,
    endpoint: &Endpoint,
    arguments: &Value,
    most: usize,
) -> Result<Outcome, Problem> {
    let opened = Opened::of(caller, &endpoint.secrets()).await?;
    let request = match endpoint.request(arguments, &opened.values) {
        Ok(request) => request,
        Err(fault) => return misplaced(fault),
    };
    let auths: Vec<&Auth> = endpoint.auth.iter().collect();
    let apply = |request: &mut Outgoing, token: Option<&str>| {
        auths
            .iter()
            .try_for_each(|auth| auth.apply(request, &opened.values, token))
    };
    let sent = send(caller, request, (&opened, &auths), apply, most).await;
    let mut outcome = read(sent, opened.texts());
    if let (Some(pointer), None) = (&endpoint.output_at, &outcome.failure) {
        outcome.output = outcome.output.pointer(pointer).cloned().unwrap_or_default();
    }
    Ok(outcome)
}

/// Calls an operation. Errors: as [`endpoint`].
pub async fn operation(
    caller: &Caller<ToolsRun>,
    config: &Config,
    operation: &Operation,
    arguments: &Value,
    most: usize,
) -> Result<Outcome, Problem> {
    let opened = Opened::of(caller, &config.secrets(operation)).await?;
    let request = match operation.request(config, arguments, &opened.values) {
        Ok(request) => request,
        Err(fault) => return misplaced(fault),
    };
    let chosen = config.auths(operation);
    let auths: Vec<&Auth> = chosen.iter().map(|(_, auth)| *auth).collect();
    let apply = |request: &mut Outgoing, token: Option<&str>| {
        let mut all = chosen.iter();
        all.try_for_each(|one| Operation::apply(*one, request, &opened.values, token))
    };
    let sent = send(caller, request, (&opened, &auths), apply, most).await;
    Ok(read(sent, opened.texts()))
}

/// An argument that fits the schema and not its place is the caller's fault, a secret that there is not is the tool's.
fn misplaced(fault: Fault) -> Result<Outcome, Problem> {
    if fault.pointer.is_empty() {
        let kind = if fault.code == "secret" {
            "secret_missing"
        } else {
            "request"
        };
        return Ok(Outcome::from(Failure::new(kind, fault.detail)));
    }
    let pointer = format!("/arguments{}", fault.pointer);
    Err(Problem::fields(vec![FieldError::body(
        pointer,
        &fault.code,
        fault.detail,
    )]))
}

/// Sends a request with its credentials; a token that is refused is refreshed once.
async fn send(
    caller: &Caller<ToolsRun>,
    request: Outgoing,
    (opened, auths): (&Opened, &[&Auth]),
    apply: impl Fn(&mut Outgoing, Option<&str>) -> Result<(), String>,
    most: usize,
) -> Result<Answer, Failure> {
    let connected = auths
        .iter()
        .find(|auth| matches!(auth, Auth::Connection(_)));
    let guard = caller.cx.guard().await;
    let mut token: Option<String> = None;
    loop {
        let before = token.take();
        if let Some(auth) = connected {
            token = token_of(caller, auth, &request.url, before.as_deref()).await?;
        }
        let mut outgoing = request.clone();
        let applied = apply(&mut outgoing, token.as_deref());
        applied.map_err(|why| Failure::new("secret_missing", why))?;
        opened.may_go_to(&outgoing.url)?;
        if let Some(key) = caller.cx.header("idempotency-key") {
            outgoing.set_header("idempotency-key", key);
        }
        caller.session.release();
        let answer = outbound::send(&guard, outgoing, most).await?;
        if answer.status != 401 || token.is_none() || before.is_some() {
            return Ok(answer);
        }
    }
}

fn read(sent: Result<Answer, Failure>, secrets: Vec<String>) -> Outcome {
    let answer = match sent {
        Ok(answer) => answer,
        Err(failure) => {
            return Outcome {
                secrets,
                ..Outcome::from(failure)
            };
        }
    };
    let status = answer.status;
    let fine = (200..=299).contains(&status);
    let failure = (!fine).then(|| Failure {
        retryable: matches!(status, 408 | 429 | 502..=504),
        ..Failure::new(
            "http_status",
            format!("the endpoint answered HTTP {status}"),
        )
    });
    Outcome {
        output: output::value_of(answer.media(), &answer.body),
        failure,
        status: Some(status),
        typed: true,
        secrets,
        ..Outcome::default()
    }
}
