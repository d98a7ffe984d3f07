//! The locks and atomics of the protocol's smallest cell, in one place so that a scheduler under test can stand in for them.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
