//! PostgREST answers: a JSON body, or an error by its `code` (never by status: servers differ there).

use crate::port::Error;
use bytes::Bytes;
use nodeai_ports::SendError;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// The JSON body of a successful answer. Errors: by the body's `code`, else by status.
pub(crate) fn read_answer(sent: Result<http::Response<Bytes>, SendError>) -> Result<Value, Error> {
    let response = sent.map_err(|error| Error::Unavailable(error.to_string()))?;
    let status = response.status();
    let body = response.into_body();
    if status.is_success() {
        return match body.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice(&body).map_err(|error| Error::Other {
                code: "decode".to_owned(),
                message: error.to_string(),
            }),
        };
    }
    let error: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
    let message = error.message.unwrap_or_default();
    match error.code.filter(|code| !code.is_empty()) {
        Some(code) => Err(Error::from_sqlstate(&code, &message)),
        None if status.is_server_error() || status.as_u16() == 429 => {
            Err(Error::Unavailable(format!("status {status}: {message}")))
        }
        None => Err(Error::Other {
            code: status.as_u16().to_string(),
            message,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<Value, Error> {
        let response = http::Response::builder().status(status);
        read_answer(Ok(response.body(Bytes::from(body)).unwrap()))
    }

    #[test]
    fn errors_are_told_apart_by_code_whatever_the_status() {
        for status in [401, 403] {
            let body = r#"{"code":"42501","message":"new row violates row-level security policy"}"#;
            assert!(matches!(answer(status, body), Err(Error::Denied(_))));
        }
        let missing = r#"{"code":"PGRST202","message":"no function"}"#;
        assert!(matches!(answer(404, missing), Err(Error::SchemaMissing(_))));
    }

    #[test]
    fn a_gateway_error_is_an_outage() {
        assert!(matches!(answer(502, "<html>"), Err(Error::Unavailable(_))));
        let refused = read_answer(Err(SendError::Timeout));
        assert!(matches!(refused, Err(Error::Unavailable(_))));
    }
}
