//! W3C Trace Context, level 1 and 2 (<https://www.w3.org/TR/trace-context-2/>): the
//! `traceparent` field, read leniently as the standard asks and written as version 00.

use crate::{SpanId, TraceId};

/// Where a piece of work stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span of this piece of work.
    pub span_id: SpanId,
    /// The caller's span, if the caller sent one.
    pub parent: Option<SpanId>,
    /// Bit 0 is `sampled`, bit 1 is `random-trace-id` (level 2).
    pub flags: u8,
}

const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

impl TraceContext {
    /// Starts a new trace. `random` is 24 random bytes: 16 for the trace, 8 for the span.
    pub fn root(random: [u8; 24]) -> Self {
        let (trace, span) = split(random);
        Self {
            trace_id: trace,
            span_id: span,
            parent: None,
            flags: SAMPLED | RANDOM,
        }
    }

    /// Continues the caller's trace if `traceparent` is valid, else starts a new one.
    pub fn continue_or_root(traceparent: Option<&str>, random: [u8; 24]) -> Self {
        let (_, span_id) = split(random);
        match traceparent.and_then(Self::parse) {
            Some(caller) => Self {
                span_id,
                parent: Some(caller.span_id),
                ..caller
            },
            None => Self::root(random),
        }
    }

    /// A context for work inside this one.
    pub fn child(&self, random: [u8; 8]) -> Self {
        Self {
            span_id: SpanId::from_random(random),
            parent: Some(self.span_id),
            ..*self
        }
    }

    /// Whether the caller asked for the trace to be recorded.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads a `traceparent`. `None` where the standard says to restart the trace:
    /// version `ff`, wrong lengths, upper-case hex, zero ids, trailing data in version 00.
    /// Higher versions are read by their first four fields.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_ascii() || text.len() < 55 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let (known, rest) = text.split_at(55);
        let mut fields = known.split('-');
        let (version, trace, span, flags) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let version = hex_byte(version)?;
        let more_is_fine = rest.is_empty() || (version > 0 && rest.starts_with('-'));
        if version == 0xff || !more_is_fine || fields.next().is_some() {
            return None;
        }
        Some(Self {
            trace_id: trace.parse().ok()?,
            span_id: span.parse().ok()?,
            parent: None,
            flags: hex_byte(flags)? & (SAMPLED | RANDOM),
        })
    }

    /// The `traceparent` to send on: this context's trace and span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(text, 16).ok())?
}

fn split(random: [u8; 24]) -> (TraceId, SpanId) {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&random[..16]);
    span.copy_from_slice(&random[16..]);
    (TraceId::from_random(trace), SpanId::from_random(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_the_example_of_the_standard() {
        let context = TraceContext::parse(GOOD).expect("valid");
        assert_eq!(
            context.trace_id.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert!(context.sampled());
        assert_eq!(context.traceparent(), GOOD);
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_later_versions_by_their_first_fields() {
        let later = GOOD.replacen("00", "cc", 1) + "-what-the-future-holds";
        assert!(TraceContext::parse(&later).is_some());
    }

    #[test]
    fn continues_a_valid_caller_and_restarts_on_an_invalid_one() {
        let ours = TraceContext::continue_or_root(Some(GOOD), [7; 24]);
        assert_eq!(
            ours.trace_id.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(
            ours.parent.map(|id| id.to_string()).as_deref(),
            Some("00f067aa0ba902b7")
        );
        let fresh = TraceContext::continue_or_root(Some("rubbish"), [7; 24]);
        assert_eq!(
            (fresh.parent, fresh.trace_id),
            (None, TraceId::from_random([7; 16]))
        );
    }
}
