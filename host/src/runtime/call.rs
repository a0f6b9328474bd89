//! One call into a component: its answer with a body that streams, or the reason there is none.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError};

use super::Shared;
use super::instance::RequestInfo;
use super::meter::{Meter, Slot};

/// Bodies up to this length are taken to be finished when their head arrives, so that the instance is free.
const SHORT_BODY: u64 = 1 << 20;

/// Why a component gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No component with this index.
    #[error("there is no such component")]
    Unknown,
    /// The time limit was reached before a response began.
    #[error("the time limit was reached")]
    TimedOut,
    /// The memory limit was reached.
    #[error("the memory limit was reached")]
    OutOfMemory,
    /// No instance could be made.
    #[error("no instance could be made: {0}")]
    NoInstance(String),
    /// The component trapped or returned an error.
    #[error("{0}")]
    Failed(String),
}

/// Calls the component with index `component`.
///
/// # Errors
/// A [`Failure`] when no response began.
pub async fn call(
    shared: &Shared,
    component: usize,
    request: Request<WasiBody>,
) -> Result<Response<GuestBody>, Failure> {
    let served = shared.served(component).ok_or(Failure::Unknown)?;
    let (slot, meter) = (Slot::default(), Arc::new(Meter::default()));
    let info = RequestInfo {
        slot: slot.clone(),
        meter: meter.clone(),
    };
    let caller = Waiting(Some(meter.clone()));
    let answer = served.handler.handle(info, request).await;
    caller.has_its_answer();
    match answer {
        Ok(response) => {
            if is_short(&response) {
                slot.release();
            }
            let left = declared_length(&response);
            Ok(response.map(|inner| GuestBody {
                inner,
                left,
                meter,
                _slot: slot,
            }))
        }
        Err(error) => Err(explain(&error, &meter)),
    }
}

fn is_short(response: &Response<WasiBody>) -> bool {
    declared_length(response).is_some_and(|length| length <= SHORT_BODY)
}

fn declared_length(response: &Response<WasiBody>) -> Option<u64> {
    let length = response.headers().get(http::header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A caller that waits; dropped before it has its answer, it has gone.
struct Waiting(Option<Arc<Meter>>);

impl Waiting {
    fn has_its_answer(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(meter) = &self.0 {
            meter.note_abandoned();
        }
    }
}

fn explain(error: &wasmtime::Error, meter: &Meter) -> Failure {
    if meter.out_of_memory() {
        Failure::OutOfMemory
    } else if meter.timed_out() || error.is::<ExpirationError>() {
        Failure::TimedOut
    } else if let Some(instantiation) = error.downcast_ref::<InstantiationError<RequestInfo>>() {
        Failure::NoInstance(format!("{:#}", instantiation.error))
    } else {
        Failure::Failed(format!("{error:#}"))
    }
}

/// A response body on its way from the guest; the instance is held until it ends or is dropped.
pub struct GuestBody {
    inner: WasiBody,
    /// What is to come of a body whose length was declared.
    left: Option<u64>,
    meter: Arc<Meter>,
    _slot: Slot,
}

impl GuestBody {
    /// Whether the instance ended before this body did.
    pub fn was_cut(&self) -> bool {
        self.meter.failed()
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(piece))) => {
                self.meter.note_progress();
                let length = piece.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
                frame
            }
            // The guest's end of the body closes with its instance, as if the body were whole; by its length it may be.
            Poll::Ready(None) if self.was_cut() && self.left != Some(0) => {
                Poll::Ready(Some(Err(wasmtime_wasi_http::Error::HttpResponseIncomplete)))
            }
            _ => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
