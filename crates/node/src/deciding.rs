//! What operators decide while the node runs: from the database to the engine, the detector and the log.

use std::sync::Arc;

use hotshelf_decisions::{CarryOut, Decisions, Effective, Watcher};
use hotshelf_engine::Cache;
use hotshelf_http_api::Decided;
use hotshelf_promotion::HotKeys;
use hotshelf_telemetry::logging;
use tokio::task::AbortHandle;

use crate::origins::Origins;
use crate::settings::NodeName;

/// What decisions change besides the engine.
#[derive(Debug)]
struct Others {
    hot: Option<HotKeys>,
}

impl CarryOut for Others {
    fn carry_out(&self, effective: &Effective) {
        if let Some(hot) = &self.hot {
            hot.freeze(effective.promotion_frozen);
        }
        if let Err(error) = logging::set_filter(effective.log_filter.as_deref()) {
            tracing::error!(%error, "the log keeps its filter");
        }
    }
}

/// Begins to follow what operators decide, and all other settings that `watcher` looks at; gives the tasks that do.
pub(crate) fn follow(
    node: &NodeName,
    origins: &Origins,
    cache: &Cache,
    watcher: Watcher,
    hot: Option<HotKeys>,
) -> (Decided, [AbortHandle; 2]) {
    let others = Arc::new(Others { hot });
    let decisions = Decisions::new(&node.name, cache.clone(), watcher.clone(), others);
    let tasks = [
        tokio::spawn(decisions.clone().keep_time()),
        tokio::spawn(watcher.follow()),
    ];
    let decided = Decided {
        decisions,
        finder: origins.finder(),
    };
    (decided, tasks.map(|task| task.abort_handle()))
}
