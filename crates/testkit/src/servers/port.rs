//! Ports that nothing listens on.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections, so that a server that is down for a moment
/// finds its port free again, and a client that reconnects to it cannot connect to itself.
const FIRST: u32 = 16_000;
const COUNT: u32 = 16_000;

/// Test processes that run side by side begin at different places.
static NEXT: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(2_654_435_761) % COUNT));

/// A TCP port on 127.0.0.1 that was free a moment ago.
///
/// # Panics
/// When 16,000 ports are in use.
pub fn free_port() -> u16 {
    let free = (0..COUNT).find_map(|_| {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = u16::try_from(port).ok()?;
        TcpListener::bind(("127.0.0.1", port))
            .is_ok()
            .then_some(port)
    });
    assert!(
        free.is_some(),
        "no free port between {FIRST} and {}",
        FIRST + COUNT
    );
    free.unwrap_or_default()
}
