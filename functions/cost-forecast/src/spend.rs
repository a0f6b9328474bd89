//! Daily spend as the store gives it. Today is kept apart: it is not over.

use crate::ForecastsRead;
use chrono::{DateTime, Days, NaiveDate};
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, clock};
use nodeai_http::{FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Days of history that a forecast rests on, unless asked for otherwise.
pub const HISTORY: u64 = 182;
/// Pico-USD in a micro-USD: forecasts are made in micro-USD.
const PICO_PER_MICRO: f64 = 1e6;

/// What spend is told apart by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Not at all.
    #[default]
    Total,
    /// The model.
    Model,
    /// Its provider.
    Provider,
    /// The workflow.
    Workflow,
    /// The node of a workflow.
    Node,
    /// Who ran it.
    User,
}

/// Whose spend.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only of this model, as spans name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only of this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only of this workflow (UUID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Only of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Only of this user (UUID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Filter {
    /// The first id that is none, by name.
    pub fn wrong(&self) -> Option<&'static str> {
        let ids = [
            ("workflow_id", &self.workflow_id),
            ("user_id", &self.user_id),
        ];
        let wrong = ids
            .into_iter()
            .find(|(_, id)| id.as_deref().is_some_and(|id| !is_uuid(id)));
        wrong.map(|(name, _)| name)
    }

    /// Errors: 400 for an id in a query that is none.
    pub fn of_query(self) -> Result<Self, Problem> {
        match self.wrong() {
            Some(name) => Err(bad_parameter(name, "format", "must be a UUID")),
            None => Ok(self),
        }
    }
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it is of; `None` for all, or for what has no such thing.
    pub key: Option<String>,
    /// Micro-USD a day, up to yesterday.
    pub days: Vec<f64>,
    /// Micro-USD of today so far.
    pub today: f64,
}

/// Daily spend.
pub struct Spend {
    /// Today (UTC), the first day that is forecast.
    pub today: NaiveDate,
    /// The day of the first value.
    pub first: NaiveDate,
    /// Highest spend first.
    pub series: Vec<Series>,
}

#[derive(Deserialize)]
struct Stored {
    series: Vec<StoredSeries>,
}

#[derive(Deserialize)]
struct StoredSeries {
    key: Option<String>,
    pusd: Vec<String>,
}

/// Today in UTC.
pub fn today() -> NaiveDate {
    DateTime::from_timestamp_micros(clock::now_us())
        .unwrap_or_default()
        .date_naive()
}

/// `date` and `days` more.
pub fn after(date: NaiveDate, days: usize) -> NaiveDate {
    date.checked_add_days(Days::new(days as u64))
        .unwrap_or(date)
}

/// Reads up to `history` days before today, from the first on which anything was spent, and today. Errors: 503.
pub async fn read(
    caller: &Caller<ForecastsRead>,
    history: u64,
    by: By,
    filter: &Filter,
    limit: u32,
) -> Result<Spend, Problem> {
    let whole = read_all(caller, history, by, filter, limit).await?;
    Ok(whole.since_the_first())
}

/// Reads `history` days before today, and today: several answers with the same days. Errors: 503.
pub async fn read_all(
    caller: &Caller<ForecastsRead>,
    history: u64,
    by: By,
    filter: &Filter,
    limit: u32,
) -> Result<Spend, Problem> {
    let today = today();
    let first = today.checked_sub_days(Days::new(history)).unwrap_or(today);
    let args = json!({"org_id": caller.org_id(), "from": first, "to": after(today, 1), "by": by,
        "filter": filter, "limit": limit});
    let stored: Stored = caller.call("spend_daily", &args).await?;
    let series = stored.series.into_iter().map(|series| {
        let pico = series
            .pusd
            .iter()
            .map(|text| text.parse::<f64>().unwrap_or(0.0));
        let mut days: Vec<f64> = pico.map(|pico| pico / PICO_PER_MICRO).collect();
        let today = days.pop().unwrap_or(0.0);
        Series {
            key: series.key,
            days,
            today,
        }
    });
    Ok(Spend {
        today,
        first,
        series: series.collect(),
    })
}

impl Spend {
    /// Without the days before anything was spent: that nobody was there yet says nothing about what will be.
    fn since_the_first(mut self) -> Self {
        let began = |series: &Series| series.days.iter().position(|day| *day > 0.0);
        let most = self.series.iter().map(|series| series.days.len()).max();
        let before = self.series.iter().filter_map(began).min();
        let before = before.or(most).unwrap_or(0);
        for series in &mut self.series {
            series.days.drain(..before.min(series.days.len()));
        }
        self.first = after(self.first, before);
        self
    }
}

/// A number of a query within its range. Errors: 400.
pub fn within(
    name: &str,
    value: Option<u32>,
    unless: u32,
    range: (u32, u32),
) -> Result<u32, Problem> {
    let value = value.unwrap_or(unless);
    match (range.0..=range.1).contains(&value) {
        true => Ok(value),
        false => {
            let detail = format!("must be from {} to {}", range.0, range.1);
            Err(bad_parameter(name, "out_of_range", &detail))
        }
    }
}

/// 400 for a parameter of the query.
pub fn bad_parameter(name: &str, code: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldError::parameter(name, code, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(series: &[&[f64]]) -> Spend {
        let series = series.iter().map(|days| Series {
            key: None,
            days: days.to_vec(),
            today: 0.0,
        });
        Spend {
            today: NaiveDate::default(),
            first: NaiveDate::default(),
            series: series.collect(),
        }
    }

    #[test]
    fn history_begins_where_something_was_spent() {
        let all = spend(&[&[0.0, 0.0, 1.0, 0.0], &[0.0, 3.0, 0.0, 0.0]]).since_the_first();
        assert_eq!(all.first, after(NaiveDate::default(), 1));
        assert_eq!(all.series[0].days, [0.0, 1.0, 0.0]);
        assert_eq!(all.series[1].days, [3.0, 0.0, 0.0]);
        let none = spend(&[&[0.0, 0.0]]).since_the_first();
        assert!(none.series[0].days.is_empty());
        assert_eq!(none.first, after(NaiveDate::default(), 2));
        assert!(spend(&[]).since_the_first().series.is_empty());
    }
}
