//! Fills a database with spans, set by set, so that its tables are as the ingest would leave them.

use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate, Utc};
use nodeai_telemetry::terms::term;
use tokio_postgres::Client;

/// Spans of one trace.
const SPANS: u64 = 20;
const DAY: &str = include_str!("day.sql");
const LONG: &str = include_str!("long_trace.sql");
/// The trace of 10,000 spans: `md5('the long one')`.
pub const LONG_TRACE: &str = "eeaa1441eae993768371d540ba7b74c3";

/// A UTC day so many days ago.
pub fn day(ago: i64) -> NaiveDate {
    let today = Utc::now().date_naive();
    today - Days::new(u64::try_from(ago).unwrap_or(0))
}

/// About `spans` spans on each of the `days` days before today, and the long trace yesterday; answers how many it made.
/// Checks that the sums equal a recount.
pub async fn fill(client: &Client, spans: u64, days: u32) -> Result<u64> {
    let org: String = client
        .query_one("SELECT org_id::text FROM public.api_keys LIMIT 1", &[])
        .await?
        .get(0);
    let traces = (spans / u64::from(days) / SPANS).max(1);
    // The host keeps house meanwhile: it must not remove what is being filled.
    client
        .batch_execute("UPDATE public.organizations SET retention_days = 3650")
        .await?;
    client
        .batch_execute("SET synchronous_commit = off; SET work_mem = '256MB'")
        .await?;
    let (same, customers) = terms();
    for ago in (1..=i64::from(days)).rev() {
        let day = day(ago).to_string();
        // Few at a time: each partition takes locks of its own.
        client
            .execute(
                "SELECT nodeai.add_partitions($1::text::date, $1::text::date)",
                &[&day],
            )
            .await?;
        let mut sql = DAY.to_owned();
        if ago == 1 {
            sql += LONG;
        }
        let sql = sql
            .replace("$CUSTOMERS", &customers)
            .replace("$TERMS", &same)
            .replace("$ORG", &org)
            .replace("$DAY", &day)
            .replace("$TRACES", &traces.to_string());
        client
            .batch_execute(&format!("BEGIN; {sql} COMMIT;"))
            .await?;
        client
            .execute("SELECT nodeai.fold_usage(10000000)", &[])
            .await?;
    }
    client.batch_execute("VACUUM ANALYZE").await?;
    recount(client).await?;
    Ok(traces * SPANS * u64::from(days) + 10_000)
}

/// As arrays of SQL: the terms that all traces have, and that of each customer.
fn terms() -> (String, String) {
    let array = |all: Vec<(&str, String)>| {
        let numbers = all.iter().filter_map(|(name, text)| term(name, text));
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        format!("'{{{}}}'::integer[]", numbers.join(","))
    };
    let mut same = vec![("service.name", "bench".to_owned())];
    same.extend((1..=SPANS).map(|step| ("step", step.to_string())));
    let customers = (0..500).map(|customer| ("customer", format!("c{customer}")));
    (array(same), array(customers.collect()))
}

/// Sums by the hour and by the day against the spans themselves.
async fn recount(client: &Client) -> Result<()> {
    let row = client
        .query_one(
            "SELECT ARRAY[(SELECT sum(calls) FROM public.usage_hours), (SELECT sum(calls) FROM public.usage_days),
                (SELECT count(*) FROM public.spans WHERE measure IS NOT NULL)]::text[],
              ARRAY[(SELECT sum(cost_pusd) FROM public.usage_hours), (SELECT sum(cost_pusd) FROM public.usage_days),
                (SELECT sum(cost_pusd) FROM public.spans WHERE measure = 'model')]::text[]",
            &[],
        )
        .await?;
    for column in 0..2 {
        let sums: Vec<String> = row.get(column);
        let equal = sums.iter().all(|sum| *sum == sums[0]);
        ensure!(equal, "the sums are not those of the spans: {sums:?}");
    }
    Ok(())
}
