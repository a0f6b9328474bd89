//! A request's body to its messages, within limits.

use crate::proto::ExportTraceServiceRequest;
use crate::{MAX_INFLATED, MAX_SPANS, json};
use prost::Message;
use std::borrow::Cow;
use std::io::Read;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// From a `Content-Type`; `None` for any other.
    pub fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Why a body was not read. None of them is worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A `Content-Encoding` other than gzip.
    #[error("the content encoding {0} is not known; send gzip or none")]
    UnknownCompression(String),
    /// More than the limits allow.
    #[error("{0}")]
    TooLarge(String),
    /// It is not what it says.
    #[error("{0}")]
    Malformed(String),
}

/// Reads a body; `compression` is its `Content-Encoding`.
///
/// # Errors
/// [`Fault`].
pub fn read(
    body: &[u8],
    encoding: Encoding,
    compression: Option<&str>,
) -> Result<ExportTraceServiceRequest, Fault> {
    let body = inflate(body, compression)?;
    let request = match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(&*body)
            .map_err(|error| Fault::Malformed(format!("the body is no OTLP protobuf: {error}")))?,
        Encoding::Json => {
            let document = serde_json::from_slice(&body)
                .map_err(|error| Fault::Malformed(format!("the body is no JSON: {error}")))?;
            json::request(&document).map_err(Fault::Malformed)?
        }
    };
    let spans = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum::<usize>();
    match spans > MAX_SPANS {
        true => Err(Fault::TooLarge(format!(
            "a request may have at most {MAX_SPANS} spans; this one has {spans}"
        ))),
        false => Ok(request),
    }
}

/// Undoes gzip, never into more than [`MAX_INFLATED`].
fn inflate<'a>(body: &'a [u8], compression: Option<&str>) -> Result<Cow<'a, [u8]>, Fault> {
    match compression
        .map(|name| name.trim().to_ascii_lowercase())
        .as_deref()
    {
        None | Some("" | "identity") => Ok(Cow::Borrowed(body)),
        Some("gzip") => {
            let mut out = Vec::new();
            let limit = MAX_INFLATED as u64 + 1;
            let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit);
            reader
                .read_to_end(&mut out)
                .map_err(|error| Fault::Malformed(format!("the body is no gzip: {error}")))?;
            match out.len() > MAX_INFLATED {
                true => Err(Fault::TooLarge(format!(
                    "the body may have at most {MAX_INFLATED} bytes when it is unpacked"
                ))),
                false => Ok(Cow::Owned(out)),
            }
        }
        Some(other) => Err(Fault::UnknownCompression(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_undone_within_a_bound() {
        let read = |body: &[u8]| read(body, Encoding::Json, Some("gzip"));
        assert!(read(&packed(b"{\"resourceSpans\":[]}")).is_ok());
        let bomb = packed(&vec![b' '; MAX_INFLATED + 1]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(read(&bomb), Err(Fault::TooLarge(_))));
        assert!(matches!(read(b"no gzip"), Err(Fault::Malformed(_))));
    }

    #[test]
    fn what_is_not_otlp_is_said_to_be_none() {
        let malformed =
            |body: &[u8], encoding| matches!(read(body, encoding, None), Err(Fault::Malformed(_)));
        assert!(malformed(b"\xff\xff", Encoding::Protobuf));
        assert!(malformed(b"[]", Encoding::Json));
        assert!(malformed(b"{\"resourceSpans\": 1}", Encoding::Json));
        assert!(malformed(b"{", Encoding::Json));
        assert!(
            read(b"", Encoding::Protobuf, None).is_ok(),
            "an empty request is one"
        );
        let unknown = read(b"", Encoding::Protobuf, Some("br"));
        assert_eq!(unknown, Err(Fault::UnknownCompression("br".into())));
    }

    #[test]
    fn only_so_many_spans_are_taken() {
        let spans = vec![serde_json::json!({}); MAX_SPANS + 1];
        let body =
            serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
        assert!(matches!(
            read(body.as_bytes(), Encoding::Json, None),
            Err(Fault::TooLarge(_))
        ));
    }
}
