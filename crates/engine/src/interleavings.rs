//! The ledger, L1 and the flights under every order of threads that a scheduler comes up with: a bounded number of orders, other ones each time.
//!
//! What runs is the code of reads, fills and the follower. The runtime is there and never driven, so nothing runs beside the threads of
//! a test.

use std::sync::Arc;

use hotshelf_coherence::{Cursor, FloorKey};
use hotshelf_model::{
    Body, Boot, Clock, DbTime, Entry, FreshnessPolicy, Head, Hist, Id, Key, LogRow, Namespace,
    NamespaceName, Parent, Parents, Poll, Position, Record, Shape, Stamp, TierName, Timeline,
    Variant, VariantSchema, Version,
};
use hotshelf_testkit::{FakeOrigin, ManualClock};
use shuttle::thread;

use crate::cache::{Cache, Engine};
use crate::fill::{Fill, Found};
use crate::flight::Flight;
use crate::follow::RowSource;
use crate::read::Step;
use crate::settings::{Class, EngineSettings, ReadOptions};

/// Orders that are tried in each test.
const SCHEDULES: usize = 1_000;
/// Points at which an order departs from running one thread after the other.
const DEPARTURES: usize = 4;
/// The head when a test begins.
const HEAD: u64 = 10;
/// The proof of the change that a test makes; there is one before it.
const PROVED: Boot = Boot(3_600_000_000_000);

fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

fn key(product: &str) -> Key {
    Key::new(&products(), &id(product), &Variant::default())
}

fn poll(timeline: u32, position: u64) -> Poll {
    Poll {
        head: Head {
            hist: Hist(1),
            timeline: Timeline(timeline),
            position: Position(position),
            now: DbTime(1_000),
            primary: true,
        },
        head_nonce: position,
        known_nonce: Some(position),
        oldest: Position(0),
        version_max: Version(u64::MAX),
        settled: true,
        sequenced: None,
    }
}

fn row(position: u64, record: Record) -> LogRow {
    LogRow {
        hist: Hist(1),
        timeline: Timeline(1),
        position: Position(position),
        nonce: position,
        records: vec![record],
    }
}

fn change(product: &str, version: u64) -> Record {
    Record::Key {
        namespace: products(),
        id: id(product),
        version: Version(version),
    }
}

fn bump(version: u64) -> Record {
    Record::Parent {
        namespace: products(),
        version: Version(version),
    }
}

/// A copy of version 1, read at the head.
fn copy() -> Entry {
    let stamp = Stamp {
        timeline: Timeline(1),
        version: Version(1),
        position: Position(HEAD),
    };
    let body = Body {
        identity: "version 1".into(),
        zstd: None,
    };
    let mut entry = Entry::present(body, stamp, DbTime(1_000));
    entry.parents = Parents::new(&[Parent::namespace(&products(), Version(1))]).unwrap();
    entry
}

/// A node that has applied everything up to the head.
struct Cell {
    engine: Arc<Engine>,
    _cache: Cache,
    _runtime: tokio::runtime::Runtime,
}

impl Cell {
    fn new(floors_max: usize) -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _context = runtime.enter();
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        let namespace = Namespace {
            name: products(),
            variants: VariantSchema::default(),
            shape: Shape(7),
            policy: FreshnessPolicy::default(),
            tracked: true,
            document_bytes_max: 1 << 20,
        };
        let settings = EngineSettings {
            floors_max,
            ..EngineSettings::default()
        };
        let cache = Cache::builder(Arc::clone(&origin) as _)
            .settings(settings)
            .clock(clock)
            .namespace(namespace, origin)
            .start();
        let engine = Arc::clone(&cache.engine);
        engine.follower.learn(
            Cursor::default(),
            &poll(1, HEAD),
            Boot(PROVED.0 - 100_000_000),
        );
        Arc::new(Cell {
            engine,
            _cache: cache,
            _runtime: runtime,
        })
    }

    /// The follower applies rows from the head on, and then proves that it has.
    fn follow(&self, records: &[Record]) {
        for (position, record) in (HEAD + 1..).zip(records) {
            let row = row(position, record.clone());
            self.engine.follower.take_row(row, RowSource::Log);
        }
        self.engine.follower.ledger.prove(PROVED);
    }

    /// A reader misses, and its fill brings version 1; or the fill is lost on the way.
    fn fill(&self, product: &str, is_cancelled: bool) {
        let source = Arc::clone(self.engine.source(&key(product)).unwrap());
        let step =
            self.engine
                .join_or_begin(&source, &key(product), Version::NONE, Class::Interactive);
        let Step::Begun(pending) = step else {
            return;
        };
        if is_cancelled {
            return;
        }
        let fill = Fill {
            engine: Arc::clone(&self.engine),
            source,
            variant: Variant::default(),
            class: Class::Interactive,
            until: Boot(u64::MAX),
        };
        let found = Found {
            entry: copy(),
            tier: TierName::L2,
            hist: Hist(1),
            as_of: Boot::default(),
        };
        // One that is refused would go on to the origin.
        drop(fill.admit_and_land(*pending, found));
    }

    /// A reader that sees the proof must not get version 1, neither at once nor from a flight.
    fn read_late(&self, product: &str) -> Option<Arc<Flight>> {
        let context = self.engine.follower.context();
        if context.proof < PROVED {
            return None;
        }
        assert!(
            self.engine
                .try_get((&key(product)).into(), &ReadOptions::default(), |_| true)
                .is_none(),
            "outdated, and served"
        );
        let source = Arc::clone(self.engine.source(&key(product)).unwrap());
        match self
            .engine
            .join_or_begin(&source, &key(product), Version::NONE, Class::Interactive)
        {
            Step::Landed(landed) => panic!("outdated, and landed: {landed:?}"),
            Step::Joined(flight) => Some(flight),
            Step::Begun(_) | Step::Full => None,
        }
    }

    /// Runs a filler, a late reader and the follower side by side.
    fn race(self: &Arc<Self>, is_cancelled: bool, records: Vec<Record>) {
        let here = || Arc::clone(self);
        let (filler, other, follower, reader) = (here(), here(), here(), here());
        let threads = [
            thread::spawn(move || {
                filler.fill("lamp", false);
                None
            }),
            thread::spawn(move || {
                other.fill("lamp", is_cancelled);
                None
            }),
            thread::spawn(move || {
                follower.follow(&records);
                None
            }),
            thread::spawn(move || {
                let flights = [reader.read_late("lamp"), reader.read_late("lamp")];
                flights.into_iter().flatten().next()
            }),
        ];
        let joined: Vec<_> = threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect();
        for flight in joined {
            assert!(
                !flight.has_landed_well(),
                "joined late, and landed with what is outdated"
            );
        }
        assert!(self.read_late("lamp").is_none(), "no flight is left");
        assert_eq!(self.engine.flights.under_way(), 0);
    }
}

