//! The nodes, as they find each other through the database.

use std::time::Duration;

use hotshelf_model::{BoxFuture, ClusterNodes, Error, KnownNode, NodeFacts};

use crate::failure::failed;
use crate::{Database, SqlOrigin};

impl ClusterNodes for SqlOrigin {
    fn beat<'a>(
        &'a self,
        node: &'a NodeFacts,
        uptime: Duration,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let beaten = match &self.database {
                Database::Postgres(database) => database.beat(node, uptime).await,
                Database::Sqlite(database) => database.beat(node, uptime).await,
            };
            beaten.map_err(|error| failed("saying that this node is there", error))
        })
    }

    fn leave<'a>(&'a self, node: &'a NodeFacts) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let left = match &self.database {
                Database::Postgres(database) => database.leave(node).await,
                Database::Sqlite(database) => {
                    database.leave(node);
                    Ok(())
                }
            };
            left.map_err(|error| failed("saying that this node stops", error))
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KnownNode>, Error>> {
        Box::pin(async move {
            let nodes = match &self.database {
                Database::Postgres(database) => database.nodes().await,
                Database::Sqlite(database) => database.nodes().await,
            };
            nodes.map_err(|error| failed("reading which nodes there are", error))
        })
    }
}
