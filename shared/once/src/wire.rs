//! The bodies and header fields.

use std::io::{Read, Write};

use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use crate::Unread;

/// The request's body, of at most `most` bytes.
///
/// # Errors
/// When it has more, or breaks off.
pub fn read(request: &IncomingRequest, most: usize) -> Result<Vec<u8>, Unread> {
    let body = request.consume().map_err(|()| Unread::Broken)?;
    let stream = body.stream().map_err(|()| Unread::Broken)?;
    let mut bytes = Vec::new();
    let mut limited = stream.take(most as u64 + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|_| Unread::Broken)?;
    match bytes.len() > most {
        true => Err(Unread::TooLarge),
        false => Ok(bytes),
    }
}

/// Sends the answer, with its length.
pub fn send(out: ResponseOutparam, status: u16, body: &str) {
    match response(status, body.len()) {
        Ok((response, outgoing)) => {
            ResponseOutparam::set(out, Ok(response));
            // A caller that has gone has no use for the rest.
            if let Ok(mut stream) = outgoing.write() {
                let _ = stream.write_all(body.as_bytes());
                let _ = stream.blocking_flush();
            }
            let _ = OutgoingBody::finish(outgoing, None);
        }
        Err(()) => ResponseOutparam::set(out, Err(ErrorCode::InternalError(None))),
    }
}

fn response(status: u16, length: usize) -> Result<(OutgoingResponse, OutgoingBody), ()> {
    let kind: &[u8] = match status {
        200 => b"application/json",
        _ => b"application/problem+json",
    };
    let fields = Fields::new();
    fields.append("content-type", kind).map_err(drop)?;
    let length = length.to_string();
    fields
        .append("content-length", length.as_bytes())
        .map_err(drop)?;
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status)?;
    let body = response.body()?;
    Ok((response, body))
}
