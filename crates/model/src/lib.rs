//! The nouns of hotshelf, the stored bytes of an entry, and the seams between the engine and the outside.
//!
//! Reading order: [`key`], [`version`], [`entry`], [`envelope`], [`lookup`], [`log`], [`message`], [`bus`], [`seams`],
//! [`writer`], [`setting`], [`cluster`], [`warm`]. This crate does no I/O.
#![warn(missing_docs)]

pub mod access;
pub mod breaker;
pub mod bus;
pub mod clock;
pub mod cluster;
pub mod entry;
pub mod envelope;
pub mod error;
pub mod key;
pub mod log;
pub mod lookup;
pub mod message;
pub mod namespace;
pub mod product;
pub mod read;
pub mod sealed;
pub mod seams;
pub mod setting;
pub mod variant;
pub mod varint;
pub mod version;
pub mod warm;
pub mod writer;

mod bincoded;

pub use access::{AccessToken, Role, UnknownRole};
pub use breaker::{Breaker, BreakerSettings, Pass};
pub use bus::{Bus, BusEvent, Channel, Feed, Inbox, Mailbox, Published};
pub use clock::{Boot, BootClock, Clock, DbTime};
pub use cluster::{ClusterNodes, KnownNode, NodeFacts};
pub use entry::{Body, Encoding, Entry, FillFacts, Kind, Parent, Parents};
pub use error::{Error, ErrorKind, FieldProblem};
pub use key::{Id, Key, KeyRef, NamespaceName, TierKey};
pub use log::{Hint, LogRead, LogRow, Record};
pub use lookup::{Lookup, MissReason, PutOutcome, ReadOutcome, TierName, UnavailableReason};
pub use message::{Message, MessageError, Ping};
pub use namespace::{FreshnessPolicy, Namespace};
pub use product::Product;
pub use read::{Asker, Read, ReadObserver};
pub use seams::{
    BoxFuture, BreakerState, ChangeLog, ClusterLeases, Fetch, FetchRequest, FetchedDocument, Head,
    LeaseOutcome, LeaseToken, Leases, Origin, Poll, Tier, TierRoom, TierStatus, Versions,
};
pub use setting::{ClusterSetting, ClusterSettings, SettingChange, SettingOutcome};
pub use variant::{Dimension, Variant, VariantSchema};
pub use version::{Hist, Position, Shape, Stamp, Timeline, Version, VersionToken};
pub use warm::{
    NewWarmJob, ProductFinder, Selection, WarmChange, WarmCounts, WarmJob, WarmJobId, WarmJobs,
    WarmPart, WarmState, WarmTiers,
};
pub use writer::{
    ChangeRecorder, PostedChange, ProductChange, ProductFields, ProductWrite, ProductWriter,
    Recorded, WriteEffect, WriteOutcome,
};