fn check(test: impl Fn() + Send + Sync + 'static) {
    shuttle::check_pct(test, SCHEDULES, DEPARTURES);
}

#[test]
fn no_order_of_a_fill_and_a_change_leaves_the_old_version() {
    check(|| Cell::new(1_024).race(false, vec![change("lamp", 2)]));
}

#[test]
fn a_fill_that_is_lost_leaves_nothing() {
    check(|| Cell::new(1_024).race(true, vec![change("lamp", 2)]));
}

#[test]
fn no_order_of_a_fill_and_a_bump_leaves_the_old_version() {
    check(|| Cell::new(1_024).race(false, vec![bump(2)]));
}

#[test]
fn a_floor_that_is_given_up_takes_its_copies_with_it() {
    let shard = |product: &str| FloorKey::of("products", product).0 % 64;
    let beside = (0..)
        .map(|number| format!("p{number}"))
        .filter(|product| shard(product) == shard("lamp"))
        .take(2);
    let beside: Vec<String> = beside.collect();
    check(move || {
        let mut records = vec![change("lamp", 2)];
        records.extend(beside.iter().map(|product| change(product, 3)));
        let cell = Cell::new(64);
        cell.race(false, records);
        let low = cell.engine.follower.knowledge().unwrap().low;
        assert!(low > Position(HEAD), "the floor was given up");
    });
}

#[test]
fn a_resync_beside_a_fill_leaves_nothing_that_counts_as_proved() {
    check(|| {
        let cell = Cell::new(1_024);
        let (filler, follower, reader) = (Arc::clone(&cell), Arc::clone(&cell), Arc::clone(&cell));
        let threads = [
            thread::spawn(move || filler.fill("lamp", false)),
            thread::spawn(move || {
                let asked = Cursor {
                    position: Position(HEAD),
                    nonce: HEAD,
                };
                follower
                    .engine
                    .follower
                    .learn(asked, &poll(2, HEAD + 1), PROVED);
            }),
            thread::spawn(move || drop(reader.read_late("lamp"))),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(cell.read_late("lamp").is_none());
    });
}

#[test]
fn a_hint_beside_a_fill_is_a_change() {
    check(|| {
        let cell = Cell::new(1_024);
        let (filler, writer) = (Arc::clone(&cell), Arc::clone(&cell));
        let filling = thread::spawn(move || filler.fill("lamp", false));
        let writing = thread::spawn(move || {
            writer
                ._cache
                .written(&products(), &id("lamp"), Version(1 << 40 | 2));
            writer.engine.follower.ledger.prove(PROVED);
            drop(writer.read_late("lamp"));
        });
        filling.join().unwrap();
        writing.join().unwrap();
        assert!(cell.read_late("lamp").is_none());
    });
}

#[test]
fn a_checkpoint_that_is_taken_meanwhile_misses_no_floor() {
    check(|| {
        let cell = Cell::new(64);
        let records: Vec<_> = (0..6)
            .map(|number| change(&format!("p{}", number % 4), 2 + number))
            .collect();
        let (follower, applied) = (Arc::clone(&cell), records.clone());
        let following = thread::spawn(move || follower.follow(&applied));
        let saved = cell.engine.follower.ledger.save();
        following.join().unwrap();
        let (checkpoint, floors) = saved.expect("nothing began anew");
        for (position, record) in (HEAD + 1..).zip(records) {
            let Record::Key { id, version, .. } = record else {
                unreachable!("only products change here")
            };
            if position > checkpoint.low.0 && position <= checkpoint.cursor.position.0 {
                let key = FloorKey::of("products", id.as_str());
                let floor = floors.keys.iter().find(|(held, _)| *held == key);
                assert!(
                    floor.is_some_and(|(_, floor)| floor.version >= version),
                    "{id} at {position}"
                );
            }
        }
    });
}
