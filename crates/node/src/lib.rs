//! The composition root: a [`Config`](hotshelf_config::Config) becomes a running node. The only crate that names every adapter.

mod bus;
mod deciding;
mod hot;
mod node;
mod origins;
mod process;
mod recording;
mod settings;
mod tiers;
mod warm;

pub use node::{Addresses, Node, Stopped};
pub use origins::{attachments, check_queries, open_database};
pub use process::{Process, prepare};
