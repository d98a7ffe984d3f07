//! Faults of nodes and of their disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use hotshelf_sim::Random;

use super::{Kind, any_node};
use crate::chaos::caller::Caller;
use crate::chaos::world::{DATABASE, STREAM};
use crate::chaos::writers::{Scene, write_by_api};

/// Requests that wait for a node that sleeps, and those that it answers without a proof when it wakes.
const SHARE: f64 = 0.05;
/// In one file.
const BITS_FLIPPED: u32 = 20;

/// Needs a disk that can be filled.
pub(crate) const DISK_FULL: &str = "disk_full";

pub(crate) const NODES: &[Kind] = &[
    Kind::harmful("node_killed", SHARE, killed),
    Kind::harmful("node_killed_after_a_write", SHARE, killed_after_a_write),
    Kind::harmful("node_paused", SHARE, paused),
    Kind::harmful("log_trimmed_behind_a_node", SHARE, trimmed_behind),
    Kind::harmful("disk_bits_flipped", SHARE, bits_flipped),
    Kind::harmful("l3_put_back", SHARE, put_back),
    Kind::harmless(DISK_FULL, disk_full),
];

fn killed(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    scene.world.kill(node);
    scene.record.pass(random.millis(0, 2000));
    scene.world.start_again(node);
    Ok(())
}

/// The commit is acknowledged; its hint and its log row may or may not have been sent.
fn killed_after_a_write(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    let mut caller = Caller::new(&scene.world);
    let product = random.skewed(scene.products);
    write_by_api(scene, &mut caller, node, product, "PUT");
    scene.world.kill(node);
    scene.record.pass(random.millis(500, 1500));
    scene.world.start_again(node);
    Ok(())
}

fn paused(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    scene.world.nodes[node].pause();
    scene.record.pass(random.millis(1000, 5000));
    scene.world.nodes[node].resume();
    Ok(())
}

/// A node sleeps, and what it missed is gone from the log and from the stream when it wakes.
fn trimmed_behind(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    scene.world.nodes[node].pause();
    scene.record.pass(random.millis(1000, 3000));
    let trimmed = trim(scene);
    // NATS may be down just now; then the node finds rows in the stream, or none.
    scene.world.nats.purge_stream(STREAM).ok();
    scene.world.nodes[node].resume();
    trimmed
}

/// Removes every row of the log but the head.
pub(super) fn trim(scene: &Scene) -> anyhow::Result<()> {
    let prune = "SELECT hotshelf.prune_log(interval '0', 1000000, 1000000)";
    scene.world.database().sql(DATABASE, prune).map(drop)
}

fn bits_flipped(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    scene.world.stop(node);
    let mut held = files(&scene.world.nodes[node].data_dir());
    held.extend(files(&scene.l3(node)));
    // Either anything at all, the checkpoint and RocksDB's own lists included, or what holds documents.
    if random.chance(50) {
        held.retain(|file| file.extension().is_some_and(|kind| kind == "sst"));
    }
    held.sort();
    for _ in 0..4 {
        if !held.is_empty() {
            let file: &PathBuf = random.pick(&held);
            flip(file, random);
        }
    }
    scene.world.start_again(node);
    anyhow::ensure!(!held.is_empty(), "there is no file");
    Ok(())
}

/// Every file below a folder that holds anything.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if entry.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            found.push(path);
        }
    }
    found
}

fn flip(file: &Path, random: &mut Random) {
    let mut bytes = fs::read(file).unwrap();
    for _ in 0..BITS_FLIPPED {
        let at = random.below(u32::try_from(bytes.len()).unwrap()) as usize;
        bytes[at] ^= 1 << random.below(8);
    }
    fs::write(file, bytes).unwrap();
}

/// The tier on disk is what it was a while ago, and the rest of the data folder is not.
fn put_back(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let node = any_node(scene, random);
    let folder = scene.l3(node);
    let copy = tempfile::Builder::new()
        .prefix("hotshelf-copy-")
        .tempdir()
        .unwrap();
    let kept = copy.path().join("l3");
    scene.world.stop(node);
    copy_folder(&folder, &kept);
    scene.world.start_again(node);
    scene.record.pass(random.millis(1000, 3000));
    if random.chance(50) {
        scene.world.kill(node);
    } else {
        scene.world.stop(node);
    }
    fs::remove_dir_all(&folder)?;
    copy_folder(&kept, &folder);
    scene.world.start_again(node);
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success(), "copying {}", from.display());
}

fn disk_full(scene: &Scene, random: &mut Random) -> anyhow::Result<()> {
    let disk = scene.world.disk.as_ref().context("there is no disk")?;
    disk.fill()?;
    scene.record.pass(random.millis(2000, 5000));
    disk.empty()
}
