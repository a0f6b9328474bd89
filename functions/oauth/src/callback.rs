//! `POST /api/v1/oauth/callback`

use crate::OauthWrite;
use crate::authorize::{place, state_hash};
use crate::model::{Connection, connections};
use nodeai_app::vault::{self, SealedText, unhex};
use nodeai_app::write::{idempotency, replayed};
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_oauth::{Connections, Granted, Provider, discovery};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the provider added to the redirect URI.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackInput {
    /// The state.
    state: String,
    /// The code.
    #[serde(default)]
    code: Option<String>,
    /// The issuer, when it came (RFC 9207).
    #[serde(default)]
    iss: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    error: Option<String>,
    /// The same for people.
    #[serde(default)]
    error_description: Option<String>,
}

impl Check for CallbackInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.state, 1, 200, "/state");
        let either = self.code.is_some() != self.error.is_some();
        c.require(either, "/code", "required", "send either code or error");
        c.length(self.code.as_deref().unwrap_or_default(), 0, 4_096, "/code");
        c.length(self.error.as_deref().unwrap_or_default(), 0, 200, "/error");
        let text = self.error_description.as_deref().unwrap_or_default();
        c.length(text, 0, 2_000, "/error_description");
    }
}

#[derive(Deserialize)]
struct Taken {
    outcome: String,
    #[serde(default)]
    state: Option<State>,
    #[serde(default)]
    provider: Option<Provider>,
    #[serde(default)]
    answer: Option<Value>,
}

#[derive(Deserialize)]
struct State {
    id: String,
    redirect_uri: String,
    name: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    connection_id: Option<String>,
    verifier: String,
}

/// Takes the state, which works once, changes the code into tokens and stores them sealed.
pub async fn handle(
    caller: Caller<OauthWrite>,
    Valid(input): Valid<CallbackInput>,
) -> Result<Created<Connection>, Problem> {
    let taken = take(&caller, &input.state).await?;
    let (state, provider) = match (taken.state, taken.provider, taken.answer) {
        (Some(state), Some(provider), _) => (state, provider),
        (_, _, Some(answer)) => return replayed(answer).map(Created::from),
        _ => return Err(refusal(&taken.outcome)),
    };
    check_issuer(&caller, &provider, input.iss.as_deref()).await?;
    let code = match (input.code, input.error) {
        (Some(code), _) => code,
        (None, error) => return Err(denied(error, input.error_description)),
    };
    let granted = exchange(&caller, &state, &provider, &code).await?;
    let account = discovery::account(&caller.cx, &provider, &granted).await?;
    store(&caller, state, &provider, granted, account).await
}

async fn take(caller: &Caller<OauthWrite>, state: &str) -> Result<Taken, Problem> {
    let args = json!({"org_id": caller.org_id(), "state_hash": state_hash(state),
        "idempotency": idempotency(&caller.cx)?, "request_id": caller.cx.trace.trace_id});
    caller.call("oauth_take_state", &args).await
}

fn refusal(outcome: &str) -> Problem {
    let detail = match outcome {
        "key_reused" => {
            let detail = "this Idempotency-Key was used for a request with other content";
            return Problem::key_reused(detail);
        }
        "used" => "this state has been used; begin again",
        "expired" => "this state is too old; begin again",
        // Whose state it is says nothing to a stranger.
        _ => "this is no state of a flow that this caller began",
    };
    Problem::fields(vec![FieldError::body(
        "/state",
        outcome_code(outcome),
        detail,
    )])
}

fn outcome_code(outcome: &str) -> &'static str {
    match outcome {
        "used" => "used",
        "expired" => "expired",
        _ => "unknown",
    }
}

/// RFC 9207, section 2.4: an answer of another issuer means that codes are being mixed up between providers.
async fn check_issuer(
    caller: &Caller<OauthWrite>,
    provider: &Provider,
    iss: Option<&str>,
) -> Result<(), Problem> {
    let fits = match (&provider.issuer, iss) {
        (Some(issuer), Some(iss)) => issuer == iss,
        (Some(_), None) => !provider.issuer_in_response,
        (None, _) => true,
    };
    if fits {
        return Ok(());
    }
    let details = json!({"iss": iss.map(|text| text.chars().take(500).collect::<String>())});
    let note = Command::named("note", "oauth_provider", &provider.id, json!({}))
        .audit("oauth.issuer_refused", details)
        .beside();
    caller.write(note).await?;
    let detail = "the answer is not from this provider's issuer";
    Err(Problem::fields(vec![FieldError::body(
        "/iss", "issuer", detail,
    )]))
}

fn denied(error: Option<String>, description: Option<String>) -> Problem {
    let said = [error, description].into_iter().flatten();
    let said = said.collect::<Vec<_>>().join(": ");
    Problem::provider_refused(format!("the provider refused: {said}"))
}

async fn exchange(
    caller: &Caller<OauthWrite>,
    state: &State,
    provider: &Provider,
    code: &str,
) -> Result<Granted, Problem> {
    let damaged = || Problem::sealed_value_refused("the state's verifier does not open");
    let sealed = unhex(&state.verifier).ok_or_else(damaged)?;
    let sealed: SealedText = serde_json::from_slice(&sealed).map_err(|_| damaged())?;
    let verifier = vault::open(&caller.cx, place(caller.org_id(), &state.id), &sealed)?;
    let verifier = String::from_utf8(verifier.to_vec()).map_err(|_| damaged())?;
    let vault = Connections {
        cx: caller.cx.clone(),
        session: caller.session.clone(),
        execution_id: None,
        environment: None,
    };
    let secret = vault.client_secret(provider).await?;
    caller.session.release();
    let sent = (code, verifier.as_str(), state.redirect_uri.as_str());
    Ok(provider
        .exchange(&caller.cx, secret.as_deref(), sent)
        .await?)
}

async fn store(
    caller: &Caller<OauthWrite>,
    state: State,
    provider: &Provider,
    granted: Granted,
    account: String,
) -> Result<Created<Connection>, Problem> {
    let id = match state.connection_id {
        Some(id) => id,
        None => known(caller, provider, &account)
            .await?
            .unwrap_or_else(clock::new_id),
    };
    let sealed = granted.tokens.seal(&caller.cx, caller.org_id(), &id)?;
    let scopes = granted.scopes.unwrap_or(state.scopes);
    let args = json!({"id": id, "provider_id": provider.id, "account": account, "name": state.name,
        "scopes": scopes, "sealed": sealed, "token_expires_us": granted.expires_us});
    let location = format!("/api/v1/oauth/connections/{id}");
    let command = Command::named("connection_store", "connection", &id, args)
        .audit("connection.connected", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}

/// The caller's connection to the same account, which is connected anew rather than twice.
async fn known(
    caller: &Caller<OauthWrite>,
    provider: &Provider,
    account: &str,
) -> Result<Option<String>, Problem> {
    let user = caller.session.user_id().to_owned();
    let query = Select::from(connections::TABLE, &[connections::id])
        .filter(Filter::Eq(connections::provider, provider.slug.clone()))
        .filter(Filter::Eq(connections::account, account.to_owned()))
        .filter(Filter::Eq(connections::user_id, user));
    let found: Vec<Value> = caller.select(query).await?;
    Ok(found
        .first()
        .and_then(|row| row["id"].as_str())
        .map(str::to_owned))
}
