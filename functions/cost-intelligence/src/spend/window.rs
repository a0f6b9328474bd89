//! Which time, and which calls.

use nodeai_app::clock;
use nodeai_app::inputs::is_uuid;
use nodeai_http::{FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const HOUR_US: i64 = 3_600_000_000;
/// The longest time that is summed, in hours: 400 days.
const MOST_HOURS: i64 = 400 * 24;

/// A time of whole hours, µs since the epoch; the end is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Start.
    pub from_us: i64,
    /// End.
    pub to_us: i64,
}

/// Reads a time: 30 days until now unless given. `names` are the parameters' names or the pointers, for errors.
pub fn window(from: Option<&str>, to: Option<&str>, names: [&str; 2]) -> Result<Window, Problem> {
    let now = clock::now_us();
    let next_hour = now - now.rem_euclid(HOUR_US) + HOUR_US;
    let to_us = hour(to, names[1])?.unwrap_or(next_hour);
    let from_us = hour(from, names[0])?.unwrap_or(to_us - 30 * 24 * HOUR_US);
    if from_us >= to_us || to_us - from_us > MOST_HOURS * HOUR_US {
        let detail = "must be before the end, and at most 400 days";
        return Err(wrong(names[0], "out_of_range", detail));
    }
    Ok(Window { from_us, to_us })
}

fn hour(text: Option<&str>, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let day = nodeai_pricing::day_of_date(text).map(|day| day * nodeai_pricing::MICROS_PER_DAY);
    let us = day.or_else(|| clock::parse_rfc3339(text));
    match us {
        Some(us) if us % HOUR_US == 0 => Ok(Some(us)),
        _ => Err(wrong(
            name,
            "format",
            "must be a date, or a whole hour in RFC 3339",
        )),
    }
}

fn wrong(name: &str, code: &str, detail: &str) -> Problem {
    let error = match name.starts_with('/') {
        true => FieldError::body(name, code, detail),
        false => FieldError::parameter(name, code, detail),
    };
    Problem::fields(vec![error])
}

/// Which calls; all of them where nothing is said.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only this model, as spans name it.
    pub model: Option<String>,
    /// Only this provider, as spans name it.
    pub provider: Option<String>,
    /// Only this workflow (UUID).
    pub workflow_id: Option<String>,
    /// Only this node.
    pub node_id: Option<String>,
    /// Only this user (UUID).
    pub user_id: Option<String>,
}

impl Filter {
    /// As the store takes it. Errors: 400 for an id that is none.
    pub fn checked(&self) -> Result<Value, Problem> {
        for (name, id) in [
            ("workflow_id", &self.workflow_id),
            ("user_id", &self.user_id),
        ] {
            if id.as_deref().is_some_and(|id| !is_uuid(id)) {
                return Err(wrong(name, "format", "must be a UUID"));
            }
        }
        Ok(json!(self))
    }
}

/// Declares a query with a time, filters and more fields.
macro_rules! timed_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// From this date or whole hour on (RFC 3339); 30 days before `to` unless given.
            from: Option<String>,
            /// Before this date or whole hour; the end of this hour unless given.
            to: Option<String>,
            /// Only this model, as spans name it.
            model: Option<String>,
            /// Only this provider, as spans name it.
            provider: Option<String>,
            /// Only this workflow (UUID).
            workflow_id: Option<String>,
            /// Only this node.
            node_id: Option<String>,
            /// Only this user (UUID).
            user_id: Option<String>,
            $($(#[$field_doc])* $field: $ty,)*
        }

        impl $name {
            fn window(&self) -> Result<$crate::spend::window::Window, nodeai_http::Problem> {
                $crate::spend::window::window(self.from.as_deref(), self.to.as_deref(), ["from", "to"])
            }

            fn filter(&self) -> Result<serde_json::Value, nodeai_http::Problem> {
                let filter = $crate::spend::window::Filter {
                    model: self.model.clone(),
                    provider: self.provider.clone(),
                    workflow_id: self.workflow_id.clone(),
                    node_id: self.node_id.clone(),
                    user_id: self.user_id.clone(),
                };
                filter.checked()
            }
        }
    };
}
pub(crate) use timed_query;
