//! The engine over fakes of every seam: each test is one situation of a shop.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod batch;
mod explain;
mod fill;
mod follow;
mod follower;
mod hot;
mod observe;
mod posted;
mod proof;
mod properties;
mod prover;
mod read;
mod shop;
mod stale;
mod switches;
mod warm;
