//! An allocator that counts: how often a thread allocates, and how many bytes the process holds.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; each method hands its arguments on unchanged"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

use mimalloc::MiMalloc;

/// The allocator of the binary `hotshelf`, with counters. For `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

static REQUESTED: AtomicI64 = AtomicI64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

/// How often this thread has allocated.
pub fn of_this_thread() -> u64 {
    ALLOCATIONS.try_with(Cell::get).unwrap_or_default()
}

/// Bytes that the process holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// As they were asked for.
    pub requested: i64,
    /// As the allocator rounded them up.
    pub held: i64,
}

impl Bytes {
    /// What is held now.
    pub fn now() -> Self {
        Bytes {
            requested: REQUESTED.load(Ordering::Relaxed),
            held: HELD.load(Ordering::Relaxed),
        }
    }

    /// What is held more than `before`.
    #[must_use]
    pub fn since(self, before: Bytes) -> Bytes {
        Bytes {
            requested: self.requested - before.requested,
            held: self.held - before.held,
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn held(block: *mut u8) -> i64 {
    // SAFETY: called with blocks that this allocator gave out and has not taken back.
    signed(unsafe { MiMalloc.usable_size(block) })
}

fn gained(block: *mut u8, size: usize) {
    // A thread that is ending has no counter any more; what it allocates then is nobody's hit.
    ALLOCATIONS
        .try_with(|count| count.set(count.get() + 1))
        .ok();
    if !block.is_null() {
        REQUESTED.fetch_add(signed(size), Ordering::Relaxed);
        HELD.fetch_add(held(block), Ordering::Relaxed);
    }
}

fn lost(block: *mut u8, size: usize) {
    REQUESTED.fetch_sub(signed(size), Ordering::Relaxed);
    HELD.fetch_sub(held(block), Ordering::Relaxed);
}

// SAFETY: every method passes its arguments to the same method of `MiMalloc` and its answer back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the trait's contract.
        let block = unsafe { MiMalloc.alloc(layout) };
        gained(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the trait's contract.
        let block = unsafe { MiMalloc.alloc_zeroed(layout) };
        gained(block, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        lost(block, layout.size());
        // SAFETY: the caller keeps the trait's contract.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        lost(block, layout.size());
        // SAFETY: the caller keeps the trait's contract.
        let moved = unsafe { MiMalloc.realloc(block, layout, size) };
        if moved.is_null() {
            gained(block, layout.size());
        } else {
            gained(moved, size);
        }
        moved
    }
}
