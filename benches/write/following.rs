//! What a node that leads takes of the database's server while nothing is written.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_benches::args::Args;
use hotshelf_benches::{shelf, table};
use hotshelf_engine::{Cache, EngineSettings};
use hotshelf_model::{ChangeLog, ClusterLeases, Namespace, Origin, VariantSchema};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::shop::{Shop, Triggers};

/// Between two looks whether the node is ready.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) fn measure(shop: &Shop, args: &Args) -> anyhow::Result<()> {
    let seconds = args.size(20, 1);
    table::heading(&format!(
        "one node that polls and gives changes their positions, nothing is written, {seconds} s"
    ));
    let mut rows = Vec::new();
    for interval in [1, 10, 100, 1000].map(Duration::from_millis) {
        let time = Duration::from_secs(seconds);
        let ((), cost) = shop.cost(|| follow(shop, interval, time))?;
        rows.push(vec![
            format!("every {interval:?}"),
            format!("{:.1} %", cost.cpu_ns / cost.wall_ns * 100.0),
        ]);
    }
    table::rows(&["positions are given", "of a processor"], &rows);
    Ok(())
}

/// Follows for so long from when the node is ready.
fn follow(shop: &Shop, sequence_interval: Duration, time: Duration) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let schema = VariantSchema::default();
        let query = NamespaceQuery::products(shelf::products(), Dialect::Postgres, schema);
        let settings = SqlSettings {
            url: shop.url(Triggers::On),
            ..SqlSettings::default()
        };
        let namespace = Namespace {
            shape: query.shape(),
            ..shelf::namespace()
        };
        let origin = Arc::new(SqlOrigin::connect_lazy(&settings, vec![query])?);
        let settings = EngineSettings {
            sequence_interval,
            ..EngineSettings::default()
        };
        let cache = Cache::builder(Arc::clone(&origin) as Arc<dyn ChangeLog>)
            .settings(settings)
            .cluster_leases(Arc::clone(&origin) as Arc<dyn ClusterLeases>)
            .namespace(namespace, Arc::clone(&origin) as Arc<dyn Origin>)
            .start();
        while !cache.is_ready() {
            sleep(LOOK).await;
        }
        sleep(time).await;
        cache.stop().await;
        anyhow::Ok(())
    })
}
