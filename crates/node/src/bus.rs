//! The bus between nodes.

use std::sync::Arc;

use hotshelf_bus_nats::NatsBus;
use hotshelf_config::Config;
use hotshelf_model::Bus;

use crate::settings::{self, NodeName};
use crate::tiers;

/// Starts to connect to the configured bus. One that is down is no error; certificates and credentials are read at each attempt.
pub(crate) fn open(config: &Config, node: &NodeName) -> anyhow::Result<Option<Arc<dyn Bus>>> {
    let Some(nats) = config.bus() else {
        return Ok(None);
    };
    let bus = NatsBus::connect(settings::nats(nats, node), rand::random());
    let bus = bus.map_err(|problems| anyhow::anyhow!(tiers::listed("bus", &problems)))?;
    Ok(Some(bus))
}
