//! Hits in L2 and L3 beside the bare reads that they are made of, and a batch beside single reads.

mod batch;
mod l2;
mod l3;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use hotshelf_benches::{args::Args, shelf};
use hotshelf_model::{
    Body, DbTime, Entry, Hist, Lookup, Position, PutOutcome, Stamp, Tier, TierKey, Timeline,
    Version,
};
use tokio::runtime::Runtime;

/// As in the binary `hotshelf`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HIST: Hist = Hist(1);
/// Puts of one call.
const BATCH: usize = 64;

/// The keys of the first `count` documents, as the tiers store them.
fn tier_keys(count: usize) -> Vec<TierKey> {
    let namespace = shelf::namespace();
    let keys = (0..count).map(|number| namespace.tier_key(HIST, &shelf::key(number)));
    keys.collect()
}

fn entry(document: Bytes) -> Entry {
    let stamp = Stamp {
        timeline: Timeline(1),
        version: Version(1 << 40 | 1),
        position: Position(1),
    };
    let body = Body {
        identity: document,
        zstd: None,
    };
    Entry::present(body, stamp, DbTime(1))
}

/// Puts a document under every key, however often it takes.
async fn put_all(tier: &dyn Tier, keys: &[TierKey], bytes: usize) {
    let documents = keys.iter().enumerate().map(|(number, key)| {
        let document = shelf::document(number, bytes);
        (key.clone(), entry(document))
    });
    let mut left: Vec<(TierKey, Entry)> = documents.collect();
    while !left.is_empty() {
        let mut refused = Vec::new();
        for batch in left.chunks(BATCH) {
            let outcomes = tier.put_many(batch).await;
            let batch = batch.iter().zip(outcomes);
            let batch = batch.filter(|(_, outcome)| *outcome != PutOutcome::Stored);
            refused.extend(batch.map(|(put, _)| put.clone()));
        }
        left = refused;
    }
}

/// One read as many times as there are places in `reads`, by `depth` callers; answers how many were hits.
fn read_all<F>(
    runtime: &Runtime,
    depth: usize,
    reads: &Arc<Vec<u32>>,
    read: impl Fn(u32) -> F + Clone + Send + 'static,
) -> usize
where
    F: Future<Output = bool> + Send,
{
    let callers = (0..depth).map(|caller| {
        let (reads, read) = (Arc::clone(reads), read.clone());
        runtime.spawn(async move {
            let mut hits = 0;
            for number in reads.iter().skip(caller).step_by(depth) {
                hits += usize::from(read(*number).await);
            }
            hits
        })
    });
    let callers: Vec<_> = callers.collect();
    let hits = callers
        .into_iter()
        .map(|caller| runtime.block_on(caller).unwrap_or_default());
    hits.sum()
}

async fn is_hit(tier: &dyn Tier, key: &TierKey) -> bool {
    let lookups = tier.get_many(std::slice::from_ref(key)).await;
    matches!(lookups[..], [Lookup::Hit(_)])
}

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    type Part = fn(&Args, &Runtime) -> anyhow::Result<()>;
    let parts: [(&str, Part); 3] = [("l2", l2::run), ("batch", batch::run), ("l3", l3::run)];
    for (name, part) in parts {
        if args.wants(name) {
            part(&args, &runtime)?;
        }
    }
    Ok(())
}
