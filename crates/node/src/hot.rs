//! Hot keys: what `[hot]` makes of a node.

use std::sync::Arc;

use hotshelf_config::Config;
use hotshelf_model::Clock;
use hotshelf_promotion::{Cluster, Counter, Limits, Prepared, Promoter, PromoterSettings};

use crate::settings::NodeName;

/// The file of the hot set, in `node.data_dir`.
const SNAPSHOT: &str = "hot.snapshot";

/// Prepares to look for hot keys, where the configuration wants that. Without a cluster, the node's own reads are all there are.
pub(crate) fn prepare(
    config: &Config,
    node: &NodeName,
    clock: &Arc<dyn Clock>,
    cluster: Option<Cluster>,
) -> Option<(Prepared, Counter)> {
    let hot = config.hot();
    let l1_bytes = config.l1().bytes_max as u64;
    let settings = PromoterSettings {
        node: node.number,
        rules: hot.rules.clone(),
        limits: Limits {
            keys_max: hot.keys_max,
            bytes_max: l1_bytes / 100 * u64::from(hot.l1_share_percent),
        },
        frame_bytes_max: hot.frame_bytes_max,
        snapshot: Some(config.node().data_dir.join(SNAPSHOT)),
    };
    let clock = Arc::clone(clock);
    hot.enabled
        .then(|| Promoter::prepare(settings, clock, cluster))
}
