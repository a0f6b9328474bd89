//! When a rule fires.

use nodeai_app::inputs::is_uuid;
use nodeai_http::Checker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a rule measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Runs of workflows.
    Runs,
    /// Runs that failed.
    RunErrors,
    /// Failed of all runs, 0 to 1.
    RunErrorRate,
    /// Calls of models, tools and nodes.
    Calls,
    /// Calls that failed.
    Errors,
    /// Failed of all calls, 0 to 1.
    ErrorRate,
    /// Micro-USD.
    CostUsdMicros,
    /// 95 of 100 calls take at most so many ms.
    LatencyP95Ms,
}

impl Measured {
    /// Whether days of it add up.
    fn is_a_sum(self) -> bool {
        !matches!(
            self,
            Self::RunErrorRate | Self::ErrorRate | Self::LatencyP95Ms
        )
    }
}

/// What must not be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Runs.
    Runs,
    /// Calls.
    Calls,
}

/// How long what is looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Yesterday, UTC.
    Day,
    /// The last whole hour.
    Hour,
}

/// On which side of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Side {
    /// Above it.
    #[serde(rename = ">")]
    Above,
    /// Below it.
    #[serde(rename = "<")]
    Below,
}

/// When a rule fires. Windows are whole hours, with the one that runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A measure is above or below a value.
    Threshold {
        /// Which.
        measure: Measured,
        /// Above or below.
        op: Side,
        /// The value.
        value: f64,
        /// 1 to 744.
        window_hours: u32,
        /// Fires with so many runs or calls only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_count: Option<u32>,
        /// Only of this workflow (UUID).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow_id: Option<String>,
        /// Only of this model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// Nothing came.
    Absence {
        /// Of what.
        of: Of,
        /// 1 to 744.
        window_hours: u32,
        /// Only of this workflow (UUID).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow_id: Option<String>,
    },
    /// Runs fail so fast that the month's error budget of an objective will not do: 14.4 times as fast as it allows over
    /// 1 h and 5 min, 6 times over 6 h and 30 min, or as fast over 3 d and 6 h (Google, The Site Reliability Workbook,
    /// chapter 5).
    BurnRate {
        /// Share of runs that are to succeed: 0.5 to 0.99999.
        objective: f64,
        /// Only of this workflow (UUID).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow_id: Option<String>,
    },
    /// The last whole day, or hour, was not like those of the eight weeks before it: by a robust z (median and MAD) of what
    /// the day of the week, or the hour of the week, does not explain. It takes two weeks of history.
    Anomaly {
        /// Which; a rate or a latency has no sum of a day.
        measure: Measured,
        /// Robust standard deviations: 2 to 20.
        threshold: f64,
        /// `day` (UTC) unless given, or `hour`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Every>,
        /// Only of this workflow (UUID).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow_id: Option<String>,
    },
}

impl Condition {
    /// Reports what is out of range.
    pub fn check(&self, c: &mut Checker) {
        let workflow = match self {
            Self::Threshold { workflow_id, .. }
            | Self::Absence { workflow_id, .. }
            | Self::BurnRate { workflow_id, .. }
            | Self::Anomaly { workflow_id, .. } => workflow_id,
        };
        let uuid = workflow.as_deref().is_none_or(is_uuid);
        c.require(uuid, "/condition/workflow_id", "format", "must be a UUID");
        match self {
            Self::Threshold { window_hours, .. } | Self::Absence { window_hours, .. } => {
                let holds = (1..=744).contains(window_hours);
                let at = "/condition/window_hours";
                c.require(holds, at, "out_of_range", "must be from 1 to 744");
            }
            Self::BurnRate { objective, .. } => {
                let holds = (0.5..=0.99999).contains(objective);
                let at = "/condition/objective";
                c.require(holds, at, "out_of_range", "must be from 0.5 to 0.99999");
            }
            Self::Anomaly {
                measure, threshold, ..
            } => {
                let at = "/condition/threshold";
                let holds = (2.0..=20.0).contains(threshold);
                c.require(holds, at, "out_of_range", "must be from 2 to 20");
                let detail = "must be a measure whose days add up";
                let sum = measure.is_a_sum();
                c.require(sum, "/condition/measure", "unsupported", detail);
            }
        }
    }
}

/// As the store keeps it: the kind in a column of its own.
pub fn kind_and_rest(condition: &Condition) -> (String, Value) {
    let mut whole = json!(condition);
    let kind = whole.as_object_mut().and_then(|map| map.remove("kind"));
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    (kind.to_owned(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(condition: Value) -> Vec<String> {
        let condition: Condition = serde_json::from_value(condition).unwrap();
        let mut checker = Checker::default();
        condition.check(&mut checker);
        let problem = checker.finish().err();
        let errors = problem.map_or(Vec::new(), |problem| problem.errors);
        errors
            .into_iter()
            .filter_map(|error| error.pointer)
            .collect()
    }

    #[test]
    fn conditions_have_ranges() {
        let threshold = json!({"kind": "threshold", "measure": "error_rate", "op": ">", "value": 0.1, "window_hours": 1});
        assert_eq!(faults(threshold), Vec::<String>::new());
        let absence =
            json!({"kind": "absence", "of": "runs", "window_hours": 0, "workflow_id": "x"});
        assert_eq!(
            faults(absence),
            ["/condition/workflow_id", "/condition/window_hours"]
        );
        assert_eq!(
            faults(json!({"kind": "burn_rate", "objective": 1.0})),
            ["/condition/objective"]
        );
        let anomaly = json!({"kind": "anomaly", "measure": "latency_p95_ms", "threshold": 4.0});
        assert_eq!(faults(anomaly), ["/condition/measure"]);
        let hourly =
            json!({"kind": "anomaly", "measure": "runs", "threshold": 4.0, "every": "hour"});
        assert_eq!(faults(hourly), Vec::<String>::new());
    }

    #[test]
    fn the_kind_is_kept_apart() {
        let condition: Condition =
            serde_json::from_value(json!({"kind": "burn_rate", "objective": 0.99})).unwrap();
        assert_eq!(
            kind_and_rest(&condition),
            ("burn_rate".to_owned(), json!({"objective": 0.99}))
        );
    }
}
