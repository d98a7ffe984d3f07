//! The locks and atomics of the ledger and of the flights, in one place so that a scheduler under test can stand in for them.

#[cfg(not(all(test, feature = "interleavings")))]
pub(crate) use {
    parking_lot::{Mutex, MutexGuard, RwLock},
    std::sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

#[cfg(all(test, feature = "interleavings"))]
pub(crate) use scheduled::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, RwLock};

/// The same, each a point at which the scheduler may switch threads.
#[cfg(test)]
#[cfg(feature = "interleavings")]
mod scheduled {
    use shuttle::sync;

    pub(crate) use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    #[derive(Debug)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            RwLock(sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}
