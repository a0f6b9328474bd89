//! Bodies of answers, read up to a limit.

use futures::StreamExt;
use nodeai_engine::NodeError;

use super::transport;
use crate::Body;

/// The whole body, up to a limit.
pub(super) async fn read(mut body: Body, most: u64) -> Result<Vec<u8>, NodeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(transport)?;
        if whole.len() as u64 + chunk.len() as u64 > most {
            return Err(too_large(most));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// As much of a body as there is, for an error message.
pub(super) async fn read_start(mut body: Body, most: u64) -> Vec<u8> {
    let mut start = Vec::new();
    while let Some(Ok(chunk)) = body.next().await {
        start.extend_from_slice(&chunk);
        if start.len() as u64 > most {
            break;
        }
    }
    start
}

/// The error of an answer past its limit.
pub(super) fn too_large(most: u64) -> NodeError {
    NodeError::new(
        "response_too_large",
        format!("the answer is larger than {most} bytes"),
        false,
    )
}
