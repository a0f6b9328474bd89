//! The id of a delivery: the same for each time that it is sent.

use super::{Request, Scheme};
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Longest id that is kept as it is, bytes.
const LONGEST: usize = 255;

/// Where a delivery's id is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeliveryIdFrom")]
pub enum IdFrom {
    /// A header field.
    Header(String),
    /// A place in the JSON body (RFC 6901), such as `/id`.
    Pointer(String),
}

impl IdFrom {
    /// Where a scheme has it; none where a scheme has no such thing.
    pub fn of(scheme: &Scheme) -> Option<Self> {
        match scheme {
            Scheme::StandardWebhooks { .. } => Some(Self::Header(crate::ID.to_owned())),
            Scheme::Github {} => Some(Self::Header("x-github-delivery".to_owned())),
            Scheme::Stripe { .. } => Some(Self::Pointer("/id".to_owned())),
            Scheme::Slack { .. } => Some(Self::Pointer("/event_id".to_owned())),
            _ => None,
        }
    }

    /// Whether it names a place.
    pub fn holds(&self) -> bool {
        match self {
            Self::Header(name) => name.len() <= 100 && HeaderName::try_from(name).is_ok(),
            Self::Pointer(at) => at.len() <= 200 && at.starts_with('/'),
        }
    }

    /// The id in a request, whose body is `body` when that is JSON. A long one is replaced by its hash.
    pub fn find(&self, request: &Request<'_>, body: &Value) -> Option<String> {
        let found = match self {
            Self::Header(name) => request.header(name)?.to_owned(),
            Self::Pointer(at) => match body.pointer(at)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            },
        };
        match found.len() {
            0 => None,
            ..=LONGEST => Some(found),
            _ => {
                let hash = Sha256::digest(&found);
                Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())
            }
        }
    }
}
