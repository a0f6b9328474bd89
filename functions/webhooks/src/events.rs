//! `GET /api/v1/webhooks/events`

use crate::WebhooksRead;
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use nodeai_webhook::events::CATALOGUE;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A type of event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// What webhooks subscribe to.
    r#type: &'static str,
    /// When it is sent.
    description: &'static str,
    /// A body as it is sent.
    example: Value,
}

/// The catalogue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Events {
    /// All types of events, by name.
    data: Vec<Event>,
}

/// The events that there are, each with an example.
pub async fn handle(_caller: Caller<WebhooksRead>) -> Result<Json<Events>, Problem> {
    let data = CATALOGUE.iter().map(|event| Event {
        r#type: event.name,
        description: event.description,
        example: event.example(),
    });
    Ok(Json::ok(Events {
        data: data.collect(),
    }))
}
