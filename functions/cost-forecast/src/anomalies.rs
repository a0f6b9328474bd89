//! `GET /api/v1/cost-forecast/anomalies`

use crate::ForecastsRead;
use crate::spend::{By, Filter, Series, after, bad_parameter, read_all, today};
use chrono::{Days, NaiveDate};
use nodeai_app::{Caller, Query};
use nodeai_forecast::anomaly::{Anomaly, Sign, anomalies, contributions};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Days before the first that say what is normal.
const BEFORE: u64 = 56;
/// Series of a dimension that causes are looked for in.
const KEYS: u32 = 50;
/// Causes of one anomaly that are shown.
const CAUSES: usize = 5;

/// Which days.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnomalyQuery {
    /// First day, `YYYY-MM-DD` (UTC); 28 days ago unless given, at most a year.
    #[schemars(with = "Option<String>")]
    from: Option<NaiveDate>,
    /// The day after the last; today unless given. Today is never one of them, since it is not over.
    #[schemars(with = "Option<String>")]
    to: Option<NaiveDate>,
    /// Where to look for causes: `model` (unless given), `provider`, `workflow`, `node` or `user`.
    by: Option<By>,
    /// How many robust standard deviations are not normal: 2 to 20, 4 unless given.
    threshold: Option<f64>,
}

/// What one value of the dimension added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cause {
    /// Which; null for spend that has none.
    key: Option<String>,
    /// Its spend that day, micro-USD.
    usd_micros: i64,
    /// What it spends on such a day.
    expected_usd_micros: i64,
    /// Its share of the difference. Values that went the other way have negative ones.
    share: f64,
}

/// A day that was not normal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// `YYYY-MM-DD`, UTC.
    #[schemars(with = "String")]
    day: NaiveDate,
    /// What was spent, micro-USD.
    usd_micros: i64,
    /// What is spent on such a day: the median of the 8 weeks before, with what its day of the week adds.
    expected_usd_micros: i64,
    /// Robust standard deviations between them (median and MAD).
    z: f64,
    /// The control chart of exponentially weighted means, in units of its limit of 3 standard deviations.
    ewma: f64,
    /// What found it: `robust_z`, `ewma` (the day on which a shift that stays leaves the limits), or both.
    signs: Vec<&'static str>,
    /// What it came from, largest share first.
    causes: Vec<Cause>,
}

/// Days that were not normal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Anomalies {
    /// Oldest first.
    data: Vec<Found>,
}

/// Looks through the total's days; a dimension's values give the causes.
pub async fn handle(
    caller: Caller<ForecastsRead>,
    Query(query): Query<AnomalyQuery>,
) -> Result<Json<Anomalies>, Problem> {
    let (history, threshold) = checked(&query)?;
    let by = query.by.unwrap_or(By::Model);
    let filter = Filter::default();
    let total = read_all(&caller, history + BEFORE, By::Total, &filter, 1).await?;
    let parts = read_all(&caller, history + BEFORE, by, &filter, KEYS).await?;
    caller.session.release();
    let days = total.series.first().map_or(&[][..], |series| &series.days);
    let first = days
        .len()
        .saturating_sub(usize::try_from(history).unwrap_or(0));
    let before = |found: &Anomaly| query.to.is_none_or(|to| after(total.first, found.day) < to);
    let found = anomalies(days, first, threshold).into_iter().filter(before);
    let data = found.map(|found| shown(total.first, &parts.series, &found));
    Ok(Json::ok(Anomalies {
        data: data.collect(),
    }))
}

/// Days from `from` to today, and the threshold. Errors: 400.
fn checked(query: &AnomalyQuery) -> Result<(u64, f64), Problem> {
    let today = today();
    let usual = today.checked_sub_days(Days::new(28)).unwrap_or(today);
    let history = (today - query.from.unwrap_or(usual)).num_days();
    if !(1..=366).contains(&history) {
        return Err(bad_parameter(
            "from",
            "out_of_range",
            "must be from a year ago to yesterday",
        ));
    }
    if query.to.is_some_and(|to| to <= query.from.unwrap_or(usual)) {
        return Err(bad_parameter("to", "out_of_range", "must be after from"));
    }
    let threshold = query.threshold.unwrap_or(4.0);
    if !(2.0..=20.0).contains(&threshold) {
        return Err(bad_parameter(
            "threshold",
            "out_of_range",
            "must be from 2 to 20",
        ));
    }
    Ok((history.unsigned_abs(), threshold))
}

fn shown(first: NaiveDate, parts: &[Series], found: &Anomaly) -> Found {
    let series: Vec<Vec<f64>> = parts.iter().map(|part| part.days.clone()).collect();
    let causes = contributions(&series, found).into_iter().take(CAUSES);
    let causes = causes.map(|cause| Cause {
        key: parts[cause.key].key.clone(),
        usd_micros: cause.value.round() as i64,
        expected_usd_micros: cause.expected.round() as i64,
        share: cause.share,
    });
    let name = |sign: &Sign| match sign {
        Sign::RobustZ => "robust_z",
        Sign::Ewma => "ewma",
    };
    Found {
        day: after(first, found.day),
        usd_micros: found.value.round() as i64,
        expected_usd_micros: found.expected.round() as i64,
        z: found.z,
        ewma: found.ewma,
        signs: found.signs.iter().map(name).collect(),
        causes: causes.collect(),
    }
}
