//! `/api/v1/webhooks/deliveries`: what was sent, and what will be.

pub mod get;
pub mod list;
pub mod replay;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a delivery is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its time.
    Pending,
    /// Is being sent.
    Delivering,
    /// The receiver has taken it.
    Delivered,
    /// The receiver has not, and is not asked again.
    Failed,
    /// The webhook was turned off while it waited.
    Cancelled,
}

impl Status {
    /// As the store writes it.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A delivery that was queued by hand.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Queued {
    /// The delivery.
    id: String,
    /// Its webhook.
    webhook_id: String,
    /// The event.
    event_type: String,
    /// `pending`.
    status: Status,
    /// When it is sent, RFC 3339.
    next_at: String,
}

/// The id of a delivery's message, the same for every attempt.
pub fn message_id(delivery_id: &str) -> String {
    format!("msg_{delivery_id}")
}
