//! What a request's caller and the instance that serves it tell each other: progress, limits hit, and
//! when the instance is free again.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::task::AtomicWaker;

/// One request's notes, read by its caller.
#[derive(Debug, Default)]
pub struct Meter {
    timed_out: AtomicBool,
    out_of_memory: AtomicBool,
    failed: AtomicBool,
    abandoned: AtomicBool,
    progress: AtomicBool,
}

impl Meter {
    /// Whether a time limit ended the request.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// Whether the memory limit was hit.
    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory.load(Ordering::Relaxed)
    }

    /// Whether the instance ended before its time, for whatever reason.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that nobody waits for the response any more.
    pub fn note_abandoned(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Notes that a piece of the response went out.
    pub fn note_progress(&self) {
        self.progress.store(true, Ordering::Relaxed);
    }
}

/// One instance's state, shared by its store, its worker and the slots of its requests.
#[derive(Debug, Default)]
pub struct Pulse {
    active: AtomicUsize,
    expired: AtomicBool,
    busy_ticks: AtomicU32,
    memory: AtomicUsize,
    meter: Mutex<Option<Arc<Meter>>>,
    worker: AtomicWaker,
}

impl Pulse {
    /// A request begins; it is counted until its [`Slot`] is dropped.
    pub fn begin(self: &Arc<Self>, slot: &Slot, meter: Arc<Meter>) {
        self.active.fetch_add(1, Ordering::AcqRel);
        self.busy_ticks.store(0, Ordering::Relaxed);
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(meter);
        slot.attach(self.clone());
    }

    /// Requests whose response has not ended.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// The instance has so much memory now, in bytes; it never has less again.
    pub fn note_memory(&self, bytes: usize) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// The instance's memory, in bytes.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Has the worker look again when a request ends.
    pub fn register(&self, waker: &std::task::Waker) {
        self.worker.register(waker);
    }

    /// Whether the current request was over its limit before it answered.
    pub fn expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// Whether nobody waits for the current request's response any more.
    pub fn abandoned(&self) -> bool {
        let mut abandoned = false;
        self.with_meter(|meter| abandoned = meter.abandoned.load(Ordering::Relaxed));
        abandoned
    }

    /// The current request is over its time limit.
    pub fn note_timed_out(&self) {
        self.expired.store(true, Ordering::Relaxed);
        self.with_meter(|meter| meter.timed_out.store(true, Ordering::Relaxed));
    }

    /// The instance asked for more memory than it may have.
    pub fn note_out_of_memory(&self) {
        self.with_meter(|meter| meter.out_of_memory.store(true, Ordering::Relaxed));
    }

    /// The instance ends before its time.
    pub fn note_failed(&self) {
        self.with_meter(|meter| meter.failed.store(true, Ordering::Relaxed));
    }

    /// Counts one epoch in which the guest was computing; returns how many since it last made progress.
    pub fn count_busy_tick(&self) -> u32 {
        let mut progressed = false;
        self.with_meter(|meter| progressed = meter.progress.swap(false, Ordering::Relaxed));
        if progressed {
            self.busy_ticks.store(0, Ordering::Relaxed);
        }
        self.busy_ticks.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn with_meter(&self, mut note: impl FnMut(&Meter)) {
        if let Some(meter) = self
            .meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_deref()
        {
            note(meter);
        }
    }
}

/// A request's hold on its instance; the instance takes the next request once it is dropped.
#[derive(Debug, Default, Clone)]
pub struct Slot(Arc<SlotInner>);

#[derive(Debug, Default)]
struct SlotInner(Mutex<SlotState>);

#[derive(Debug, Default)]
enum SlotState {
    #[default]
    Waiting,
    Held(Arc<Pulse>),
    Released,
}

impl Slot {
    fn attach(&self, pulse: Arc<Pulse>) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            SlotState::Released => free(&pulse),
            _ => *state = SlotState::Held(pulse),
        }
    }

    /// Gives the instance free before the last clone of this slot goes.
    pub fn release(&self) {
        self.0.release();
    }
}

impl SlotInner {
    fn release(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SlotState::Held(pulse) = std::mem::replace(&mut *state, SlotState::Released) {
            free(&pulse);
        }
    }
}

impl Drop for SlotInner {
    fn drop(&mut self) {
        self.release();
    }
}

fn free(pulse: &Pulse) {
    pulse.active.fetch_sub(1, Ordering::AcqRel);
    pulse.worker.wake();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_free_once_the_slot_is_gone() {
        let pulse = Arc::new(Pulse::default());
        let slot = Slot::default();
        pulse.begin(&slot, Arc::default());
        let copy = slot.clone();
        drop(slot);
        assert_eq!(pulse.active(), 1);
        drop(copy);
        assert_eq!(pulse.active(), 0);
    }

    #[test]
    fn releasing_twice_counts_once() {
        let pulse = Arc::new(Pulse::default());
        let slot = Slot::default();
        pulse.begin(&slot, Arc::default());
        slot.release();
        slot.release();
        drop(slot);
        assert_eq!(pulse.active(), 0);
    }

    #[test]
    fn an_instance_hears_that_its_caller_has_gone() {
        let pulse = Arc::new(Pulse::default());
        let meter = Arc::new(Meter::default());
        pulse.begin(&Slot::default(), meter.clone());
        assert!(!pulse.abandoned());
        meter.note_abandoned();
        assert!(pulse.abandoned());
        pulse.begin(&Slot::default(), Arc::default());
        assert!(!pulse.abandoned());
    }

    #[test]
    fn progress_forgives_busy_ticks() {
        let pulse = Arc::new(Pulse::default());
        let meter = Arc::new(Meter::default());
        pulse.begin(&Slot::default(), meter.clone());
        assert_eq!(pulse.count_busy_tick(), 1);
        assert_eq!(pulse.count_busy_tick(), 2);
        meter.note_progress();
        assert_eq!(pulse.count_busy_tick(), 1);
    }
}
