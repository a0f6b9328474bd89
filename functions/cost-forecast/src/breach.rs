//! `GET /api/v1/cost-forecast/budgets/{id}`

use crate::ForecastsRead;
use crate::spend::{By, Filter, HISTORY, Spend, after, read};
use chrono::{DateTime, NaiveDate};
use nodeai_app::{Caller, PathId};
use nodeai_forecast::budget;
use nodeai_forecast::outlook::Outlook;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How far a budget that never resets is looked into.
const FAR: usize = 92;

#[derive(Deserialize)]
struct Budget {
    subject: String,
    subject_id: Option<String>,
    period: String,
    limit_usd_micros: Option<i64>,
    spent_usd_micros: Option<i64>,
    resets_at: Option<String>,
}

/// The chance of having crossed the budget by the end of a day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chance {
    /// `YYYY-MM-DD`, UTC.
    #[schemars(with = "String")]
    day: NaiveDate,
    /// 0 to 1.
    probability: f64,
}

/// What will become of a budget.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breach {
    /// The budget.
    budget_id: String,
    /// Its limit, micro-USD.
    limit_usd_micros: i64,
    /// What of it is spent in the period that runs now, micro-USD.
    spent_usd_micros: i64,
    /// The last day that is looked at: the period's, or 92 days ahead for a budget that never resets.
    #[schemars(with = "String")]
    until: NaiveDate,
    /// The chance of crossing it until then, from the errors of past forecasts over as many days; null with a reason.
    probability: Option<f64>,
    /// The day on which the forecast itself crosses it; null when it does not.
    #[schemars(with = "Option<String>")]
    expected_day: Option<NaiveDate>,
    /// The first day up to which it is crossed in half of the cases; null when there is none.
    #[schemars(with = "Option<String>")]
    median_day: Option<NaiveDate>,
    /// Day by day.
    by_day: Vec<Chance>,
    /// Past forecasts that the chance is made of.
    residuals: usize,
    /// Why there is no probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Forecasts the spend that the budget limits. Budgets in tokens, per run or per key have no forecast: 422.
pub async fn handle(
    caller: Caller<ForecastsRead>,
    PathId(id): PathId,
) -> Result<Json<Breach>, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id, "limit": 1});
    let mut found: Vec<Budget> = caller.call("budgets_list", &args).await?;
    let budget = found.pop();
    let budget = budget.ok_or_else(|| Problem::not_found("there is no such budget"))?;
    let (filter, limit) = limited(&budget)?;
    let spend = read(&caller, HISTORY, By::Total, &filter, 1).await?;
    caller.session.release();
    Ok(Json::ok(breach(id, &budget, limit, &spend)))
}

/// Whose spend it limits, and the limit. Errors: 422.
fn limited(budget: &Budget) -> Result<(Filter, i64), Problem> {
    let limit = budget.limit_usd_micros.ok_or_else(|| {
        Problem::does_not_fit("the budget has no limit in USD, and spend is what is forecast")
    })?;
    if budget.period == "run" {
        let detail = "a budget per run begins with each run: there is nothing to forecast";
        return Err(Problem::does_not_fit(detail));
    }
    let mut filter = Filter::default();
    match budget.subject.as_str() {
        "user" => filter.user_id = budget.subject_id.clone(),
        "workflow" => filter.workflow_id = budget.subject_id.clone(),
        "key" => {
            let detail = "spend is kept by workflow and user, not by API key";
            return Err(Problem::does_not_fit(detail));
        }
        _ => {}
    }
    Ok((filter, limit))
}

fn breach(id: String, budget: &Budget, limit: i64, spend: &Spend) -> Breach {
    let days = budget
        .resets_at
        .as_deref()
        .and_then(days_to(spend.today))
        .unwrap_or(FAR);
    let spent = budget.spent_usd_micros.unwrap_or(0);
    let series = spend.series.first();
    let today = series.map_or(0.0, |series| series.today);
    // The forecast has today as a whole; what of it is spent already stands in `spent`, too.
    let left = (limit - spent) as f64;
    let left = if left > 0.0 { left + today } else { left };
    let outlook = series.and_then(|series| Outlook::of(&series.days, days));
    let found = outlook.map(|outlook| budget::breach(&outlook, left, days));
    let day = |step: Option<usize>| step.map(|step| after(spend.today, step));
    let futures = found.as_ref().map_or(0, |found| found.futures);
    let probability = found.as_ref().and_then(|found| found.probability);
    let chances = found.as_ref().map_or(&[][..], |found| &found.by_day);
    let by_day = chances.iter().enumerate().map(|(step, chance)| Chance {
        day: after(spend.today, step),
        probability: *chance,
    });
    Breach {
        budget_id: id,
        limit_usd_micros: limit,
        spent_usd_micros: spent,
        until: after(spend.today, days - 1),
        probability,
        expected_day: day(found.as_ref().and_then(|found| found.expected_day)),
        median_day: day(found.as_ref().and_then(|found| found.median_day)),
        by_day: by_day.collect(),
        residuals: futures,
        reason: probability.is_none().then(|| {
            format!("the history allows {futures} residuals over {days} days, 4 are needed")
        }),
    }
}

/// Days from `today` to a time, at least one.
fn days_to(today: NaiveDate) -> impl Fn(&str) -> Option<usize> {
    move |text| {
        let end = DateTime::parse_from_rfc3339(text)
            .ok()?
            .to_utc()
            .date_naive();
        usize::try_from((end - today).num_days().max(1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::Series;

    fn spend(today: f64) -> Spend {
        let day = |d: u32| 10.0 + f64::from((d * 29) % 7) - 3.0;
        Spend {
            today: "2026-11-10".parse().unwrap(),
            first: "2026-07-01".parse().unwrap(),
            series: vec![Series {
                key: None,
                days: (0..132).map(day).collect(),
                today,
            }],
        }
    }

    fn month(limit: i64, spent: i64) -> Budget {
        Budget {
            subject: "organization".to_owned(),
            subject_id: None,
            period: "month".to_owned(),
            limit_usd_micros: Some(limit),
            spent_usd_micros: Some(spent),
            resets_at: Some("2026-12-01T00:00:00+00:00".to_owned()),
        }
    }

    #[test]
    fn a_month_is_looked_at_to_its_end() {
        let made = breach("b".to_owned(), &month(150, 94), 150, &spend(4.0));
        assert_eq!(made.until.to_string(), "2026-11-30");
        assert_eq!(made.by_day.len(), 21);
        // 56 are left, and what today has cost already is part of today's forecast.
        let day = made.expected_day.unwrap().to_string();
        assert!(
            ("2026-11-14".to_owned()..="2026-11-17".to_owned()).contains(&day),
            "{day}"
        );
        assert!(made.probability.unwrap() > 0.9);
    }

    #[test]
    fn what_cannot_be_forecast_is_refused() {
        for change in [
            |b: &mut Budget| b.limit_usd_micros = None,
            |b: &mut Budget| b.period = "run".to_owned(),
            |b: &mut Budget| b.subject = "key".to_owned(),
        ] {
            let mut budget = month(1, 0);
            change(&mut budget);
            assert_eq!(limited(&budget).err().map(|p| p.status), Some(422));
        }
    }
}
