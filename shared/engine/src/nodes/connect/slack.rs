//! `slack`: messages and channels (Slack Web API, <https://docs.slack.dev/apis/web-api/>).

use serde_json::{Value, json};

use super::{Call, Effect, Faults, Fields, NodeError, Operation, Read, Request, Service, some};

pub(super) const SERVICE: Service = Service {
    kind: "slack",
    title: "Slack",
    description: "Sends and reads messages of a Slack workspace.",
    base: "https://slack.com/api",
    headers: &[],
    read: Read::SaysOk,
    operations: &[
        Operation {
            name: "send_message",
            required: &["channel", "text"],
            optional: &["blocks", "thread_ts"],
            request: |f| {
                post(
                    "chat.postMessage",
                    f,
                    &["channel", "text", "blocks", "thread_ts"],
                )
            },
        },
        Operation {
            name: "update_message",
            required: &["channel", "ts", "text"],
            optional: &["blocks"],
            request: |f| post("chat.update", f, &["channel", "ts", "text", "blocks"]),
        },
        Operation {
            name: "add_reaction",
            required: &["channel", "ts", "name"],
            optional: &[],
            request: |f| {
                let mut body = some(f, &["channel", "name"]);
                body.insert("timestamp".to_owned(), f["ts"].clone());
                Request::send("POST", "/reactions.add", body)
            },
        },
        Operation {
            name: "read_messages",
            required: &["channel"],
            optional: &["limit", "cursor", "oldest", "latest"],
            request: |f| {
                let names = ["channel", "limit", "cursor", "oldest", "latest"];
                Request::get("/conversations.history", some(f, &names))
            },
        },
        Operation {
            name: "list_channels",
            required: &[],
            optional: &["limit", "cursor"],
            request: |f| Request::get("/conversations.list", some(f, &["limit", "cursor"])),
        },
    ],
    fields: || {
        json!({
            "channel": {"type": "string", "description": "Id or #name"},
            "text": {"type": "string"},
            "blocks": {"description": "Block Kit blocks"},
            "thread_ts": {"type": "string", "description": "Answers in this message's thread"},
            "ts": {"type": "string", "description": "The message"},
            "name": {"type": "string", "description": "An emoji's name without colons"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
            "cursor": {"type": "string"},
            "oldest": {"type": "string"},
            "latest": {"type": "string"},
        })
    },
    example: || {
        json!({"operation": "send_message", "connection": "slack", "channel": "#support",
            "text": "{{ nodes.triage.output.text }}"})
    },
};

fn post(method: &str, fields: &Fields, names: &[&str]) -> Request {
    Request::send("POST", format!("/{method}"), some(fields, names))
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    SERVICE.decide(call)
}

pub(super) fn check(data: &serde_json::Map<String, Value>, at: &str, faults: &mut Faults) {
    SERVICE.check(data, at, faults);
}
