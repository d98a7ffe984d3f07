//! Faults of the database, of Redis and of NATS, and of the lines to them.

use std::time::Duration;

use hotshelf_testkit::TcpProxy;

use hotshelf_sim::Random;

use super::nodes::trim;
use super::{Kind, some_nodes};
use crate::chaos::world::{Lines, STREAM};
use crate::chaos::writers::Scene;
use crate::time::pause;

/// What is not held cannot be read without the database.
const SHARE: f64 = 0.8;

/// A node that has not made the stream again after this never will.
const STREAM_LIMIT: Duration = Duration::from_secs(20);

pub(crate) const DATABASE: &[Kind] = &[
    Kind::harmful("database_paused", SHARE, database_paused),
    Kind::harmful("database_restarted", SHARE, database_restarted),
    Kind::harmful("database_line_cut", SHARE, |scene, random| {
        cut(scene, random, |lines| &lines.database)
    }),
    Kind::harmful("database_line_stalled", SHARE, |scene, random| {
        stall(scene, random, |lines| &lines.database)
    }),
    Kind::harmful("database_line_slow", SHARE, |scene, random| {
        slow(scene, random, |lines| &lines.database)
    }),
    Kind::harmless("log_trimmed", |scene, _| trim(scene)),
];

pub(crate) const BUS_AND_L2: &[Kind] = &[
    Kind::harmless("redis_paused", |scene, random| {
        scene.world.redis.pause();
        scene.record.pass(random.millis(1000, 5000));
        scene.world.redis.resume();
        Ok(())
    }),
    Kind::harmless("redis_flushed", |scene, _| {
        scene.world.redis.command(&["FLUSHALL"]).map(drop)
    }),
    Kind::harmless("redis_restarted", |scene, random| {
        scene.world.redis.kill();
        scene.record.pass(random.millis(200, 2000));
        scene.world.redis.restart()
    }),
    Kind::harmless("redis_rolled_back", redis_rolled_back),
    Kind::harmless("redis_line_cut", |scene, random| {
        cut(scene, random, |lines| &lines.redis)
    }),
    Kind::harmless("redis_line_stalled", |scene, random| {
        stall(scene, random, |lines| &lines.redis)
    }),
    Kind::harmless("redis_line_slow", |scene, random| {
        slow(scene, random, |lines| &lines.redis)
    }),
    Kind::harmless("nats_paused", |scene, random| {
        scene.world.nats.pause();
        scene.record.pass(random.millis(1000, 5000));
        scene.world.nats.resume();
        Ok(())
    }),
    Kind::harmless("nats_restarted", |scene, random| {
        scene.world.nats.kill();
        scene.record.pass(random.millis(200, 2000));
        scene.world.nats.restart()
    }),
    Kind::harmless("nats_stream_purged", |scene, _| {
        stream_is_there(scene)?;
        scene.world.nats.purge_stream(STREAM)
    }),
    Kind::harmless("nats_stream_deleted", |scene, _| {
        stream_is_there(scene)?;
        scene.world.nats.delete_stream(STREAM)
    }),
    Kind::harmless("nats_line_cut", |scene, random| {
        cut(scene, random, |lines| &lines.nats)
    }),
    Kind::harmless("nats_line_stalled", |scene, random| {
        stall(scene, random, |lines| &lines.nats)
    }),
    Kind::harmless("nats_line_slow", |scene, random| {
        slow(scene, random, |lines| &lines.nats)
    }),
];

/// One that was deleted is made again by the nodes, as soon as they hear of it.
fn stream_is_there(scene: &Scene) -> anyhow::Result<()> {
    let begun = scene.record.now();
    loop {
        match scene.world.nats.stream_info(STREAM) {
            Ok(_) => return Ok(()),
            Err(error) if scene.record.now() > begun + STREAM_LIMIT => return Err(error),
            Err(_) => pause(Duration::from_millis(50)),
        }
    }
}

fn database_paused(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let database = scene.world.database();
    database.pause();
    scene.record.pass(random.millis(1000, 5000));
    database.resume();
    Ok(())
}

fn database_restarted(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let database = scene.world.database();
    database.kill();
    scene.record.pass(random.millis(200, 2000));
    database.restart()
}

/// Redis comes back with what it held a while ago, as after a failover to a replica that lagged.
fn redis_rolled_back(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let redis = &scene.world.redis;
    redis.command(&["SAVE"])?;
    scene.record.pass(random.millis(1000, 3000));
    redis.restart()
}

fn cut(scene: &Scene, random: &mut Random, line: fn(&Lines) -> &TcpProxy) -> anyhow::Result<()> {
    broken(scene, random, line, |proxy, _| proxy.cut())
}

fn stall(scene: &Scene, random: &mut Random, line: fn(&Lines) -> &TcpProxy) -> anyhow::Result<()> {
    broken(scene, random, line, |proxy, _| proxy.stall())
}

fn slow(scene: &Scene, random: &mut Random, line: fn(&Lines) -> &TcpProxy) -> anyhow::Result<()> {
    broken(scene, random, line, TcpProxy::delay)
}

fn broken(
    scene: &Scene,
    random: &mut Random,
    line: fn(&Lines) -> &TcpProxy,
    breaks: fn(&TcpProxy, Duration),
) -> anyhow::Result<()> {
    let nodes = some_nodes(scene, random);
    let delay = random.millis(5, 150);
    let proxies: Vec<&TcpProxy> = nodes
        .iter()
        .map(|&node| line(&scene.world.lines[node]))
        .collect();
    for proxy in &proxies {
        breaks(proxy, delay);
    }
    scene.record.pass(random.millis(1000, 5000));
    for proxy in &proxies {
        proxy.heal();
    }
    Ok(())
}
