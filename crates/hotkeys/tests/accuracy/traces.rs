//! Real requests for product pages, with a surge that is ours: the keys and their order are real, the times are not.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::cluster::{Keys, Load, Setup, run};

/// The keys of a cache2k trace in the order of the requests: xz around big-endian 32-bit numbers.
fn trace(name: &str, requests_max: usize) -> Option<Vec<u32>> {
    let folder = std::env::var_os("HOTSHELF_DATA").map(PathBuf::from);
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = folder
        .unwrap_or_else(default)
        .join("traces")
        .join(format!("{name}.trace.xz"));
    let Ok(packed) = File::open(&file) else {
        println!(
            "NOT TESTED: the trace {name}, because {} is missing; HOTSHELF_DATA names the folder",
            file.display()
        );
        return None;
    };
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut BufReader::new(packed), &mut bytes).unwrap();
    let mut numbers = std::collections::HashMap::new();
    let requests = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .take(requests_max)
        .map(|raw| {
            let next = u32::try_from(numbers.len()).unwrap();
            *numbers.entry(*raw).or_insert(next)
        });
    Some(requests.collect())
}

/// Replays a trace at a rate over eight nodes; from 5 s on, `share` of all reads go to a key that the trace does not have.
fn replay(name: &str, per_second: f64, threshold: u32, share: f64, most_ms: u64) {
    let Some(requests) = trace(name, 400_000) else {
        return;
    };
    let surge = requests.iter().max().unwrap() + 1;
    let steps = (requests.len() as f64 / per_second * 100.0).min(4000.0);
    let steps = (0..).take_while(|step| f64::from(*step) < steps).count() as u64;
    let rate = per_second * share / (1.0 - share);
    let mut loads = [
        Load::new(Keys::Listed(requests), per_second, 0..steps),
        Load::new(Keys::One(surge), rate, 505..steps),
    ];
    let outcome = run(&Setup::new(8, threshold), &mut loads, steps);
    outcome.is_right();
    let latency = outcome.latency(surge, 505).unwrap();
    assert!(latency <= most_ms, "{name}: {latency} ms");
}

#[test]
fn product_pages_of_a_shop_with_a_fifth_of_the_reads_on_one_of_them() {
    // 5,000 a second, and 1,250 more on one page: 2.5 times the default threshold.
    replay("cache2k_web07", 5000.0, 500, 0.2, 350);
    // A low threshold finds pages that were hot in reality.
    replay("cache2k_web07", 5000.0, 100, 0.05, 350);
}

#[test]
fn database_objects_of_a_shop_whose_own_bursts_reach_a_quarter_of_the_reads() {
    replay("cache2k_orm-busy", 10_000.0, 500, 0.1, 400);
}
