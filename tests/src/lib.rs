//! The harness of the black-box tests: nodes as processes, shops in real databases, readers in the background, an HTTP client.
//!
//! [`Node`] runs the built program `hotshelf` in a folder of its own; [`Shop`] is a database with products that tests change
//! behind the node's back; [`Load`] reads at random, counts what it got and checks that each document belongs to its id;
//! [`client`] speaks HTTP/1.1 in a way that also permits what no decent client sends. Everything blocks: a test is a plain
//! function. When a test ends without failing, the node's log must not hold a panic.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

pub mod chaos;
pub mod client;
pub mod load;
pub mod near;
pub mod node;
pub mod runtime;
pub mod shop;
pub mod time;

pub use client::{Address, Connection, Reply};
pub use load::{Counts, Load};
pub use near::NearCache;
pub use node::{Node, Stopped};
pub use shop::{Shop, product};
pub use time::{Stopwatch, pause, stopwatch};
