//! `GET /api/v1/metrics/prometheus`

use crate::MetricsRead;
use crate::exposition::{Format, render};
use crate::row::Row;
use chrono::{DateTime, Datelike};
use http::{HeaderValue, header};
use nodeai_app::{Caller, clock};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Response};
use nodeai_http::{IntoReply, Problem};
use serde_json::json;

/// Most combinations of provider and model.
const ROWS: usize = 1_000;

/// Text for Prometheus.
pub struct Exposition(Response);

impl IntoReply for Exposition {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.response(
            "200",
            json!({"description": "Text for Prometheus; OpenMetrics when Accept asks for it",
                "content": {"text/plain": {"schema": {"type": "string"}},
                    "application/openmetrics-text": {"schema": {"type": "string"}}}}),
        );
    }
}

/// Totals by provider and model since the month began (UTC): counters start again with it, as Prometheus expects of resets.
pub async fn handle(caller: Caller<MetricsRead>) -> Result<Exposition, Problem> {
    let now = clock::now_us();
    let args = json!({"org_id": caller.org_id(), "from_us": month_start(now), "to_us": now, "step": "total", "of": "calls",
        "by": ["provider", "model"], "limit": ROWS});
    let mut rows: Vec<Row> = caller.call("metrics_query", &args).await?;
    rows.truncate(ROWS);
    let format = Format::accepted(caller.cx.header("accept").unwrap_or_default());
    let text = render(&rows, format);
    let mut response = Response::new(Body::Full(text.into()));
    let media_type = HeaderValue::from_static(format.media_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(Exposition(response))
}

fn month_start(now_us: i64) -> i64 {
    let day = DateTime::from_timestamp_micros(now_us)
        .unwrap_or_default()
        .date_naive();
    let first = day.with_day(1).and_then(|first| first.and_hms_opt(0, 0, 0));
    first.map_or(now_us, |first| first.and_utc().timestamp_micros())
}
