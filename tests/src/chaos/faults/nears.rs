//! Faults of near caches and of the lines to their nodes. While one is away, nobody counts what it does not answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_sim::Random;

use super::Kind;
use crate::chaos::world::Near;
use crate::chaos::writers::Scene;
use crate::time::pause;

/// Milliseconds that a fault takes.
const SOME_TIME: (u32, u32) = (500, 5000);
/// Beyond the staleness bound.
const LATE: Duration = Duration::from_secs(3);
/// So long that events arrive that are so late.
const LONGER: (u32, u32) = (5000, 8000);
/// A near cache that does not reach its node again after this never will.
const BACK_LIMIT: Duration = Duration::from_secs(30);

pub(crate) const NEARS: &[Kind] = &[
    Kind::harmless("near_cache_killed", |scene, random| {
        let mend: Act = |near| near.cache.start_again();
        broken(scene, random, SOME_TIME, |near| near.cache.kill(), mend)
    }),
    Kind::harmless("near_cache_paused", |scene, random| {
        let mend: Act = |near| near.cache.resume();
        broken(scene, random, SOME_TIME, |near| near.cache.pause(), mend)
    }),
    Kind::harmless("near_cache_line_cut", |scene, random| {
        broken(scene, random, SOME_TIME, |near| near.line.cut(), HEAL)
    }),
    Kind::harmless("near_cache_line_stalled", |scene, random| {
        broken(scene, random, SOME_TIME, |near| near.line.stall(), HEAL)
    }),
    // An event is not to be taken for what is true when it arrives.
    Kind::harmless("near_cache_line_late", |scene, random| {
        broken(scene, random, LONGER, |near| near.line.delay(LATE), HEAL)
    }),
    Kind::harmless("near_cache_line_wavering", wavering),
];

type Act = fn(&Near);

const HEAL: Act = |near| near.line.heal();

fn any_near<'a>(scene: &'a Scene, random: &mut Random) -> &'a Near {
    random.pick(&scene.world.nears)
}

fn broken(
    scene: &Scene,
    random: &mut Random,
    (least_ms, most_ms): (u32, u32),
    breaks: Act,
    mends: Act,
) -> anyhow::Result<()> {
    let near = any_near(scene, random);
    near.is_away.store(true, Ordering::Release);
    breaks(near);
    scene.record.pass(random.millis(least_ms, most_ms));
    mends(near);
    let begun = scene.record.now();
    while !reaches_node(scene, near) {
        let waited = scene.record.now() - begun;
        anyhow::ensure!(
            waited < BACK_LIMIT,
            "the {} did not come back",
            near.cache.name()
        );
        pause(Duration::from_millis(20));
    }
    near.is_away.store(false, Ordering::Release);
    Ok(())
}

/// A node that is away itself is not waited for.
fn reaches_node(scene: &Scene, near: &Near) -> bool {
    scene.world.is_away(near.node) || near.cache.reaches_node()
}

/// What was sent while the line was slow is overtaken by what is sent on another connection when it is not: an answer by a change.
fn wavering(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let near = any_near(scene, random);
    for _ in 0..random.below(10) + 5 {
        near.line.delay(random.millis(50, 400));
        scene.record.pass(random.millis(50, 300));
        near.line.heal();
        scene.record.pass(random.millis(50, 300));
    }
    Ok(())
}
