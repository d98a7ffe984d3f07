//! A timer that is exact to microseconds.
//!
//! The runtime's own is exact to a millisecond, in which twenty requests would leave at once at 20,000 a second.

use std::io;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe;

/// A timer of the kernel's. To the runtime it is a pipe: something that becomes readable, and is then read without blocking.
#[derive(Debug)]
pub(crate) struct Timer(pipe::Receiver);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        pipe::Receiver::from_owned_fd_unchecked(fd).map(Timer)
    }

    /// Waits. When dropped before the time has passed, the next wait begins anew.
    pub(crate) async fn wait(&mut self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            // It would disarm the timer.
            return Ok(());
        }
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(time).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)?;
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut [0; 8]) {
                // Readiness of an earlier wait.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_never_ends_early_and_can_be_waited_for_again() {
        let mut timer = Timer::new().unwrap();
        for us in [0, 1, 50, 300, 2000] {
            let (begun, time) = (Instant::now(), Duration::from_micros(us));
            timer.wait(time).await.unwrap();
            assert!(begun.elapsed() >= time);
        }
        let long = timer.wait(Duration::from_secs(3600));
        assert!(tokio::time::timeout(Duration::ZERO, long).await.is_err());
        timer.wait(Duration::from_micros(1)).await.unwrap();
    }
}
