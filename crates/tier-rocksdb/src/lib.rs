//! L3: entries in RocksDB on this machine's disk, as [`RocksTier`].
//!
//! The tier is written without a write-ahead log. After a crash it may hold overwritten and removed copies again; that is safe,
//! because the engine admits every copy by its stamp. What is here protects the reads instead: lookups run on threads of their
//! own behind a bounded queue and a deadline, writes on others, so that neither a slow disk nor a full one holds up a reader.
//!
//! RocksDB is used as one ring of files (FIFO compaction): the oldest file goes when the files outgrow their limit or their age.

mod admission;
mod deadline;
mod disk;
mod folder;
mod options;
mod pool;
mod settings;
mod tier;
mod upkeep;

pub use settings::{PutAdmission, RocksSettings};
pub use tier::RocksTier;
