//! Collects the spans of one request so that they leave in one call.

use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::Span;

/// The spans of one request. Shared by reference between the tasks of that request and
/// drained once. Never share one between tenants.
#[derive(Debug, Default)]
pub struct Buffer {
    spans: Mutex<Vec<Span>>,
}

impl Buffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one finished span.
    pub fn push(&self, span: Span) {
        self.lock().push(span);
    }

    /// Adds several finished spans.
    pub fn extend(&self, spans: impl IntoIterator<Item = Span>) {
        self.lock().extend(spans);
    }

    /// Takes everything collected so far and leaves the buffer empty.
    pub fn take(&self) -> Vec<Span> {
        mem::take(&mut *self.lock())
    }

    /// How many spans wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanId, TraceId};

    #[test]
    fn gives_each_span_once() {
        let buffer = Buffer::new();
        let (trace, span) = (TraceId::from_random([1; 16]), SpanId::from_random([2; 8]));
        buffer.push(Span::new(trace, span, "GET /", 0));
        assert_eq!(buffer.take().len(), 1);
        assert!(buffer.is_empty());
    }
}
