//! The suites that every adapter behind a seam passes; a failure panics with the sentence that does not hold.

mod cluster_leases;
mod leases;
mod odd_ids;
mod origin;
mod tier;

pub use cluster_leases::cluster_leases;
pub use leases::leases;
pub use origin::{OriginSubject, ProductWriter, origin};
pub use tier::tier;
