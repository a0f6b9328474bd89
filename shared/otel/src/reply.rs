//! The bodies of answers, in the encoding of the request.

use crate::proto::{ExportTracePartialSuccess, ExportTraceServiceResponse, Status};
use crate::read::Encoding;
use prost::Message;
use serde_json::json;

/// `ExportTraceServiceResponse`: how many spans were rejected, and why; nothing when none was.
pub fn success(encoding: Encoding, rejected: usize, message: &str) -> Vec<u8> {
    let count = i64::try_from(rejected).unwrap_or(i64::MAX);
    match encoding {
        Encoding::Json if rejected == 0 => b"{}".to_vec(),
        // 64-bit integers are texts in protobuf's JSON.
        Encoding::Json => {
            json!({"partialSuccess": {"rejectedSpans": count.to_string(), "errorMessage": message}})
                .to_string()
                .into_bytes()
        }
        Encoding::Protobuf => ExportTraceServiceResponse {
            partial_success: (rejected > 0).then(|| ExportTracePartialSuccess {
                rejected_spans: count,
                error_message: message.to_owned(),
            }),
        }
        .encode_to_vec(),
    }
}

/// `google.rpc.Status`: the body of every refusal; `status` is the HTTP status.
pub fn failure(encoding: Encoding, status: u16, message: &str) -> Vec<u8> {
    // google.rpc.Code.
    let code = match status {
        401 => 16,
        403 => 7,
        413 | 429 => 8,
        503 => 14,
        500 => 13,
        _ => 3,
    };
    match encoding {
        Encoding::Json => json!({"code": code, "message": message})
            .to_string()
            .into_bytes(),
        Encoding::Protobuf => Status {
            code,
            message: message.to_owned(),
        }
        .encode_to_vec(),
    }
}
