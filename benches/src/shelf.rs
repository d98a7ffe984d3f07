//! An origin in memory that costs next to nothing, with its change log, so that a bench measures what stands in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use hotshelf_engine::{Builder, Cache, EngineSettings, ReadOptions};
use hotshelf_model::{
    BootClock, BoxFuture, ChangeLog, Clock, DbTime, Error, ErrorKind, Fetch, FetchRequest,
    FetchedDocument, FreshnessPolicy, Head, Hist, Id, Key, LogRead, Namespace, NamespaceName,
    Origin, Parent, Parents, Poll, Position, Shape, Timeline, Variant, VariantSchema, Version,
    Versions,
};

const POSITION: Position = Position(1);
/// Of the only row of a log that never moves.
const NONCE: u64 = 7;
const VERSION: Version = Version(1 << 40 | 1);
/// Keys of one call while a cache is filled.
const BATCH: usize = 200;
/// Longer than any bench runs, so that no refresh mixes with what is measured.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Documents by the number in their id. Nothing ever changes.
#[derive(Debug)]
pub struct Shelf {
    documents: Vec<Bytes>,
    hist: Hist,
    parents: Parents,
    fetched: AtomicU64,
}

impl Shelf {
    /// `count` documents; `document` makes each from its number.
    pub fn new(count: usize, document: impl FnMut(usize) -> Bytes) -> Arc<Self> {
        let documents: Vec<Bytes> = (0..count).map(document).collect();
        // A first clone turns a buffer into a shared one; whoever fetches must not pay for that.
        documents.iter().for_each(|body| drop(body.clone()));
        Arc::new(Shelf {
            documents,
            hist: Hist(0x5e1f),
            parents: Parents::new(&[Parent::namespace(&products(), VERSION)]).unwrap_or_default(),
            fetched: AtomicU64::new(0),
        })
    }

    /// The documents, by number.
    pub fn documents(&self) -> &[Bytes] {
        &self.documents
    }

    /// How many documents were fetched so far.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// The history that entries of these documents belong to.
    pub fn hist(&self) -> Hist {
        self.hist
    }

    /// A cache of these documents.
    pub fn cache(self: &Arc<Self>, settings: EngineSettings) -> Builder {
        Cache::builder(Arc::clone(self) as Arc<dyn ChangeLog>)
            .settings(settings)
            .namespace(namespace(), Arc::clone(self) as Arc<dyn Origin>)
    }

    fn head(&self) -> Head {
        // The machine's own clock passes for the database's.
        let now = DbTime(BootClock.now().0 / 1_000_000);
        Head {
            hist: self.hist,
            timeline: Timeline(1),
            position: POSITION,
            now,
            primary: true,
        }
    }

    fn document(&self, id: &Id) -> Result<FetchedDocument, Error> {
        let number = id
            .as_str()
            .strip_prefix(PREFIX)
            .and_then(|number| number.parse::<usize>().ok());
        let body = number.and_then(|number| self.documents.get(number));
        let body =
            body.ok_or_else(|| Error::new(ErrorKind::OriginFailed, format!("there is no {id}")))?;
        Ok(FetchedDocument {
            version: VERSION,
            body: Some(body.clone()),
            valid_until: None,
        })
    }
}

impl Origin for Shelf {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        self.fetched
            .fetch_add(request.ids.len() as u64, Ordering::Relaxed);
        let documents = request.ids.iter().map(|id| self.document(id)).collect();
        let fetch = Fetch {
            head: Some(self.head()),
            parents: self.parents.clone(),
            documents,
        };
        Box::pin(std::future::ready(Ok(fetch)))
    }

    fn versions<'a>(
        &'a self,
        _namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        let versions = Versions {
            head: self.head(),
            parents: self.parents.clone(),
            versions: vec![VERSION; ids.len()],
        };
        Box::pin(std::future::ready(Ok(Some(versions))))
    }
}

impl ChangeLog for Shelf {
    fn poll(&self, _known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        let head = self.head();
        let poll = Poll {
            head,
            head_nonce: NONCE,
            known_nonce: Some(NONCE),
            oldest: head.position,
            version_max: VERSION,
            settled: true,
            sequenced: None,
        };
        Box::pin(std::future::ready(Ok(poll)))
    }

    fn read(&self, _position: Position, _rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        Box::pin(std::future::ready(Ok(LogRead::Rows(Vec::new()))))
    }

