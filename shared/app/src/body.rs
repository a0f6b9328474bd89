//! A request's body as it comes: collected up to a limit, or handed to the handler piece by piece.

use crate::cx::Cx;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::LocalBoxStream;

/// A body, piece by piece.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, BodyFault>>;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// More bytes than the limit.
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The client went away or broke the protocol.
    Broken,
}

/// Bytes past the limit that are read and thrown away: a client that is still sending when the connection closes sees
/// a broken pipe instead of the answer that says why.
const DRAIN: usize = 64 << 20;

/// Collects a body up to `limit` bytes.
pub(crate) async fn collect(mut body: BodyStream, limit: usize) -> Result<Bytes, BodyFault> {
    let mut collected = BytesMut::new();
    let mut total = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        total += piece.len();
        if total > limit + DRAIN {
            break;
        }
        if total <= limit {
            collected.extend_from_slice(&piece);
        }
    }
    match total > limit {
        true => Err(BodyFault::TooLarge { limit }),
        false => Ok(collected.freeze()),
    }
}

impl Cx {
    /// The next piece of the body, on a route that is [`streamed`](nodeai_http::Routes::streamed); none at its end.
    pub async fn next_piece(&self) -> Option<Result<Bytes, BodyFault>> {
        let mut body = self.incoming.borrow_mut().take()?;
        let piece = body.next().await;
        if matches!(piece, Some(Ok(_))) {
            self.incoming.replace(Some(body));
        }
        piece
    }

    /// Reads what the handler has left, up to a bound.
    pub(crate) async fn discard_rest(&self) {
        let mut left = DRAIN;
        while let Some(Ok(piece)) = self.next_piece().await {
            let Some(rest) = left.checked_sub(piece.len()) else {
                self.incoming.borrow_mut().take();
                return;
            };
            left = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::stream::iter;

    fn body(pieces: &[&'static str]) -> BodyStream {
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(Bytes::from(*p))).collect();
        iter(pieces).boxed_local()
    }

    #[test]
    fn a_body_is_collected_up_to_its_limit() {
        let whole = block_on(collect(body(&["ab", "", "cd"]), 4));
        assert_eq!(whole, Ok(Bytes::from("abcd")));
        let more = block_on(collect(body(&["ab", "cde"]), 4));
        assert_eq!(more, Err(BodyFault::TooLarge { limit: 4 }));
    }

    #[test]
    fn a_broken_body_is_no_body() {
        let pieces = vec![Ok(Bytes::from("ab")), Err(BodyFault::Broken)];
        let broken = block_on(collect(iter(pieces).boxed_local(), 4));
        assert_eq!(broken, Err(BodyFault::Broken));
    }
}
