//! The answer of a write as it is stored for a repeated request, with what may be shown once only sealed in it.

use crate::cx::Cx;
use crate::vault;
use http::{HeaderName, HeaderValue, StatusCode, header};
use nodeai_crypto::Place;
use nodeai_http::Problem;
use nodeai_http::reply::{Response, json_response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Status, header fields and body.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
    /// Members of the body that must not be stored in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<vault::SealedText>,
}

impl Answer {
    pub(crate) fn no_content() -> Self {
        Self {
            status: 204,
            ..Self::default()
        }
    }

    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &impl Serialize) -> Self {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
        Self {
            status,
            headers: headers.collect(),
            body: serde_json::to_value(body).unwrap_or_default(),
            sealed: None,
        }
    }

    /// Seals `members`, bound to the caller's claim. Errors: 503 without a master key.
    pub(crate) fn seal(
        &mut self,
        cx: &Cx,
        org_id: &str,
        claim: &Value,
        members: &Map<String, Value>,
    ) -> Result<(), Problem> {
        let text = Value::Object(members.clone()).to_string();
        self.sealed = Some(vault::seal(cx, place(org_id, claim), text.as_bytes())?);
        Ok(())
    }

    /// Opens what was sealed and puts it back. Errors: 503 when the master key is gone.
    pub(crate) fn unseal(&mut self, cx: &Cx, org_id: &str, claim: &Value) -> Result<(), Problem> {
        if let Some(sealed) = self.sealed.take() {
            let text = vault::open(cx, place(org_id, claim), &sealed)?;
            self.merge(serde_json::from_slice(&text).unwrap_or_default());
        }
        Ok(())
    }

    /// Adds members to the body.
    pub(crate) fn merge(&mut self, members: Map<String, Value>) {
        if let Value::Object(body) = &mut self.body {
            body.extend(members);
        }
    }

    pub(crate) fn into_response(self, replayed: bool) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut headers: Vec<(HeaderName, HeaderValue)> = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let name = HeaderName::try_from(name.as_str()).ok()?;
                let value = HeaderValue::from_str(value.as_str()?).ok()?;
                Some((name, value))
            })
            .collect();
        if let Some(version) = self.body["version"].as_i64()
            && let Ok(value) = HeaderValue::from_str(&nodeai_http::etag::of(version))
        {
            headers.push((header::ETAG, value));
        }
        if replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            headers.push((name, HeaderValue::from_static("true")));
        }
        if self.body.is_null() {
            let empty = nodeai_http::Body::Full(bytes::Bytes::new());
            let mut response = Response::new(empty);
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            return response;
        }
        json_response(status, headers, &self.body)
    }
}

fn place<'a>(org_id: &'a str, claim: &'a Value) -> Place<'a> {
    Place {
        kind: "answer",
        org_id,
        id: claim["key"].as_str().unwrap_or_default(),
        version: claim["request_hash"].as_str().unwrap_or_default(),
    }
}
