//! Times in rows as PostgreSQL's own JSON has them: without trailing zeros after the decimal point.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Rewrites the rows that a read answers. What functions answer is PostgreSQL's already.
pub async fn as_postgres_writes_them(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let response = next.run(request).await;
    if !reads || !response.status().is_success() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return axum::http::StatusCode::BAD_GATEWAY.into_response();
    };
    let bytes = match serde_json::from_slice(&bytes) {
        Ok(mut rows) => {
            trim_rows(&mut rows);
            head.headers.remove(header::CONTENT_LENGTH);
            rows.to_string().into_bytes().into()
        }
        Err(_) => bytes,
    };
    Response::from_parts(head, Body::from(bytes))
}

/// The columns of rows; documents inside them are their writers'.
fn trim_rows(rows: &mut Value) {
    for row in rows.as_array_mut().into_iter().flatten() {
        for column in row.as_object_mut().into_iter().flatten() {
            if let Value::String(text) = column.1
                && let Some(time) = trimmed(text)
            {
                *text = time;
            }
        }
    }
}

/// `2026-11-26T00:25:49.285390+00:00` → `2026-11-26T00:25:49.28539+00:00`; `None` when it is no such time.
fn trimmed(text: &str) -> Option<String> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000+00:00";
    let fits = |(at, like): (u8, &u8)| match like {
        b'0' => at.is_ascii_digit(),
        other => at == *other,
    };
    if text.len() != SHAPE.len() || !text.bytes().zip(SHAPE).all(fits) {
        return None;
    }
    let (time, zone) = text.split_at(26);
    let time = time.trim_end_matches('0').trim_end_matches('.');
    Some(format!("{time}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_times_in_columns_are_trimmed() {
        // The right side: SELECT to_json('…'::timestamptz).
        let cases = [
            (
                "2026-11-26T00:25:49.285390+00:00",
                "2026-11-26T00:25:49.28539+00:00",
            ),
            (
                "2026-11-26T00:25:49.000000+00:00",
                "2026-11-26T00:25:49+00:00",
            ),
            (
                "2026-11-26T00:25:49.285391+00:00",
                "2026-11-26T00:25:49.285391+00:00",
            ),
        ];
        for (given, want) in cases {
            assert_eq!(trimmed(given).as_deref(), Some(want));
        }
        assert_eq!(trimmed("2026-11-26T00:25:49+00:00"), None);
        let document = json!({"at": "2026-11-26T00:25:49.285390+00:00"});
        let mut rows = json!([{"definition": document}]);
        trim_rows(&mut rows);
        assert_eq!(rows, json!([{"definition": document}]));
    }
}
