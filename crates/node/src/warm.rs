//! Warm-ups: what the configuration makes of them.

use std::collections::HashMap;
use std::sync::Arc;

use hotshelf_config::{Config, NamespaceSource};
use hotshelf_engine::Cache;
use hotshelf_model::{Clock, NamespaceName, ProductFinder};
use hotshelf_origin_sql::SqlOrigin;
use hotshelf_warm::{WarmParts, WarmSettings, Warmer};
use tokio::task::AbortHandle;

use crate::origins::Origins;
use crate::settings::NodeName;

/// Who plans warm-ups, and works on them from now on in a task that is to be aborted, over a cache that runs.
pub(crate) fn start(
    config: &Config,
    node: &NodeName,
    origins: &Origins,
    cache: &Cache,
    clock: &Arc<dyn Clock>,
) -> (Warmer, AbortHandle) {
    let (warm, origin) = (config.warm(), config.origin());
    let share = origin.concurrency_max * usize::from(origin.warm_share_percent) / 100;
    let warmer = Warmer::new(WarmParts {
        cache: cache.clone(),
        clock: Arc::clone(clock),
        jobs: Arc::clone(&origins.sql) as _,
        finders: finders(config, &origins.sql),
        leases: origins.leases(config),
        nodes: Arc::clone(&origins.sql) as _,
        process: format!("{}/{:08x}", node.name, rand::random::<u32>()),
        node: node.name.clone(),
        settings: WarmSettings {
            ids_max: warm.ids_max,
            keys_per_second_max: warm.keys_per_second_max,
            statements_at_once: share.max(1),
        },
    });
    let working = tokio::spawn(warmer.clone().run());
    (warmer, working.abort_handle())
}

/// Only of hotshelf's own tables it is known where a product's category stands.
fn finders(
    config: &Config,
    sql: &Arc<SqlOrigin>,
) -> HashMap<NamespaceName, Arc<dyn ProductFinder>> {
    let namespaces = config.namespaces().iter();
    let own = namespaces.filter(|namespace| matches!(namespace.source, NamespaceSource::Catalogue));
    own.map(|namespace| {
        let finder = Arc::clone(sql) as Arc<dyn ProductFinder>;
        (namespace.namespace.name.clone(), finder)
    })
    .collect()
}
