//! The table of a cluster's nodes in memory.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{
    Boot, BoxFuture, Clock, ClusterNodes, DbTime, Error, ErrorKind, KnownNode, NodeFacts,
};
use parking_lot::Mutex;

/// A fake of the table in which nodes say that they are there; `clock` is the database's.
#[derive(Debug)]
pub struct FakeNodes {
    clock: Arc<dyn Clock>,
    rows: Mutex<Vec<(NodeFacts, Duration, Boot)>>,
    failing: Mutex<bool>,
}

impl FakeNodes {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        FakeNodes {
            clock,
            rows: Mutex::default(),
            failing: Mutex::default(),
        }
    }

    /// Whether every call fails from now on.
    pub fn fail(&self, failing: bool) {
        *self.failing.lock() = failing;
    }

    fn check(&self) -> Result<(), Error> {
        match *self.failing.lock() {
            true => Err(Error::new(ErrorKind::OriginFailed, "a test said so")),
            false => Ok(()),
        }
    }
}

impl ClusterNodes for FakeNodes {
    fn beat<'a>(
        &'a self,
        node: &'a NodeFacts,
        uptime: Duration,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check()?;
            let mut rows = self.rows.lock();
            rows.retain(|(facts, ..)| (&facts.name, &facts.admin) != (&node.name, &node.admin));
            rows.push((node.clone(), uptime, self.clock.now()));
            rows.sort_by(|(one, ..), (other, ..)| {
                (&one.name, &one.admin).cmp(&(&other.name, &other.admin))
            });
            Ok(())
        })
    }

    fn leave<'a>(&'a self, node: &'a NodeFacts) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check()?;
            self.rows.lock().retain(|(facts, ..)| facts != node);
            Ok(())
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KnownNode>, Error>> {
        Box::pin(async move {
            self.check()?;
            let now = self.clock.now();
            let known = |(facts, uptime, seen): &(NodeFacts, Duration, Boot)| KnownNode {
                facts: facts.clone(),
                started: DbTime(seen.0 / 1_000_000).minus(*uptime),
                seen: now.since(*seen),
            };
            Ok(self.rows.lock().iter().map(known).collect())
        })
    }
}
