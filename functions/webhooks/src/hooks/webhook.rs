//! The webhook behind a path, as far as a request needs it.

use crate::incoming::model::AnswerMode;
use http::{Method, header};
use nodeai_http::Problem;
use nodeai_webhook::inbound::Scheme;
use nodeai_webhook::inbound::delivery::IdFrom;
use nodeai_webhook::inbound::pattern::Pattern;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A webhook that takes requests.
#[derive(Debug, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Its organisation.
    pub org_id: String,
    /// How senders are verified.
    pub verification: Scheme,
    /// How a request is answered.
    pub answer_mode: AnswerMode,
    /// Whether requests start nothing.
    pub listen: bool,
    pattern: String,
    methods: Vec<String>,
    delivery_id_from: Option<IdFrom>,
}

impl Webhook {
    /// The values of the path's names; none when it is another path.
    pub fn params(&self, below: &str) -> Option<Map<String, Value>> {
        Pattern::parse(&self.pattern).ok()?.find(below)
    }

    /// Errors: 405 for a method that it does not take.
    pub fn takes(&self, method: &Method) -> Result<(), Problem> {
        if self.methods.iter().any(|taken| taken == method.as_str()) {
            return Ok(());
        }
        let allow = self.methods.join(", ");
        let problem = Problem::method_not_allowed(format!("this webhook takes {allow}"));
        Err(problem.with_header(header::ALLOW, allow))
    }

    /// Where a delivery's id is.
    pub fn delivery_id_from(&self) -> Option<IdFrom> {
        let own = self.delivery_id_from.clone();
        own.or_else(|| IdFrom::of(&self.verification))
    }
}
