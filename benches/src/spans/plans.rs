//! Which indexes the questions are answered from, as the planner says.

use crate::spans::fill;
use anyhow::Result;
use tokio_postgres::Client;

/// A question, part of the name of an index that serves it, and its SQL; `$DAY` is a day that has rows, `$ORG` whose they are.
const QUESTIONS: &[(&str, &str, &str)] = &[
    (
        "trace list",
        "started_at_trace_id_idx",
        "SELECT trace_id FROM public.traces WHERE org_id = '$ORG' ORDER BY started_at DESC, trace_id DESC LIMIT 51",
    ),
    (
        "a day of a search",
        "traces_",
        "SELECT t FROM public.traces t WHERE t.org_id = '$ORG' AND t.day = '$DAY' AND t.status = 'error'
         ORDER BY t.started_at DESC, t.trace_id DESC LIMIT 51",
    ),
    (
        "the model of a found trace",
        "spans_",
        "SELECT t FROM public.traces t WHERE t.org_id = '$ORG' AND t.day = '$DAY' AND EXISTS (
           SELECT FROM public.spans s WHERE s.day BETWEEN '$DAY' AND '$DAY' AND s.org_id = t.org_id
           AND s.trace_id = t.trace_id AND s.model = 'gpt-4o') ORDER BY t.started_at DESC, t.trace_id DESC LIMIT 51",
    ),
    (
        "spans of a trace",
        "_pkey",
        "SELECT * FROM public.spans WHERE day = '$DAY' AND org_id = '$ORG' AND trace_id = '$LONG'",
    ),
    (
        "some days of sums",
        "usage_days_",
        "SELECT * FROM public.usage_days WHERE org_id = '$ORG' AND day >= '$DAY'::date - 2 AND day < '$DAY'::date",
    ),
];

/// The questions that are answered by reading a whole table, with their plans.
pub async fn faults(client: &Client) -> Result<Vec<String>> {
    let org: String = client
        .query_one("SELECT org_id::text FROM public.api_keys LIMIT 1", &[])
        .await?
        .get(0);
    let mut faults = Vec::new();
    for (what, index, sql) in QUESTIONS {
        let sql = sql
            .replace("$ORG", &org)
            .replace("$DAY", &fill::day(1).to_string())
            .replace("$LONG", fill::LONG_TRACE);
        let rows = client.query(&format!("EXPLAIN {sql}"), &[]).await?;
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let used = |line: &String| line.contains("Index") && line.contains(index);
        if !lines.iter().any(used) {
            faults.push(format!("{what} is not on {index}:\n{}", lines.join("\n")));
        }
    }
    Ok(faults)
}
