//! SQLite: the one node that serves it.
//!
//! A file belongs to one machine and is written by one process, which knows itself: a row every few seconds would only wear the disk.

use std::time::Duration;

use hotshelf_model::{DbTime, KnownNode, NodeFacts};
use sqlx::{Row as _, SqlStr};

use super::Sqlite;
use crate::snapshot::unsigned;

const NOW: SqlStr =
    SqlStr::from_static("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms");

/// The node, as it last said that it is there.
#[derive(Clone, Debug)]
pub(super) struct OwnNode {
    facts: NodeFacts,
    uptime: Duration,
    seen_at: DbTime,
}

impl Sqlite {
    pub(crate) async fn beat(&self, node: &NodeFacts, uptime: Duration) -> Result<(), sqlx::Error> {
        let seen_at = self.now().await?;
        *self.node.lock() = Some(OwnNode {
            facts: node.clone(),
            uptime,
            seen_at,
        });
        Ok(())
    }

    pub(crate) fn leave(&self, node: &NodeFacts) {
        self.node.lock().take_if(|own| own.facts == *node);
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<KnownNode>, sqlx::Error> {
        let now = self.now().await?;
        let known = |own: OwnNode| KnownNode {
            facts: own.facts,
            started: own.seen_at.minus(own.uptime),
            seen: now.since(own.seen_at),
        };
        Ok(self.node.lock().clone().map(known).into_iter().collect())
    }

    async fn now(&self) -> Result<DbTime, sqlx::Error> {
        let rows = self.read(sqlx::query(NOW)).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        row.try_get("now_ms").map(unsigned).map(DbTime)
    }
}
