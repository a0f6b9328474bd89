//! RFC 9457 problem details: the only place that knows which error becomes which status and `type`.

use crate::reply::{Body, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// Every `type` is this prefix plus a slug; `docs/problems/<slug>.md` explains cause and fix.
pub const TYPE_PREFIX: &str = "https://nodeai.dev/problems/";

/// One wrong field of the input.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901 JSON pointer into the request body; absent for a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter or header; absent for a body field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Stable machine-readable code, such as `required` or `unknown_field`.
    pub code: String,
    /// What is wrong, for a person.
    pub detail: String,
}

impl FieldError {
    /// A wrong field of the body at the JSON pointer `pointer`.
    pub fn body(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    /// A wrong query parameter or header.
    pub fn parameter(name: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

/// An RFC 9457 problem. Build it with a named constructor; `trace_id` is filled in by the dispatcher.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Problem {
    /// Stable URI of the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short title, the same for every occurrence of the kind.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened this time, for a person; never an SQL message or a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The trace to look at, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The wrong fields, for bad input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The policies of the rate limit that were used up.
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
    /// The budget that is used up: its limits, what is spent, when it resets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<serde_json::Value>,
    /// Headers that go with the answer, such as `Retry-After`.
    #[serde(skip)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal $slug:literal $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])*
            pub fn $name(detail: impl Into<String>) -> Self {
                Self::new($status, $slug, $title, detail)
            })*

            /// The slugs of all kinds of problem, for the check that each one has its page.
            pub const SLUGS: &'static [&'static str] = &[$($slug),*];
        }
    };
}

problems! {
    /// The body, a path or query parameter has the wrong form or value.
    invalid_input = 400 "invalid-input" "The request is not valid";
    /// The body is not well-formed JSON, or not UTF-8, or nested too deeply.
    malformed_json = 400 "malformed-json" "The body is not well-formed JSON";
    /// No credential, or one that is not valid.
    unauthenticated = 401 "unauthenticated" "Authentication is required";
    /// Content is not what its digest or checksum says.
    digest_mismatch = 400 "digest-mismatch" "The content is not what its digest says";
    /// The API key was revoked.
    key_revoked = 401 "key-revoked" "The API key was revoked";
    /// The API key or token has expired.
    credential_expired = 401 "credential-expired" "The credential has expired";
    /// A budget of the run is used up.
    budget_exceeded = 402 "budget-exceeded" "The budget is used up";
    /// The caller may not do this.
    forbidden = 403 "forbidden" "Not allowed";
    /// The credential lacks the scope that the route asks for.
    scope_missing = 403 "scope-missing" "The credential lacks a scope";
    /// There is no such thing, or the caller may not know of it.
    not_found = 404 "not-found" "Not found";
    /// The path exists, the method does not.
    method_not_allowed = 405 "method-not-allowed" "Method not allowed";
    /// The state forbids it, such as a name that is taken.
    conflict = 409 "conflict" "Conflict with the current state";
    /// A sealed value does not open: it was changed in the database, or its master key is another one.
    sealed_value_refused = 409 "sealed-value-refused" "A sealed value does not open";
    /// A run has not come yet to the wait that is answered.
    not_waiting_yet = 409 "not-waiting-yet" "The run has not come to this wait yet";
    /// Nobody waits any more for what is answered.
    wait_over = 410 "wait-over" "The wait is over";
    /// A recording of a run is past its retention.
    recording_gone = 410 "recording-gone" "The recording is gone";
    /// `If-Match` names a version that is not the current one.
    stale = 412 "stale-version" "The resource has changed";
    /// The request speaks a version of a protocol (tus) that is not spoken here.
    protocol_version = 412 "protocol-version" "Another version of the protocol is needed";
    /// The body is larger than the route takes.
    too_large = 413 "body-too-large" "The body is too large";
    /// The body's media type is not one that the route takes.
    unsupported_media_type = 415 "unsupported-media-type" "Unsupported media type";
    /// `Range` asks for what the file does not have.
    range_not_satisfiable = 416 "range-not-satisfiable" "The file does not have that range";
    /// Text cannot be taken out of a file: its kind is not one that is read, or it is broken or hostile.
    file_unreadable = 422 "file-unreadable" "The file cannot be read";
    /// The request is valid by itself, but not for the thing that it is about.
    does_not_fit = 422 "does-not-fit" "The request does not fit what it is about";
    /// The same `Idempotency-Key` came with another request.
    key_reused = 422 "idempotency-key-reused" "The idempotency key was used for another request";
    /// A provider of connected accounts said no, or something that is no answer of the protocol.
    provider_refused = 422 "provider-refused" "The provider refused";
    /// The route updates and asks for `If-Match`.
    precondition_required = 428 "precondition-required" "If-Match is required";
    /// A rate limit is used up (the draft of RateLimit header fields names this type).
    quota_exceeded = 429 "quota-exceeded" "Too many requests";
    /// A defect on our side; the trace id leads to it.
    internal = 500 "internal" "Internal error";
    /// A workflow was to give the answer, and its run did not succeed.
    run_failed = 502 "run-failed" "The run that was to answer did not succeed";
    /// A dependency such as the database does not answer.
    unavailable = 503 "unavailable" "Temporarily unavailable";
    /// The organisation or the user has stored as much as it may.
    storage_quota_exceeded = 507 "storage-quota-exceeded" "The storage quota is used up";
    /// No storage is configured, or half of one.
    storage_not_configured = 503 "storage-not-configured" "Storage is not configured";
    /// No master key is configured, or not the one that is asked for.
    vault_not_configured = 503 "vault-not-configured" "The vault is not configured";
    /// The database URL leads to a transaction pooler.
    transaction_pooler = 503 "transaction-pooler" "The database URL leads to a transaction pooler";
}

impl Problem {
    fn new(status: u16, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title: title.to_owned(),
            status,
            detail: (!detail.is_empty()).then_some(detail),
            instance: None,
            trace_id: None,
            errors: Vec::new(),
            violated_policies: Vec::new(),
            budget: None,
            headers: Vec::new(),
        }
    }

    /// Names the policy of the rate limit that was used up.
    pub fn violated(mut self, policy: &str) -> Self {
        self.violated_policies.push(policy.to_owned());
        self
    }

    /// Says which budget.
    pub fn of_budget(mut self, budget: serde_json::Value) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Bad input with the list of wrong fields.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} fields are not valid", many.len()),
        };
        Self {
            errors,
            ..Self::invalid_input(detail)
        }
    }

    /// The list of fields that are wrong.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a header to the answer; a value that is no valid header is left out.
    pub fn with_header(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds `Retry-After` in whole seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.max(1))
    }

    /// The last part of `type`, such as `not-found`.
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&self.kind)
    }

    /// The answer with media type `application/problem+json`.
    pub fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::Full(body.into()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        let challenged = |(name, _): &(HeaderName, HeaderValue)| name == header::WWW_AUTHENTICATE;
        if self.status == 401 && !self.headers.iter().any(challenged) {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"nodeai\""),
            );
        }
        headers.extend(self.headers);
        response
    }
}
