//! `POST /api/v1/profiles/me/export`

use super::{Job, go_on};
use crate::Export;
use nodeai_app::{Caller, Command, Reply, clock};
use nodeai_http::Problem;
use serde_json::json;

/// Starts an export: profile, settings, organisations, and all rows that are the user's own. The archive of an earlier
/// export makes way.
pub async fn handle(caller: Caller<Export>) -> Result<Reply<Job, 202>, Problem> {
    let id = clock::new_id();
    let location = format!("/api/v1/profiles/me/jobs/{id}");
    let command = Command::named("profile_export", "account", &id, json!({"id": id}))
        .audit("profile.export_requested", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    let answer = caller.write(command).await?;
    go_on(caller, id, &answer);
    Ok(Reply::from(answer))
}
