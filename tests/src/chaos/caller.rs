//! A client of several nodes that keeps its connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::client::{Address, Connection, Reply};
use crate::node::Node;

/// Beyond every timeout of a healthy node.
const PATIENCE: Duration = Duration::from_secs(4);

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Request {
            method: "GET",
            path,
            headers: &[],
            body: b"",
        }
    }
}

/// Connections to each node, of one actor.
#[derive(Debug)]
pub(super) struct Caller {
    world: Arc<World>,
    addresses: Vec<Address>,
    kept: Vec<Option<Connection>>,
}

impl Caller {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self::of(world, world.nodes.iter().map(Node::address).collect())
    }

    /// A caller of the near caches, in the place of nodes.
    pub(super) fn of_nears(world: &Arc<World>) -> Self {
        let nears = world.nears.iter();
        Self::of(world, nears.map(|near| near.cache.address()).collect())
    }

    fn of(world: &Arc<World>, addresses: Vec<Address>) -> Self {
        let kept = addresses.iter().map(|_| None).collect();
        Caller {
            world: Arc::clone(world),
            addresses,
            kept,
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn nodes_u32(&self) -> u32 {
        u32::try_from(self.addresses.len()).unwrap()
    }

    /// Whether nobody would ask this node now.
    pub(super) fn leaves_out(&self, node: usize) -> bool {
        self.world.is_away(node)
    }

    /// Asks one node. A read that met the end of a kept connection is sent once more on a new one, as every client does; a write is
    /// not, because it may have been made.
    pub(super) fn ask(&mut self, node: usize, request: &Request<'_>) -> io::Result<Reply> {
        let kept = self.kept[node].is_some();
        match self.ask_once(node, request) {
            Err(error) if kept && request.method == "GET" && ended_idle(&error) => {
                self.ask_once(node, request)
            }
            outcome => outcome,
        }
    }

    fn ask_once(&mut self, node: usize, request: &Request<'_>) -> io::Result<Reply> {
        let mut connection = match self.kept[node].take() {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&self.addresses[node])?;
                connection.wait_at_most(PATIENCE)?;
                connection
            }
        };
        connection.send(request.method, request.path, request.headers, request.body)?;
        let reply = connection.read_reply(request.method)?;
        let closes = reply.header("connection");
        if !closes.is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.kept[node] = Some(connection);
        }
        Ok(reply)
    }
}

/// The connection was closed before the node saw the request.
fn ended_idle(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}
