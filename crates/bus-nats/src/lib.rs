//! The bus over NATS: a subject for each channel, and a JetStream stream that keeps rows for nodes that were away.
//!
//! Nodes listen to the subjects themselves and not through a consumer of the stream: a row then arrives although JetStream has no
//! leader, no room or no stream, and none of the state that a consumer keeps can be lost, purged or reset under it. The stream takes
//! what passes on the rows' subject; a node that comes back reads from it what it missed.
//!
//! One task keeps one connection. Connections are not left to the client library to mend: it would go on trying for ever after the
//! bus was dropped. A connection that is lost ends its session (`session`), and the task (`link`) makes the next one.
//!
//! **Invariant:** [`NatsBus::publish`](hotshelf_model::Bus::publish) waits for nothing, and nothing is sent twice: what cannot be sent now is dropped and counted,
//! because nodes read the database anyway.
//! **Invariant:** the stream's sequence numbers mean nothing outside `stream`.

mod bus;
mod link;
mod rarely;
mod session;
mod settings;
mod stream;

pub use bus::NatsBus;
pub use settings::{NatsSettings, NatsTls};

#[cfg(test)]
mod tests;
