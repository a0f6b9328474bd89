//! `GET /api/v1/cost-forecast`

use crate::ForecastsRead;
use crate::model::Forecast;
use crate::spend::{By, Filter, HISTORY, read, within};
use chrono::NaiveDate;
use nodeai_app::{Caller, Query};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to forecast.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastQuery {
    /// Days from today on: 1 to 92, 30 unless given.
    pub horizon: Option<u32>,
    /// Days of history: 31 to 730, 182 unless given. Today is not part of it.
    pub history: Option<u32>,
    /// `total` (unless given), `model`, `provider`, `workflow`, `node` or `user`.
    pub by: Option<By>,
    /// Series, highest spend first: 1 to 10, 5 unless given.
    pub limit: Option<u32>,
    /// Only of this model, as spans name it.
    pub model: Option<String>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only of this workflow (UUID).
    pub workflow_id: Option<String>,
    /// Only of this node.
    pub node_id: Option<String>,
    /// Only of this user (UUID).
    pub user_id: Option<String>,
}

impl ForecastQuery {
    /// Errors: 400.
    pub fn filter(&self) -> Result<Filter, Problem> {
        Filter {
            model: self.model.clone(),
            provider: self.provider.clone(),
            workflow_id: self.workflow_id.clone(),
            node_id: self.node_id.clone(),
            user_id: self.user_id.clone(),
        }
        .of_query()
    }

    /// Days of history. Errors: 400.
    pub fn history(&self) -> Result<u64, Problem> {
        within("history", self.history, HISTORY as u32, (31, 730)).map(u64::from)
    }

    /// Most series. Errors: 400.
    pub fn limit(&self) -> Result<u32, Problem> {
        within("limit", self.limit, 5, (1, 10))
    }
}

/// Forecasts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Forecasts {
    /// Today (UTC), the first day that is forecast.
    #[schemars(with = "String")]
    today: NaiveDate,
    /// One for each series.
    data: Vec<Forecast>,
}

/// The method is chosen for each series by a backtest from every day of its past.
pub async fn handle(
    caller: Caller<ForecastsRead>,
    Query(query): Query<ForecastQuery>,
) -> Result<Json<Forecasts>, Problem> {
    let horizon = within("horizon", query.horizon, 30, (1, 92))? as usize;
    let (by, filter) = (query.by.unwrap_or_default(), query.filter()?);
    let spend = read(&caller, query.history()?, by, &filter, query.limit()?).await?;
    caller.session.release();
    let data = spend
        .series
        .iter()
        .map(|series| Forecast::of(series, spend.today, horizon));
    Ok(Json::ok(Forecasts {
        today: spend.today,
        data: data.collect(),
    }))
}
