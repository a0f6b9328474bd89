//! `wait`: holds the run until a time, a person's answer, or a request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Call, Effect, Spec, port};
use crate::fault::Faults;
use crate::log::{NodeError, WaitKind};
use crate::template::is_template;

/// The methods by which the address of a wait is answered.
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
/// Longest wait: a year.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "wait".into(),
        title: "Wait".into(),
        description: "Holds the run: for a duration, until a time, until somebody approves, or until a request brings data. Answers go to POST /api/v1/workflows/execute/{id}/resume; a request may also go to the wait's own address, which templates of other nodes see as waits.<id>.url.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "oneOf": [{"required": ["duration_ms"]}, {"required": ["until"]}, {"required": ["approval"]}, {"required": ["webhook"]}],
            "properties": {
                "duration_ms": {"type": "integer", "minimum": 0, "maximum": LONGEST_MS},
                "until": {"description": "RFC 3339, such as 2027-01-31T09:00:00+01:00, or seconds since 1970; what is past ends at once", "type": ["string", "number"]},
                "approval": {
                    "type": "object", "additionalProperties": false, "required": ["title"],
                    "description": "Somebody approves or rejects; the handles are approved and rejected",
                    "properties": {
                        "title": {"type": "string", "minLength": 1, "maxLength": 500},
                        "description": {"type": "string", "maxLength": 20_000},
                        "form": {"type": "object", "x-nodeai": "literal", "description": "JSON Schema of the data that goes with the answer"},
                    },
                },
                "webhook": {
                    "type": "object", "additionalProperties": false,
                    "description": "A request to the wait's own address, or to the run's resume address; its data is in the output",
                    "properties": {
                        "schema": {"type": "object", "x-nodeai": "literal", "description": "JSON Schema of the data"},
                        "methods": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "enum": METHODS},
                            "description": "The methods that the wait's own address takes: all of them unless given"},
                        "respond": {"type": "object", "additionalProperties": false,
                            "description": "What the wait's own address answers to whoever ends it",
                            "properties": {
                                "status": {"type": "integer", "minimum": 200, "maximum": 299, "default": 200},
                                "body": {"description": "Text is sent as text, anything else as JSON"},
                            }},
                    },
                },
                "expires_ms": {"type": "integer", "minimum": 1, "maximum": LONGEST_MS,
                    "description": "How long an answer is waited for; then the handle timeout is taken"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![
            port("output", "Taken after a time or a request", json!({"type": "object"})),
            port("approved", "Taken when somebody approved", answer()),
            port("rejected", "Taken when somebody rejected", answer()),
            port("timeout", "Taken when nobody answered within expires_ms", json!({"type": "object"})),
        ],
        example: json!({
            "approval": {
                "title": "Refund {{ inputs.amount }}?",
                "form": {"type": "object", "properties": {"note": {"type": "string"}}},
            },
            "expires_ms": 86_400_000,
        }),
    }
}

fn answer() -> Value {
    json!({"type": "object", "properties": {
        "decision": {"type": "string", "enum": ["approved", "rejected"]}, "data": {}, "by": {"type": "string"},
    }})
}

/// A wait as the node wants it; the driver adds the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitCall {
    /// Who ends it.
    pub kind: WaitKind,
    /// How long at most, in ms.
    pub after_ms: Option<u64>,
    /// Until when at most, µs since the Unix epoch.
    pub until_us: Option<i64>,
    /// What is asked, for people.
    pub title: Option<String>,
    /// More about it, for people.
    pub description: Option<String>,
    /// JSON Schema of the answer.
    pub form: Option<Value>,
    /// The methods by which its address is answered; all of them without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What its address answers.
    pub respond: Option<Value>,
}

impl WaitCall {
    /// What is known of it before it begins.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = json!(self);
        if let Some(fields) = shown.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        shown
    }

    /// As the log has it, by the time at which it begins.
    pub fn begin(self, now_us: i64) -> crate::log::Wait {
        let after = |ms: u64| now_us.saturating_add_unsigned(ms.saturating_mul(1_000));
        crate::log::Wait {
            kind: self.kind,
            until_us: self.until_us.or(self.after_ms.map(after)),
            title: self.title,
            description: self.description,
            form: self.form,
            methods: self.methods,
            respond: self.respond,
        }
    }
}

#[derive(Deserialize)]
struct Config {
    duration_ms: Option<u64>,
    until: Option<Value>,
    approval: Option<Approval>,
    webhook: Option<Webhook>,
    expires_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Approval {
    title: String,
    description: Option<String>,
    form: Option<Value>,
}

#[derive(Deserialize)]
struct Webhook {
    schema: Option<Value>,
    #[serde(default)]
    methods: Vec<String>,
    respond: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut wait = WaitCall {
        kind: WaitKind::Timer,
        after_ms: config.duration_ms,
        until_us: None,
        title: None,
        description: None,
        form: None,
        methods: Vec::new(),
        respond: None,
    };
    if let Some(until) = &config.until {
        wait.until_us = Some(time(until).map_err(NodeError::config)?);
    }
    if let Some(approval) = config.approval {
        wait.kind = WaitKind::Approval;
        wait.after_ms = config.expires_ms;
        wait.title = Some(approval.title);
        wait.description = approval.description;
        wait.form = approval.form;
    }
    if let Some(webhook) = config.webhook {
        wait.kind = WaitKind::Webhook;
        wait.after_ms = config.expires_ms;
        wait.form = webhook.schema;
        wait.methods = webhook.methods;
        wait.respond = webhook.respond;
    }
    Ok(Effect::Wait(Box::new(wait)))
}

/// A time in µs since the Unix epoch.
fn time(value: &Value) -> Result<i64, String> {
    let bad = || "/until: is neither RFC 3339 nor seconds since 1970".to_owned();
    match value {
        Value::String(text) => {
            let time: jiff::Timestamp = text.trim().parse().map_err(|_| bad())?;
            Ok(time.as_microsecond())
        }
        number => {
            let seconds = number.as_f64().ok_or_else(bad)?;
            Ok((seconds * 1e6) as i64)
        }
    }
}

pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let until = data.get("until").filter(|until| {
        let written = until.as_str().is_some_and(|text| !is_template(text));
        written || until.is_number()
    });
    if let Some(Err(message)) = until.map(time) {
        let words = message.trim_start_matches("/until: ");
        faults.add(format!("{at}/until"), "bad_time", words);
    }
    if data.contains_key("expires_ms")
        && !data.contains_key("approval")
        && !data.contains_key("webhook")
    {
        let message = "goes with approval or webhook";
        faults.add(format!("{at}/expires_ms"), "not_allowed", message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        assert_eq!(time(&json!("1970-01-01T01:00:01+01:00")), Ok(1_000_000));
        assert_eq!(
            time(&json!("2000-02-29T00:00:00Z")),
            Ok(951_782_400_000_000)
        );
        assert_eq!(time(&json!(1.5)), Ok(1_500_000));
        assert!(time(&json!("tomorrow")).is_err() && time(&json!("2027-01-31")).is_err());
    }

    #[test]
    fn a_duration_counts_from_its_beginning() {
        let wait = WaitCall {
            kind: WaitKind::Timer,
            after_ms: Some(5),
            until_us: None,
            title: None,
            description: None,
            form: None,
            methods: Vec::new(),
            respond: None,
        };
        assert_eq!(wait.begin(1_000).until_us, Some(6_000));
    }
}
