//! HTTP: the routes over the engine, and the listeners that serve them within bounds.
//!
//! Reading order: [`front`] (what every request meets first), `read`, `batch`, `write`, `access`, `changes`, `hot`, `follow`, `explain`, [`membership`],
//! `health`, `problem`, `headers`, `target`, then [`mod@serve`], [`workers`] and `watch` for connections.

pub mod body;
pub mod front;
pub mod listener;
pub mod membership;
pub mod openapi;
pub mod problem;
pub mod request_id;
pub mod routes;
pub mod serve;
pub mod settings;
pub mod state;
pub mod workers;

mod access;
mod asked;
mod batch;
mod changes;
mod counters;
mod decided;
mod explain;
mod follow;
mod headers;
mod health;
mod hot;
mod json_body;
mod lane;
mod prefixed;
mod read;
mod request_body;
mod target;
mod warm;
mod watch;
mod write;

#[cfg(test)]
mod testing;

pub use access::Access;
pub use decided::Decided;
pub use front::Front;
pub use hot::Hot;
pub use listener::{ListenAddress, Listener};
pub use membership::Membership;
pub use openapi::openapi;
pub use problem::Problem;
pub use request_id::RequestId;
pub use routes::{admin_router, public_router};
pub use serve::{Drained, serve};
pub use settings::HttpSettings;
pub use state::{ApiParts, ApiState, Writing};
pub use workers::Workers;
