//! An allocator that counts: the only place that sees everything an interpreter takes. Past its bounds it calls for an end,
//! which never returns: an allocation cannot fail in a way that the interpreter's caller could handle.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Bytes in use.
    Memory(usize),
    /// The time, as the caller's own clock has it.
    Time,
}

/// Allocations between two looks at the clock.
const BETWEEN: usize = 4_096;
/// Bytes that are left for the end itself.
const RESERVE: usize = 8 << 20;

/// An allocator over another with a bound on the bytes in use. `late` says whether the time is over.
pub struct Meter<A> {
    inner: A,
    most: usize,
    late: fn() -> bool,
    end: fn(Exceeded),
    used: AtomicUsize,
    made: AtomicUsize,
    ended: AtomicBool,
}

impl<A> Meter<A> {
    /// Counts what `inner` gives out; past `most` bytes, or once `late`, calls `end`, at most once.
    pub const fn new(inner: A, most: usize, late: fn() -> bool, end: fn(Exceeded)) -> Self {
        Self {
            inner,
            most,
            late,
            end,
            used: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Notes `more` bytes; false where they are not to be had.
    fn take(&self, more: usize) -> bool {
        let used = self.used.fetch_add(more, Ordering::Relaxed);
        let used = used.saturating_add(more);
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        let exceeded = if used > self.most {
            Some(Exceeded::Memory(self.most))
        } else {
            let looks = !ended && made.is_multiple_of(BETWEEN);
            (looks && (self.late)()).then_some(Exceeded::Time)
        };
        match exceeded {
            None => true,
            // The end itself needs some room.
            Some(_) if ended && used <= self.most.saturating_add(RESERVE) => true,
            Some(exceeded) => {
                self.give_back(more);
                self.stop(exceeded);
                false
            }
        }
    }

    #[cold]
    fn stop(&self, exceeded: Exceeded) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            (self.end)(exceeded);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the inner allocator as it came, or is answered with null, which means that there is no memory.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Meter<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !self.take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.give_back(layout.size());
        // SAFETY: the caller's promise.
        unsafe { self.inner.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while one is copied to the other.
        if !self.take(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        let moved = unsafe { self.inner.realloc(pointer, layout, size) };
        self.give_back(if moved.is_null() { size } else { layout.size() });
        moved
    }
}
