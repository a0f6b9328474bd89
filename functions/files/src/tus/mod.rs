//! Resumable uploads by tus 1.0, under `/api/v1/files/uploads`.

pub mod create;
pub mod head;
pub mod patch;
pub mod terminate;
mod write;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use nodeai_app::{Cx, clock};
use nodeai_files::condition::http_date;
use nodeai_files::tus::{self, Refused};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{Body, FromCx, IntoReply, Problem};
use std::rc::Rc;

/// A request that speaks the version that is spoken here.
pub struct Protocol;

impl FromCx<Cx> for Protocol {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        tus::version(cx.header("tus-resumable")).map_err(refused)?;
        Ok(Self)
    }

    fn describe(op: &mut Describe) {
        op.header("tus-resumable", true, "1.0.0");
        op.problem(
            "412",
            "Another version of tus; Tus-Version says which is spoken",
        );
    }
}

/// A request whose body is a piece of an upload.
pub struct Piece;

impl FromCx<Cx> for Piece {
    async fn from_cx(_: Rc<Cx>) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn describe(op: &mut Describe) {
        let binary = serde_json::json!({"schema": {"type": "string", "format": "binary"}});
        op.body(serde_json::json!({"application/offset+octet-stream": binary}));
        op.header(
            "upload-checksum",
            false,
            "`sha1` or `sha256`, and Base64: of this piece",
        );
        op.problem("409", "The upload is at another offset");
        op.problem("413", "More bytes than the upload has");
        op.problem(
            "460",
            "The piece is not what its checksum says; nothing of it is kept",
        );
        op.problem("507", "The storage quota is used up");
    }
}

/// An answer of the protocol.
pub struct TusReply(Response);

impl TusReply {
    fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::Full(Bytes::new()));
        *response.status_mut() = status;
        Self(response).with("tus-resumable", tus::VERSION)
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            let name = HeaderName::from_static(name);
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    /// When the upload is given up, RFC 3339.
    fn expiring(self, at: &str) -> Self {
        match clock::parse_rfc3339(at).and_then(|us| u64::try_from(us / 1_000_000).ok()) {
            Some(seconds) => self.with("upload-expires", http_date(seconds)),
            None => self,
        }
    }

    fn json(mut self, body: &serde_json::Value) -> Self {
        *self.0.body_mut() = Body::Full(body.to_string().into());
        self.with("content-type", "application/json")
    }
}

impl IntoReply for TusReply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.empty_response("2XX", "As tus 1.0 says: Upload-Offset and the like");
    }
}

/// What does not follow the protocol, as a problem.
fn refused(why: Refused) -> Problem {
    let text = why.to_string();
    let problem = match why {
        Refused::Version => Problem::protocol_version(text)
            .with_header(HeaderName::from_static("tus-version"), tus::VERSION),
        Refused::Field(name, detail) => {
            crate::rules::parameter(&name.to_ascii_lowercase(), "format", detail)
        }
        Refused::MediaType => Problem::unsupported_media_type(text),
        Refused::Offset { at } => {
            Problem::conflict(text).with_header(HeaderName::from_static("upload-offset"), at)
        }
        Refused::TooLong { .. } => Problem::too_large(text),
    };
    tagged(problem)
}

/// Every answer says the version.
fn tagged(problem: Problem) -> Problem {
    problem.with_header(HeaderName::from_static("tus-resumable"), tus::VERSION)
}

/// Where an upload is found.
fn location(id: &str) -> String {
    format!("/api/v1/files/uploads/{id}")
}
