//! `webhook`: an event of the workflow's own, sent to one of the organisation's webhooks.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AreaCall, Call, Effect, Finish, Spec, port, segment};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::template::is_template;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "webhook".into(),
        title: "Send a webhook".into(),
        description: "Sends an event to one of the organisation's webhooks, signed as Standard Webhooks have it. The node ends when the event is queued: it is delivered behind it, and tried again for three days.".into(),
        category: "platform".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["webhook", "event_type"],
            "properties": {
                "webhook": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Id of the webhook"},
                "event_type": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Such as order.shipped"},
                "data": {"type": "object", "description": "What the event tells, at most 256 KiB"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The delivery", json!({
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": "Of the delivery; GET /api/v1/webhooks/deliveries/{id} tells how it goes"},
                "status": {"type": "string"},
                "next_at": {"type": "string"},
            },
        }))],
        example: json!({
            "webhook": "{{ vars.partner }}",
            "event_type": "order.shipped",
            "data": {"order": "{{ inputs.order }}"},
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    webhook: String,
    event_type: String,
    #[serde(default)]
    data: Map<String, Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let body = json!({"event_type": config.event_type, "data": config.data});
    let path = format!("/api/v1/webhooks/{}/send", segment(&config.webhook));
    let area = AreaCall::new("webhooks", Method::POST, path, Finish::Whole);
    let mut shown = body.clone();
    shown["webhook"] = config.webhook.into();
    Ok(area.json(&body).shown_as(shown).effect())
}

/// An id that is written out must be one.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let written = data.get("webhook").and_then(Value::as_str);
    if let Some(text) = written.filter(|text| !text.is_empty() && !is_template(text))
        && super::FileRef::read(&text.into(), "").is_err()
    {
        faults.add(
            format!("{at}/webhook"),
            "bad_id",
            "expected the id of a webhook",
        );
    }
}