    fn renew_hist(&self, _known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

const PREFIX: &str = "SKU-";

/// The namespace `products`.
///
/// # Panics
/// Never: the name is a good one.
#[expect(clippy::expect_used, reason = "the name is a constant")]
pub fn products() -> NamespaceName {
    NamespaceName::new("products").expect("`products` is a name")
}

/// The namespace `products`, with TTLs longer than a bench.
pub fn namespace() -> Namespace {
    Namespace {
        name: products(),
        variants: VariantSchema::default(),
        shape: Shape(7),
        policy: FreshnessPolicy {
            ttl_soft: LONG,
            ttl_hard: LONG,
            stale_cap: LONG,
            ..FreshnessPolicy::default()
        },
        tracked: true,
        document_bytes_max: 1 << 20,
    }
}

/// The id of a document by its number.
///
/// # Panics
/// Never: it is a good id.
#[expect(clippy::expect_used, reason = "a prefix with a number is a good id")]
pub fn id(number: usize) -> Id {
    Id::new(&format!("{PREFIX}{number:08}")).expect("it is a good id")
}

/// The key of a document by its number.
pub fn key(number: usize) -> Key {
    Key::new(&products(), &id(number), &Variant::default())
}

/// The keys of the first documents.
pub fn keys(count: usize) -> Vec<Key> {
    (0..count).map(key).collect()
}

/// Reads every key once, in batches, so that each is in L1 if there is room.
///
/// # Errors
/// When a read fails.
pub async fn fill(cache: &Cache, keys: &[Key]) -> anyhow::Result<()> {
    while !cache.is_ready() {
        tokio::task::yield_now().await;
    }
    for batch in keys.chunks(BATCH) {
        for answer in cache.get_many(batch, ReadOptions::default()).await {
            answer.context("filling the cache")?;
        }
    }
    Ok(())
}

/// Says when a bench that measures hits has met something else.
///
/// # Errors
/// When less than 999 of 1,000 were hits.
pub fn check_hits(hits: u64, reads: u64) -> anyhow::Result<()> {
    ensure!(
        hits * 1000 >= reads * 999,
        "only {hits} of {reads} reads were hits: the figures would mean something else"
    );
    Ok(())
}

/// A product page's JSON of about `bytes` bytes, as compressible as real ones: words from a small vocabulary, numbers that differ.
pub fn document(number: usize, bytes: usize) -> Bytes {
    const WORDS: [&str; 32] = [
        "cotton",
        "stainless",
        "wireless",
        "adjustable",
        "portable",
        "the",
        "with",
        "and",
        "for",
        "battery",
        "warranty",
        "charging",
        "lightweight",
        "kitchen",
        "outdoor",
        "a",
        "of",
        "your",
        "storage",
        "premium",
        "compact",
        "design",
        "includes",
        "cable",
        "screen",
        "waterproof",
        "steel",
        "easy",
        "clean",
        "power",
        "travel",
        "set",
    ];
    let mut text = format!(
        "{{\"id\":\"{PREFIX}{number:08}\",\"title\":\"Product {number}\",\"brand\":\"Brand {}\",\"price\":{{\"list\":{},\"currency\":\"EUR\"}},\"availability\":\"in_stock\",\"description\":\"",
        number % 97,
        number * 31 % 100_000,
    );
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() + 12 < bytes {
        // xorshift64: only to vary the words.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(WORDS[usize::try_from(state % 32).unwrap_or_default()]);
        match state >> 8 & 15 {
            0 => text.push_str(&format!(" {} ", state >> 16 & 0xffff)),
            _ => text.push(' '),
        }
    }
    text.push_str("\"}");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_about_the_asked_size_and_is_json() {
        for number in [0, 1, 99_999] {
            let body = document(number, 2048);
            assert!((2020..=2080).contains(&body.len()), "{}", body.len());
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }

    #[tokio::test]
    async fn a_filled_cache_answers_from_l1() {
        let shelf = Shelf::new(300, |number| document(number, 400));
        let cache = shelf.cache(EngineSettings::default()).start();
        let keys = keys(300);
        fill(&cache, &keys).await.unwrap();
        assert_eq!(shelf.fetched(), 300);
        let answer = cache.try_get(&keys[7]).unwrap();
        assert_eq!(answer.document(), &shelf.documents()[7]);
    }
}
