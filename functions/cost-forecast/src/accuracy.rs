//! `GET /api/v1/cost-forecast/accuracy`

use crate::ForecastsRead;
use crate::forecast::ForecastQuery;
use crate::model::MethodScore;
use crate::spend::{Series, read, within};
use nodeai_app::{Caller, Query};
use nodeai_forecast::outlook::Outlook;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;

/// How often intervals held.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Held {
    /// Share of intervals one day ahead that held at 80 %; null where there are none.
    p80: Option<f64>,
    /// Share at 95 %; null where there are none.
    p95: Option<f64>,
    /// Days that were tried, each with the residuals before it alone.
    days: usize,
}

/// How good forecasts of a series were.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accuracy {
    /// Which model, provider, workflow, node or user; null for the total.
    key: Option<String>,
    /// The method that is used now.
    method: Option<&'static str>,
    /// Days of history.
    history_days: usize,
    /// The methods, best first; empty with less than four weeks and a day of history.
    backtest: Vec<MethodScore>,
    /// How often the method's intervals held.
    coverage: Option<Held>,
}

/// All series.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accuracies {
    /// One for each series.
    data: Vec<Accuracy>,
}

/// Forecasts the past from each of its days, and compares with what came.
pub async fn handle(
    caller: Caller<ForecastsRead>,
    Query(query): Query<ForecastQuery>,
) -> Result<Json<Accuracies>, Problem> {
    let horizon = within("horizon", query.horizon, 7, (1, 92))? as usize;
    let (by, filter) = (query.by.unwrap_or_default(), query.filter()?);
    let spend = read(&caller, query.history()?, by, &filter, query.limit()?).await?;
    caller.session.release();
    let data = spend.series.iter().map(|series| accuracy(series, horizon));
    Ok(Json::ok(Accuracies {
        data: data.collect(),
    }))
}

fn accuracy(series: &Series, horizon: usize) -> Accuracy {
    let outlook = Outlook::of(&series.days, horizon);
    let outlook = outlook.as_ref();
    Accuracy {
        key: series.key.clone(),
        method: outlook.map(|o| o.method.as_str()),
        history_days: outlook.map_or(0, Outlook::history_days),
        backtest: outlook.map_or(Vec::new(), |o| {
            o.scores.iter().map(MethodScore::from).collect()
        }),
        coverage: outlook.map(Outlook::coverage).map(|held| Held {
            p80: held.p80,
            p95: held.p95,
            days: held.tried,
        }),
    }
}
