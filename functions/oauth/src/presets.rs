//! `GET /api/v1/oauth/presets`

use crate::OauthRead;
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use nodeai_oauth::presets::{PRESETS, Preset};
use schemars::JsonSchema;
use serde::Serialize;

/// The presets.
#[derive(Serialize, JsonSchema)]
pub struct Presets {
    /// All of them.
    data: Vec<Preset>,
}

/// What `preset` of a new provider may name.
pub async fn handle(_: Caller<OauthRead>) -> Result<Json<Presets>, Problem> {
    Ok(Json::ok(Presets {
        data: PRESETS.to_vec(),
    }))
}
