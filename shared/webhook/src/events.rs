//! The events that can be subscribed to, each with an example of its payload.

use serde_json::{Value, json};

/// A type of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// Its name: what it is about, and what happened.
    pub name: &'static str,
    /// When it is sent.
    pub description: &'static str,
}

/// All of them, by name.
pub const CATALOGUE: [EventType; 10] = [
    EventType {
        name: "alert.opened",
        description: "An alert rule began to fire",
    },
    EventType {
        name: "alert.resolved",
        description: "An alert rule fires no more, or somebody resolved its alert",
    },
    EventType {
        name: "budget.threshold",
        description: "A budget has spent as much of its limit as one of its thresholds says; once for each window",
    },
    EventType {
        name: "deployment.changed",
        description: "A deployment was created, published, promoted, rolled back, paused, resumed or configured, or its canary changed",
    },
    EventType {
        name: "evaluation.finished",
        description: "An evaluation ended: it succeeded, failed, or somebody cancelled it",
    },
    EventType {
        name: "run.cancelled",
        description: "A run was cancelled",
    },
    EventType {
        name: "run.completed",
        description: "A run ended well; outputs of more than 16 KiB are left out",
    },
    EventType {
        name: "run.failed",
        description: "A run ended with an error",
    },
    EventType {
        name: "test",
        description: "Somebody tests a webhook; goes to that one alone, whatever it subscribes to",
    },
    EventType {
        name: "webhook.disabled",
        description: "Another webhook was turned off, since its receiver is gone or has not answered for days",
    },
];

/// Whether it is an event that a webhook can subscribe to; `*` is all of them.
pub fn can_be_subscribed(name: &str) -> bool {
    name == "*" || name != "test" && CATALOGUE.iter().any(|event| event.name == name)
}

/// Whether somebody may send events of this type: one of their own, written as Standard Webhooks write types.
pub fn is_own(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.len() <= 128
        && name.split('.').all(word)
        && !CATALOGUE.iter().any(|event| event.name == name)
}

impl EventType {
    /// A payload as it is sent.
    pub fn example(&self) -> Value {
        json!({"type": self.name, "timestamp": "2026-11-26T12:00:00.000000Z", "data": self.data()})
    }

    fn data(&self) -> Value {
        match self.name {
            "alert.opened" => alert(Value::Null),
            "alert.resolved" => alert(json!("2026-11-26T12:00:00.000000Z")),
            "budget.threshold" => {
                json!({"threshold_percent": 80, "used_percent": 81.25, "budget": {
                "id": "0195e5a0-0000-7000-8000-00000000000b", "name": "Monthly", "subject": "organization",
                "period": "month", "limit_usd_micros": 100_000_000, "spent_usd_micros": 81_250_000}})
            }
            "deployment.changed" => json!({
                "deployment_id": "0195e5a0-0000-7000-8000-00000000000d", "slug": "support", "environment": "prod",
                "workflow_id": "0195e5a0-0000-7000-8000-0000000000f1", "status": "active", "action": "publish",
                "number": 4, "from_version": 7, "to_version": 8, "details": {}}),
            "evaluation.finished" => {
                json!({"evaluation_id": "0195e5a0-0000-7000-8000-0000000000c1", "name": "Nightly",
                "dataset_id": "0195e5a0-0000-7000-8000-0000000000c2", "dataset_version": 3, "status": "succeeded", "items": 40,
                "summary": [{"metric": "faithfulness", "mean": 0.91, "n": 40, "interval": [0.86, 0.95], "failed": 0,
                    "lower_is_better": false}],
                "error": null, "cost_usd_micros": 12_500, "created_at": "2026-11-26T11:58:00.000000Z",
                "finished_at": "2026-11-26T12:00:00.000000Z"})
            }
            "run.cancelled" => run(
                "cancelled",
                json!({"kind": "cancelled", "message": "the run was cancelled"}),
            ),
            "run.completed" => run("succeeded", Value::Null),
            "run.failed" => run(
                "failed",
                json!({"kind": "http", "node_id": "fetch", "message": "status 500"}),
            ),
            "webhook.disabled" => {
                json!({"webhook_id": "0195e5a0-0000-7000-8000-0000000000a0", "name": "CRM",
                "url": "https://example.com/hooks", "reason": "the receiver answered 410 Gone",
                "disabled_at": "2026-11-26T12:00:00.000000Z"})
            }
            _ => {
                json!({"webhook_id": "0195e5a0-0000-7000-8000-0000000000a0", "message": "A test of this webhook."})
            }
        }
    }
}

fn run(status: &str, error: Value) -> Value {
    let outputs = match error {
        Value::Null => json!({"out": "Hello, Ada!"}),
        _ => Value::Null,
    };
    json!({"execution_id": "0195e5a0-0000-7000-8000-0000000000e1",
        "workflow_id": "0195e5a0-0000-7000-8000-0000000000f1", "workflow_version": 8, "deployment_id": null,
        "environment": null, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "mode": "sync", "status": status,
        "error": error, "outputs": outputs, "outputs_omitted": false,
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "cost_usd_micros": 0},
        "created_at": "2026-11-26T11:59:59.000000Z", "started_at": "2026-11-26T11:59:59.000000Z",
        "finished_at": "2026-11-26T12:00:00.000000Z"})
}

fn alert(resolved_at: Value) -> Value {
    json!({"alert_id": "0195e5a0-0000-7000-8000-0000000000a1", "rule_id": "0195e5a0-0000-7000-8000-0000000000a2",
        "rule_name": "Too many failures", "kind": "threshold",
        "condition": {"measure": "run_error_rate", "op": ">", "value": 0.1, "window_hours": 1},
        "details": {"firing": true, "value": 0.25, "count": 40},
        "opened_at": "2026-11-26T11:00:00.000000Z", "resolved_at": resolved_at})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_events_are_words_and_none_of_ours() {
        for fine in ["order.shipped", "a", "Order_2.x.y"] {
            assert!(is_own(fine), "{fine}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "run.completed",
            "test",
            "a/b",
            &"x".repeat(129),
        ] {
            assert!(!is_own(bad), "{bad}");
        }
    }

    #[test]
    fn every_event_has_an_example_and_its_own_place() {
        let names: Vec<&str> = CATALOGUE.iter().map(|event| event.name).collect();
        assert!(names.is_sorted());
        for event in CATALOGUE {
            let example = event.example();
            assert_eq!(example["type"], event.name);
            assert!(example["data"].is_object());
        }
    }

    #[test]
    fn tests_are_sent_but_not_subscribed_to() {
        assert!(can_be_subscribed("run.failed") && can_be_subscribed("*"));
        assert!(!can_be_subscribed("test") && !can_be_subscribed("run.*"));
    }
}
