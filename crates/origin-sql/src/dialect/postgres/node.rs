//! PostgreSQL: the nodes.

use std::time::Duration;

use hotshelf_model::{DbTime, KnownNode, NodeFacts};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::snapshot::{millis, unsigned};

const BEAT: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/beat.sql"));
const LEAVE: SqlStr =
    SqlStr::from_static("DELETE FROM hotshelf.cache_node WHERE name = $1 AND admin = $2");
const NODES: SqlStr = SqlStr::from_static(
    "SELECT name, admin, number, version, (extract(epoch FROM started) * 1000)::bigint AS started_ms, \
     (extract(epoch FROM clock_timestamp() - seen) * 1000)::bigint AS seen_ms \
     FROM hotshelf.cache_node WHERE seen > clock_timestamp() - interval '1 day' ORDER BY name, admin",
);

impl Postgres {
    pub(crate) async fn beat(&self, node: &NodeFacts, uptime: Duration) -> Result<(), sqlx::Error> {
        let build = || {
            sqlx::query(BEAT)
                .bind(&node.name)
                .bind(&node.admin)
                .bind(i64::from(node.number))
                .bind(&node.version)
                .bind(millis(uptime))
        };
        // Again on a broken connection, because to be there twice is to be there.
        self.read(&self.writes, build).await.map(drop)
    }

    pub(crate) async fn leave(&self, node: &NodeFacts) -> Result<(), sqlx::Error> {
        let build = || sqlx::query(LEAVE).bind(&node.name).bind(&node.admin);
        self.read(&self.writes, build).await.map(drop)
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<KnownNode>, sqlx::Error> {
        let rows = self.read(&self.documents, || sqlx::query(NODES)).await?;
        rows.iter().map(known).collect()
    }
}

fn known(row: &PgRow) -> Result<KnownNode, sqlx::Error> {
    let number: i64 = row.try_get("number")?;
    Ok(KnownNode {
        facts: NodeFacts {
            name: row.try_get("name")?,
            number: u32::try_from(number).unwrap_or_default(),
            admin: row.try_get("admin")?,
            version: row.try_get("version")?,
        },
        started: DbTime(unsigned(row.try_get("started_ms")?)),
        seen: Duration::from_millis(unsigned(row.try_get("seen_ms")?)),
    })
}
