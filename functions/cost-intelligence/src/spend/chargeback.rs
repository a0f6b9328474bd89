//! `GET /api/v1/cost-intelligence/chargeback.csv`

use super::sums::Sums;
use super::window::timed_query;
use crate::CostsRead;
use http::{HeaderValue, header};
use nodeai_app::{Caller, Query};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{Body, IntoReply, Problem};
use nodeai_pricing::{Bucket, usd};
use serde::Deserialize;
use serde_json::json;

/// Most rows of one bill.
const MOST_ROWS: usize = 10_000;

timed_query! {
    /// Time and filters.
    ChargebackQuery {}
}

#[derive(Deserialize)]
struct Line {
    day: String,
    workflow_id: Option<String>,
    workflow: Option<String>,
    user_id: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    #[serde(flatten)]
    sums: Sums,
}

/// A bill as CSV (RFC 4180).
pub struct Csv(Response);

impl IntoReply for Csv {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let description = "One row for each day, workflow, user and model; costs in USD, exact";
        let content = json!({"text/csv": {"schema": {"type": "string"}}});
        op.response(
            "200",
            json!({"description": description, "content": content}),
        );
        op.problem("422", "The time has more than 10,000 rows");
    }
}

/// Who has to pay for what.
pub async fn handle(
    caller: Caller<CostsRead>,
    Query(query): Query<ChargebackQuery>,
) -> Result<Csv, Problem> {
    let window = query.window()?;
    let args = json!({"org_id": caller.org_id(), "from_us": window.from_us, "to_us": window.to_us,
        "filter": query.filter()?});
    let lines: Vec<Line> = caller.call("cost_chargeback", &args).await?;
    if lines.len() > MOST_ROWS {
        return Err(Problem::does_not_fit(
            "the bill has more than 10,000 rows: ask for a shorter time",
        ));
    }
    let mut response = Response::new(Body::Full(csv(&lines).into()));
    let fixed = HeaderValue::from_static;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, fixed("text/csv; charset=utf-8"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        fixed("attachment; filename=\"chargeback.csv\""),
    );
    Ok(Csv(response))
}

fn csv(lines: &[Line]) -> String {
    let mut out = "day,workflow_id,workflow,user_id,provider,model,calls".to_owned();
    for bucket in Bucket::ALL {
        out.push_str(&format!(",{}_tokens", bucket.as_str()));
    }
    out.push_str(",cost_usd,unpriced_calls\r\n");
    for line in lines {
        let texts = [
            &line.workflow_id,
            &line.workflow,
            &line.user_id,
            &line.provider,
            &line.model,
        ];
        out.push_str(&line.day);
        for text in texts {
            out.push(',');
            out.push_str(&field(text.as_deref().unwrap_or_default()));
        }
        out.push_str(&format!(",{}", line.sums.calls));
        let tokens = line.sums.tokens();
        for bucket in Bucket::ALL {
            out.push_str(&format!(",{}", tokens.of(bucket)));
        }
        out.push_str(&format!(
            ",{},{}\r\n",
            usd(line.sums.pusd()),
            line.sums.unpriced_calls
        ));
    }
    out
}

/// A field in quotes where it needs them. One that a spreadsheet would take for a formula gets an apostrophe.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_cannot_break_a_row_or_be_a_formula() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
