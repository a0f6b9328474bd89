//! The limits on a request, and the memory limit of an instance.
use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::meter::Pulse;

/// Limits; each has a flag and an environment variable.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory of one instance, in bytes.
    pub memory: usize,
    /// Wall-clock time until a response begins, and CPU time without progress afterwards.
    pub request: Duration,
    /// Wall-clock time of a streaming response, and of work after a response.
    pub stream: Duration,
    /// Requests in flight; past it 503.
    pub concurrency: usize,
    /// Requests that one instance serves before it is replaced.
    pub reuse: usize,
    /// How long an idle instance is kept.
    pub idle: Duration,
    /// Largest request body, in bytes.
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            request: Duration::from_secs(30),
            stream: Duration::from_secs(3600),
            concurrency: 512,
            reuse: 10_000,
            idle: Duration::from_secs(60),
            body: 1 << 30,
        }
    }
}

/// Memory past which an instance is big, in bytes.
const BIG: usize = 8 << 20;
/// A big instance is kept for this part of the time: memory that a request made grow does not shrink.
const BIG_PART: u32 = 120;

impl Limits {
    /// How long an idle instance of `memory` bytes is kept.
    pub fn idle_of(&self, memory: usize) -> Duration {
        match memory > BIG {
            true => self.idle / BIG_PART,
            false => self.idle,
        }
    }
}

/// Refuses memory past the limit and notes that it did.
#[derive(Debug)]
pub struct MemoryLimiter {
    limit: usize,
    used: usize,
    pulse: Arc<Pulse>,
}

impl MemoryLimiter {
    /// A limiter for one instance; `limit` in bytes over all its memories.
    pub fn new(limit: usize, pulse: Arc<Pulse>) -> Self {
        Self {
            limit,
            used: 0,
            pulse,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.used.saturating_sub(current).saturating_add(desired);
        if total > self.limit {
            self.pulse.note_out_of_memory();
            return Ok(false);
        }
        self.used = total;
        self.pulse.note_memory(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= super::engine::TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_grown_big_is_kept_for_less_time() {
        let limits = Limits::default();
        let pulse = Arc::new(Pulse::default());
        let mut limiter = MemoryLimiter::new(limits.memory, pulse.clone());
        assert!(limiter.memory_growing(0, BIG, None).unwrap());
        assert_eq!(limits.idle_of(pulse.memory()), limits.idle);
        assert!(limiter.memory_growing(BIG, BIG + 1, None).unwrap());
        assert_eq!(limits.idle_of(pulse.memory()), limits.idle / BIG_PART);
    }

    #[test]
    fn memory_that_is_refused_is_not_counted() {
        let pulse = Arc::new(Pulse::default());
        let mut limiter = MemoryLimiter::new(100, pulse.clone());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(pulse.memory(), 60);
    }
}
