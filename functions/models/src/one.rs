//! `GET /api/v1/models/{provider}/{model}`

use crate::ModelsRead;
use crate::context::Context;
use crate::model::ModelShown;
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use percent_encoding::percent_decode_str;

/// One model; slashes in its name are written `%2F`. A dated name is found by the name without the date.
pub async fn handle(caller: Caller<ModelsRead>) -> Result<Json<ModelShown>, Problem> {
    let part = |name: &str| {
        let written = caller.cx.parameter(name).unwrap_or_default();
        percent_decode_str(written).decode_utf8_lossy().into_owned()
    };
    let reference = format!("{}/{}", part("provider"), part("model"));
    let context = Context::of(&caller).await?;
    let found = context.find(&reference);
    let found = found.ok_or_else(|| {
        Problem::not_found(
            "there is no such model in the catalogue; POST /api/v1/models/own enters one",
        )
    })?;
    Ok(Json::ok(ModelShown::of(found, &context)))
}
