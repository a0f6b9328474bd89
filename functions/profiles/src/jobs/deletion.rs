//! `POST /api/v1/profiles/me/deletion`

use super::{Job, go_on};
use crate::Delete;
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest time to think it over, seconds.
const LONGEST_WAIT_S: u32 = 30 * 86_400;

/// That it is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionInput {
    /// One's own e-mail address; the user's id where the profile has none.
    confirm: String,
    /// Seconds until it begins, at most 30 days; it can be cancelled until then. 0 unless given.
    #[serde(default)]
    start_in_s: u32,
}

impl Check for DeletionInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.confirm, 1, 320, "/confirm");
        let holds = self.start_in_s <= LONGEST_WAIT_S;
        c.require(
            holds,
            "/start_in_s",
            "out_of_range",
            "0 to 2,592,000 seconds",
        );
    }
}

/// Starts the deletion of the account with everything in the organisations that nobody else belongs to; memberships in
/// others end. Refused with 409 while the user is the last owner of an organisation with other members.
pub async fn handle(
    caller: Caller<Delete>,
    Valid(input): Valid<DeletionInput>,
) -> Result<Reply<Job, 202>, Problem> {
    confirmed(&caller, &input.confirm).await?;
    // The span of this request would come after the data that it belongs to has gone.
    caller.cx.own_trace.set(true);
    let id = clock::new_id();
    let location = format!("/api/v1/profiles/me/jobs/{id}");
    let args = json!({"id": id, "start_in_s": input.start_in_s});
    let command = Command::named("profile_deletion", "account", &id, args)
        .audit(
            "profile.deletion_requested",
            json!({"start_in_s": input.start_in_s}),
        )
        .answer(202, &[("location", &location)], &json!({}));
    let answer = caller.write(command).await?;
    go_on(caller, id, &answer);
    Ok(Reply::from(answer))
}

async fn confirmed(caller: &Caller<Delete>, confirm: &str) -> Result<(), Problem> {
    let profile: Option<Value> = caller.call("profile_get", &json!({})).await?;
    let email = profile.as_ref().and_then(|p| p["email"].as_str());
    let expected = email.unwrap_or_else(|| caller.session.user_id());
    if confirm.trim().eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = "must be your own e-mail address, or your user id if the profile has none";
    Err(Problem::fields(vec![FieldError::body(
        "/confirm", "mismatch", detail,
    )]))
}
