//! Stand-ins for every seam: in memory, obedient, and counting what is asked of them.
//!
//! They wait with `tokio::time`, so a test with a paused clock takes no time, and they hold calls at a [`Gate`], so a test
//! decides the order of events instead of hoping for it.

mod bus;
mod clock;
mod gate;
mod leases;
mod nodes;
mod origin;
mod settings;
mod tier;
mod writer;

pub use bus::{BusFaultCounts, BusFaults, FakeBus, FakeHub};
pub use clock::ManualClock;
pub use gate::Gate;
pub use leases::FakeLeases;
pub use nodes::FakeNodes;
pub use origin::FakeOrigin;
pub use settings::FakeSettings;
pub use tier::FakeTier;
pub use writer::FakeWriter;
