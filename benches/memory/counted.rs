//! The allocator that counts.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes more there are; less, if it is negative.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(pub(crate) i64);

/// Counts from when it was made.
pub(crate) struct Counter(Region<'static, System>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(Region::new(ALLOCATOR))
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let change = self.0.change();
        let count = |bytes| i64::try_from(bytes).expect("memory is smaller");
        Bytes(count(change.bytes_allocated) - count(change.bytes_deallocated))
    }

    pub(crate) fn allocations(&self) -> f64 {
        let change = self.0.change();
        (change.allocations + change.reallocations) as f64
    }
}
