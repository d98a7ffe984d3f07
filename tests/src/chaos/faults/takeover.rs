//! The failover: a standby that lagged becomes the database, without the last commits.

use std::sync::Arc;

use anyhow::Context as _;
use hotshelf_sim::Random;

use super::Kind;
use crate::chaos::database::Database;
use crate::chaos::writers::Scene;

pub(crate) const TAKEOVER: Kind = Kind::harmful("database_taken_over", 0.8, take_over);

fn take_over(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let standby = scene.world.take_standby().context("there is no standby")?;
    standby.stop_following()?;
    // What is committed from here on will be lost.
    scene.record.pass(random.millis(500, 2000));
    for lines in &scene.world.lines {
        lines.database.cut();
    }
    scene.world.database().kill();
    standby.promote()?;
    let standby = Arc::new(standby);
    let held = Database::of(&standby).held();
    let held = held.context("the new primary does not say what it holds")?;
    let versions = held.iter().map(|held| (held.product, held.version));
    let versions = versions.collect();
    scene.world.use_database(standby);
    let now = scene.record.now();
    *scene.record.takeover.lock() = Some((now, versions));
    for lines in &scene.world.lines {
        lines.database.heal();
    }
    Ok(())
}
