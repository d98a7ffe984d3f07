//! The tier over a real RocksDB, its damage included.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use bytes::Bytes;
use hotshelf_model::{
    Body, BootClock, BreakerSettings, BreakerState, DbTime, Hist, Id, Key, MissReason,
    NamespaceName, Position, Shape, Stamp, Timeline, Variant, Version,
};
use hotshelf_testkit::{wait_until, wait_until_async};
use tempfile::TempDir;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn settings(folder: &Path) -> RocksSettings {
    RocksSettings {
        folder: folder.to_owned(),
        bytes_max: 64 << 20,
        memtable_bytes: 1 << 20,
        block_cache_bytes: 4 << 20,
        threads: 2,
        breaker: BreakerSettings::default(),
        deadline: LONG,
        put_deadline: LONG,
        admission: PutAdmission::Always,
        free_bytes_min: 0,
        close_deadline: LONG,
        ..RocksSettings::default()
    }
}

fn open(settings: &RocksSettings) -> RocksTier {
    RocksTier::open(settings, Arc::new(BootClock)).unwrap()
}

fn key(id: &str) -> TierKey {
    let namespace = NamespaceName::new("products").unwrap();
    TierKey {
        hist: Hist(7),
        shape: Shape(9),
        key: Key::new(&namespace, &Id::new(id).unwrap(), &Variant::default()),
    }
}

fn keys(count: usize) -> Vec<TierKey> {
    (0..count)
        .map(|number| key(&format!("sku-{number}")))
        .collect()
}

/// Two KiB that don't compress, different for each seed.
fn noise(seed: u64) -> Bytes {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..256).flat_map(|_| next().to_be_bytes()).collect()
}

fn entry(version: u64, document: Bytes) -> Entry {
    let stamp = Stamp {
        timeline: Timeline(1),
        version: Version(version),
        position: Position(version),
    };
    Entry::present(
        Body {
            identity: document,
            zstd: None,
        },
        stamp,
        DbTime(1),
    )
}

/// Distinct keys with distinct documents.
fn entries(count: usize) -> Vec<(TierKey, Entry)> {
    let documents = (0..).map(noise);
    keys(count)
        .into_iter()
        .zip(documents)
        .map(|(key, document)| (key, entry(1, document)))
        .collect()
}

async fn get(tier: &RocksTier, key: &TierKey) -> Lookup {
    tier.get_many(std::slice::from_ref(key))
        .await
        .pop()
        .unwrap()
}

async fn put(tier: &RocksTier, key: &TierKey, entry: &Entry) -> PutOutcome {
    tier.put_many(&[(key.clone(), entry.clone())])
        .await
        .pop()
        .unwrap()
}

async fn put_all(tier: &RocksTier, entries: &[(TierKey, Entry)]) {
    let outcomes = tier.put_many(entries).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == PutOutcome::Stored),
        "{outcomes:?}"
    );
}

fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tier_keeps_the_contract_of_every_tier() {
    for admission in [PutAdmission::Always, PutAdmission::SecondHit] {
        let folder = TempDir::new().unwrap();
        let tier = Arc::new(open(&RocksSettings {
            admission,
            ..settings(folder.path())
        }));
        let same = || -> Arc<dyn Tier> { tier.clone() };
        hotshelf_testkit::conformance::tier(async || same()).await;
        tier.close().unwrap();
    }
}

#[tokio::test]
async fn entries_are_found_again_after_closing_and_opening() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let entries = entries(100);
    let tier = open(&settings);
    put_all(&tier, &entries).await;
    tier.close().unwrap();
    assert_eq!(
        get(&tier, &entries[0].0).await,
        Lookup::Unavailable(UnavailableReason::Failed)
    );

    let tier = open(&settings);
    assert!(tier.status().bytes.unwrap() > 100 * 2048);
    assert_eq!(tier.status().entries, Some(100));
    let keys: Vec<TierKey> = entries.iter().map(|(key, _)| key.clone()).collect();
    let lookups = tier.get_many(&keys).await;
    for ((_, entry), lookup) in entries.iter().zip(lookups) {
        assert_eq!(lookup, Lookup::Hit(entry.clone()));
    }
    tier.close().unwrap();
}

#[tokio::test]
async fn a_batch_larger_than_a_job_answers_in_order() {
    let folder = TempDir::new().unwrap();
    let tier = open(&settings(folder.path()));
    let entries = entries(200);
    let odd: Vec<_> = entries.iter().skip(1).step_by(2).cloned().collect();
    put_all(&tier, &odd).await;
    let keys: Vec<TierKey> = entries.iter().map(|(key, _)| key.clone()).collect();
    for (index, lookup) in tier.get_many(&keys).await.into_iter().enumerate() {
        let expected = match index % 2 {
            0 => Lookup::Miss(MissReason::NotFound),
            _ => Lookup::Hit(entries[index].1.clone()),
        };
        assert_eq!(lookup, expected, "{index}");
    }
    assert!(tier.get_many(&[]).await.is_empty());
    tier.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_puts_the_greatest_version_stays() {
    let folder = TempDir::new().unwrap();
    let tier = Arc::new(open(&RocksSettings {
        put_threads: 4,
        ..settings(folder.path())
    }));
    // Compressing it takes a while, between the look at what is held and the write. Ascending versions find nothing newer when
    // they look, so that only the stripe keeps the last of them.
    let long = |version: u64| entry(version, format!("{version} ").repeat(50_000).into());
    for round in 0..40 {
        let hot = key(&format!("hot-{round}"));
        let puts: Vec<_> = (1..=60_u64)
            .map(|version| {
                let (tier, hot, entry) = (Arc::clone(&tier), hot.clone(), long(version));
                tokio::spawn(async move { put(&tier, &hot, &entry).await })
            })
            .collect();
        for put in puts {
            let outcome = put.await.unwrap();
            assert!(matches!(outcome, PutOutcome::Stored | PutOutcome::Fenced));
        }
        let held = get(&tier, &hot).await.into_entry().unwrap();
        assert_eq!(held.stamp, long(60).stamp);
        assert_eq!(held.body().identity, long(60).body().identity);
        assert_eq!(put(&tier, &hot, &long(59)).await, PutOutcome::Fenced);
    }
    tier.close().unwrap();
}

#[tokio::test]
async fn a_flipped_byte_on_disk_never_gives_a_wrong_document_and_other_keys_go_on() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let entries = entries(300);
    let tier = open(&settings);
    put_all(&tier, &entries).await;
    tier.close().unwrap();
    for file in files(folder.path(), ".sst") {
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        fs::write(&file, bytes).unwrap();
    }

    let tier = open(&settings);
    let mut damaged = Vec::new();
    for (key, entry) in &entries {
        match get(&tier, key).await {
            Lookup::Hit(found) => assert_eq!(found, *entry),
            Lookup::Miss(MissReason::Damaged) => damaged.push((key.clone(), entry.clone())),
            other => panic!("{key}: {other:?}"),
        }
    }
    assert!(
        (1..entries.len() / 2).contains(&damaged.len()),
        "{} damaged",
        damaged.len()
    );
    let batch: Vec<TierKey> = entries.iter().map(|(key, _)| key.clone()).collect();
    let hits = tier
        .get_many(&batch)
        .await
        .iter()
        .filter(|lookup| lookup.as_str() == "hit")
        .count();
    assert_eq!(hits, entries.len() - damaged.len());
    assert_eq!(tier.status().breaker, BreakerState::Closed);

    put_all(&tier, &damaged).await;
    for (key, entry) in &damaged {
        assert_eq!(get(&tier, key).await, Lookup::Hit(entry.clone()));
    }
    tier.close().unwrap();
}

#[tokio::test]
async fn a_damaged_manifest_starts_cold_and_works() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("the manifest is empty", |folder| {
            truncate(&files_of_manifest(folder), 0)
        }),
        ("the manifest is cut short", |folder| {
            truncate(&files_of_manifest(folder), 20)
        }),
        ("the manifest is missing", |folder| {
            fs::remove_file(files_of_manifest(folder)).unwrap()
        }),
        ("CURRENT is missing", |folder| {
            fs::remove_file(folder.join("CURRENT")).unwrap()
        }),
        ("a table file is missing", |folder| {
            fs::remove_file(&files(folder, ".sst")[0]).unwrap()
        }),
    ];
    for (name, damage) in damages {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path());
        let (key, entry) = (key("a"), entry(1, noise(1)));
        let tier = open(&settings);
        assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored);
        tier.close().unwrap();
        fs::write(folder.path().join("notes.txt"), "not RocksDB's").unwrap();
        damage(folder.path());

        let opened = folder::open(&settings).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(opened.recreated, "{name}");
        drop(opened);
        let tier = open(&settings);
        assert_eq!(
            get(&tier, &key).await,
            Lookup::Miss(MissReason::NotFound),
            "{name}"
        );
        assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored, "{name}");
        assert_eq!(get(&tier, &key).await, Lookup::Hit(entry), "{name}");
        assert!(folder.path().join("notes.txt").try_exists().unwrap());
        tier.close().unwrap();
    }
}

fn files_of_manifest(folder: &Path) -> std::path::PathBuf {
    let current = fs::read_to_string(folder.join("CURRENT")).unwrap();
    folder.join(current.trim())
}

fn truncate(file: &Path, len: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[tokio::test]
async fn a_folder_in_use_is_named_in_the_error() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let tier = open(&settings);
    let error = RocksTier::open(&settings, Arc::new(BootClock)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains(&*folder.path().to_string_lossy()) && text.contains("in use"),
        "{text}"
    );
    // The one that has it is not disturbed.
    let (key, entry) = (key("a"), entry(1, noise(1)));
    assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(entry));
    tier.close().unwrap();
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("CURRENT");
    fs::write(&file, "theirs").unwrap();
    let error = RocksTier::open(&settings(folder.path()), Arc::new(BootClock)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`CURRENT`"), "{error}");
    assert_eq!(fs::read_to_string(file).unwrap(), "theirs");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_wrong_setting_is_an_error_that_names_the_field() {
    let folder = TempDir::new().unwrap();
    let settings = RocksSettings {
        threads: 0,
        ..settings(folder.path())
    };
    let error = RocksTier::open(&settings, Arc::new(BootClock)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "threads: must be 1 to 256");
}

#[tokio::test]
async fn the_first_put_of_a_key_is_declined_and_the_second_stored() {
    let folder = TempDir::new().unwrap();
    let settings = RocksSettings {
        admission: PutAdmission::SecondHit,
        ..settings(folder.path())
    };
    let tier = open(&settings);
    let (key, first) = (key("a"), entry(1, noise(1)));
    assert_eq!(put(&tier, &key, &first).await, PutOutcome::Declined);
    assert_eq!(get(&tier, &key).await, Lookup::Miss(MissReason::NotFound));
    assert_eq!(put(&tier, &key, &first).await, PutOutcome::Stored);
    tier.close().unwrap();

    // Another process has seen no key yet, but this one is held, and a newer copy of it is worth its write.
    let tier = open(&settings);
    assert_eq!(
        put(&tier, &key, &entry(2, noise(2))).await,
        PutOutcome::Stored
    );
    tier.close().unwrap();
}

#[tokio::test]
async fn a_warm_up_is_stored_at_once_and_weighs_what_was_said() {
    let folder = TempDir::new().unwrap();
    let tier = open(&RocksSettings {
        admission: PutAdmission::SecondHit,
        bytes_max: 1 << 30,
        ..settings(folder.path())
    });
    let entries = [
        (key("a"), entry(2, noise(1))),
        (key("b"), entry(1, noise(2))),
    ];
    let stored = tier.warm_many(&entries).await;
    assert_eq!(stored, [PutOutcome::Stored, PutOutcome::Stored]);
    let older = [(key("a"), entry(1, noise(3)))];
    assert_eq!(tier.warm_many(&older).await, [PutOutcome::Fenced]);
    assert_eq!(tier.room().await.bytes_max, Some(1 << 30));
    let (key, entry) = &entries[0];
    assert!(tier.weigh(key, entry) >= entry.body().identity.len() as u64);
    tier.close().unwrap();
}

#[tokio::test]
async fn a_put_is_declined_while_every_thread_is_busy() {
    let folder = TempDir::new().unwrap();
    let tier = open(&RocksSettings {
        admission: PutAdmission::SecondHit,
        put_threads: 2,
        ..settings(folder.path())
    });
    let entries = entries(3);
    assert_eq!(tier.put_many(&entries[..1]).await, [PutOutcome::Declined]);
    let busy = occupy(&tier.writes, 2);
    assert_eq!(tier.put_many(&entries[1..2]).await, [PutOutcome::Declined]);
    drop(busy);
    // The first two are seen for the second time, the third for the first.
    assert_eq!(
        tier.put_many(&entries).await,
        [PutOutcome::Stored, PutOutcome::Stored, PutOutcome::Declined]
    );
    tier.close().unwrap();
}

#[tokio::test]
async fn a_document_above_the_limit_is_declined() {
    let folder = TempDir::new().unwrap();
    let tier = open(&RocksSettings {
        document_bytes_max: 2047,
        ..settings(folder.path())
    });
    assert_eq!(
        put(&tier, &key("a"), &entry(1, noise(1))).await,
        PutOutcome::Declined
    );
    assert_eq!(
        put(&tier, &key("b"), &entry(1, Bytes::from_static(b"{}"))).await,
        PutOutcome::Stored
    );
    tier.close().unwrap();
}

#[tokio::test]
async fn puts_are_declined_below_the_reserve_and_lookups_go_on() {
    let folder = TempDir::new().unwrap();
    let (key, entry) = (key("a"), entry(1, noise(1)));
    let tier = open(&settings(folder.path()));
    assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored);
    tier.close().unwrap();
    let tier = open(&RocksSettings {
        free_bytes_min: u64::MAX,
        ..settings(folder.path())
    });
    assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Declined);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(entry));
    tier.close().unwrap();
}

/// A small filesystem, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounting needs root and a container that allows it.
    fn mount(kind: &str, options: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", kind, "-o", options, kind])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_full_disk_fails_puts_while_lookups_go_on_and_puts_resume_with_space() {
    let Some(disk) = SmallDisk::mount("tmpfs", "size=24m") else {
        eprintln!(
            "NOT TESTED: a full disk, because no tmpfs can be mounted here; the reserve's test covers declining"
        );
        return;
    };
    let breaker = BreakerSettings {
        open_max: Duration::from_millis(500),
        ..BreakerSettings::default()
    };
    let tier = open(&RocksSettings {
        breaker,
        ..settings(disk.0.path())
    });
    let early = entries(50);
    put_all(&tier, &early).await;
    let ballast = disk.0.path().join("ballast");
    // `write` stops at the first byte that has no room.
    assert!(
        fs::write(&ballast, vec![1; 23 << 20]).is_err() || files(disk.0.path(), ".sst").is_empty()
    );

    let mut number = 0;
    wait_until_async("a put fails", LONG, async || {
        number += 1;
        let outcome = put(
            &tier,
            &key(&format!("more-{number}")),
            &entry(1, noise(number)),
        )
        .await;
        matches!(outcome, PutOutcome::Unavailable(UnavailableReason::Failed))
    })
    .await;
    for (key, entry) in &early {
        assert_eq!(get(&tier, key).await, Lookup::Hit(entry.clone()));
    }

    fs::remove_file(&ballast).unwrap();
    let (key, late) = (key("late"), entry(1, noise(0)));
    wait_until_async("a put is stored again", LONG, async || {
        put(&tier, &key, &late).await == PutOutcome::Stored
    })
    .await;
    assert_eq!(get(&tier, &key).await, Lookup::Hit(late));
    for (key, entry) in &early {
        assert_eq!(get(&tier, key).await, Lookup::Hit(entry.clone()));
    }
    tier.close().unwrap();
}

#[tokio::test]
async fn a_filesystem_that_refuses_direct_io_is_used_through_the_page_cache() {
    let Some(disk) = SmallDisk::mount("ramfs", "mode=700") else {
        eprintln!(
            "NOT TESTED: a filesystem without direct I/O, because no ramfs can be mounted here"
        );
        return;
    };
    let settings = settings(disk.0.path());
    assert!(settings.direct_io);
    let (key, entry) = (key("a"), entry(1, noise(1)));
    for _ in 0..2 {
        let tier = open(&settings);
        assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored);
        tier.close().unwrap();
    }
    let tier = open(&settings);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(entry));
    tier.close().unwrap();
}

#[tokio::test]
async fn the_files_stay_within_their_limit_and_the_oldest_entries_go() {
    let folder = TempDir::new().unwrap();
    let tier = open(&RocksSettings {
        bytes_max: 8 << 20,
        ..settings(folder.path())
    });
    // 32 MiB through a limit of 8 MiB.
    for round in 0..64_u64 {
        let batch: Vec<_> = (0..256_u64)
            .map(|number| {
                let number = round * 256 + number;
                (key(&format!("sku-{number}")), entry(1, noise(number)))
            })
            .collect();
        wait_until_async("the batch is stored", LONG, async || {
            tier.put_many(&batch)
                .await
                .iter()
                .all(|outcome| *outcome == PutOutcome::Stored)
        })
        .await;
    }
    let newest = 64 * 256 - 1;
    assert_eq!(
        get(&tier, &key(&format!("sku-{newest}"))).await,
        Lookup::Hit(entry(1, noise(newest)))
    );
    assert_eq!(
        get(&tier, &key("sku-0")).await,
        Lookup::Miss(MissReason::NotFound)
    );
    let bytes = || -> u64 {
        // A file may go between the listing and the question.
        let sizes = files(folder.path(), ".sst").into_iter();
        sizes
            .filter_map(|file| Some(fs::metadata(file).ok()?.len()))
            .sum()
    };
    assert!(bytes() > 6 << 20, "{}", bytes());
    // Old files go in the background. One memtable may come on top until the next flush.
    wait_until("the files are within their limit", LONG, || {
        bytes() < 10 << 20
    });
    tier.close().unwrap();
}

#[tokio::test]
async fn a_slow_disk_meets_the_deadline_and_opens_the_breaker_until_it_is_fast_again() {
    let folder = TempDir::new().unwrap();
    let breaker = BreakerSettings {
        open_min: Duration::from_millis(50),
        open_max: Duration::from_millis(50),
        ..BreakerSettings::default()
    };
    let deadline = Duration::from_millis(30);
    let settings = RocksSettings {
        breaker,
        deadline,
        ..settings(folder.path())
    };
    let key = key("a");
    let (tier, entry) = on_disk(&settings, &key).await;

    let releases = occupy(&tier.lookups, 2);
    for _ in 0..3 {
        assert_eq!(
            get(&tier, &key).await,
            Lookup::Unavailable(UnavailableReason::Deadline)
        );
    }
    assert_eq!(
        get(&tier, &key).await,
        Lookup::Unavailable(UnavailableReason::Open)
    );
    assert_eq!(tier.status().breaker, BreakerState::Open);
    // Writes have threads of their own.
    assert_eq!(put(&tier, &key, &entry).await, PutOutcome::Stored);
    drop(releases);
    wait_until_async("lookups are answered again", LONG, async || {
        get(&tier, &key).await == Lookup::Hit(entry.clone())
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Closed);
    tier.close().unwrap();
}

#[tokio::test]
async fn a_disk_that_takes_no_puts_opens_a_breaker_that_shows_while_lookups_go_on() {
    let folder = TempDir::new().unwrap();
    let settings = RocksSettings {
        put_deadline: Duration::from_millis(30),
        ..settings(folder.path())
    };
    let key = key("a");
    let (tier, entry) = on_disk(&settings, &key).await;
    let releases = occupy(&tier.writes, settings.put_threads);
    wait_until_async("puts are refused at once", LONG, async || {
        put(&tier, &key, &entry).await == PutOutcome::Unavailable(UnavailableReason::Open)
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Open);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(entry));
    drop(releases);
    tier.close().unwrap();
}

#[tokio::test]
async fn a_full_queue_answers_busy_and_does_not_open_the_breaker() {
    let folder = TempDir::new().unwrap();
    let settings = RocksSettings {
        queue_max: 4,
        ..settings(folder.path())
    };
    let (tier, entry) = on_disk(&settings, &key("a")).await;
    let releases = occupy(&tier.lookups, 2);
    let waiting: Vec<_> = (0..4)
        .map(|_| tier.submit_lookup(&keys(1)).unwrap())
        .collect();
    for _ in 0..10 {
        assert_eq!(
            get(&tier, &key("a")).await,
            Lookup::Unavailable(UnavailableReason::Busy)
        );
    }
    assert_eq!(tier.status().breaker, BreakerState::Closed);
    drop(releases);
    for answer in waiting {
        assert_eq!(
            answer.await.unwrap(),
            Ok(vec![Lookup::Miss(MissReason::NotFound)])
        );
    }
    assert_eq!(get(&tier, &key("a")).await, Lookup::Hit(entry));
    tier.close().unwrap();
}

#[tokio::test]
async fn what_memory_knows_is_answered_while_every_thread_is_busy() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let (tier, old) = on_disk(&settings, &key("old")).await;
    // Read once, its block is cached.
    assert_eq!(get(&tier, &key("old")).await, Lookup::Hit(old.clone()));
    let new = entry(1, noise(2));
    assert_eq!(put(&tier, &key("new"), &new).await, PutOutcome::Stored);

    let _busy = occupy(&tier.lookups, 2);
    let lookups = tier.get_many(&[key("old"), key("none"), key("new")]).await;
    assert_eq!(
        lookups,
        [
            Lookup::Hit(old),
            Lookup::Miss(MissReason::NotFound),
            Lookup::Hit(new)
        ]
    );
}

#[tokio::test]
async fn a_batch_of_which_memory_knows_a_part_answers_in_order() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let (tier, cold) = on_disk(&settings, &key("cold")).await;
    let new = entry(1, noise(2));
    assert_eq!(put(&tier, &key("new"), &new).await, PutOutcome::Stored);
    let lookups = tier
        .get_many(&[key("new"), key("cold"), key("none"), key("cold")])
        .await;
    assert_eq!(
        lookups,
        [
            Lookup::Hit(new),
            Lookup::Hit(cold.clone()),
            Lookup::Miss(MissReason::NotFound),
            Lookup::Hit(cold)
        ]
    );
    tier.close().unwrap();
}

#[tokio::test]
async fn a_lookup_whose_caller_has_gone_holds_its_place_until_its_turn() {
    let folder = TempDir::new().unwrap();
    let settings = RocksSettings {
        queue_max: 2,
        ..settings(folder.path())
    };
    let (tier, entry) = on_disk(&settings, &key("a")).await;
    let releases = occupy(&tier.lookups, 2);
    let keys = [key("a")];
    for _ in 0..2 {
        let mut gone = tier.get_many(&keys);
        let polled = std::future::poll_fn(|ctx| std::task::Poll::Ready(gone.as_mut().poll(ctx)));
        assert!(polled.await.is_pending());
    }
    assert_eq!(
        get(&tier, &key("a")).await,
        Lookup::Unavailable(UnavailableReason::Busy)
    );
    drop(releases);
    wait_until_async("the place in the queue is free", LONG, async || {
        get(&tier, &key("a")).await == Lookup::Hit(entry.clone())
    })
    .await;
    tier.close().unwrap();
}

/// A tier that holds an entry under the key, none of it in memory.
async fn on_disk(settings: &RocksSettings, key: &TierKey) -> (RocksTier, Entry) {
    let entry = entry(1, noise(1));
    let tier = open(settings);
    assert_eq!(put(&tier, key, &entry).await, PutOutcome::Stored);
    tier.close().unwrap();
    (open(settings), entry)
}

/// Keeps the threads of a pool busy until the answer is dropped.
fn occupy(pool: &Pool<Disk>, threads: usize) -> Vec<mpsc::Sender<()>> {
    let (began, begun) = mpsc::channel();
    let releases = (0..threads)
        .map(|_| {
            let (release, released) = mpsc::channel();
            let began = began.clone();
            pool.submit(move |_| {
                began.send(()).unwrap();
                assert!(released.recv().is_err());
            })
            .unwrap();
            release
        })
        .collect();
    for _ in 0..threads {
        begun.recv_timeout(LONG).unwrap();
    }
    releases
}

#[tokio::test]
async fn an_old_memtable_is_written_out_without_closing() {
    let folder = TempDir::new().unwrap();
    let tier = open(&RocksSettings {
        memtable_age_max: Duration::ZERO,
        ..settings(folder.path())
    });
    assert_eq!(
        put(&tier, &key("a"), &entry(1, noise(1))).await,
        PutOutcome::Stored
    );
    wait_until("a table file appears", LONG, || {
        !files(folder.path(), ".sst").is_empty()
    });
    tier.close().unwrap();
}

#[tokio::test]
async fn removed_keys_are_missed_and_the_others_stay() {
    let folder = TempDir::new().unwrap();
    let tier = open(&settings(folder.path()));
    let entries = entries(3);
    put_all(&tier, &entries).await;
    tier.remove_many(&[entries[1].0.clone()]).await;
    assert_eq!(
        get(&tier, &entries[1].0).await,
        Lookup::Miss(MissReason::NotFound)
    );
    assert_eq!(
        get(&tier, &entries[2].0).await,
        Lookup::Hit(entries[2].1.clone())
    );
    tier.close().unwrap();
}

#[tokio::test]
async fn compressed_documents_come_back_with_their_compressed_form() {
    let folder = TempDir::new().unwrap();
    let tier = open(&settings(folder.path()));
    let document = Bytes::from(format!("{{\"text\":\"{}\"}}", "blue shirt ".repeat(400)));
    assert_eq!(
        put(&tier, &key("a"), &entry(1, document.clone())).await,
        PutOutcome::Stored
    );
    let found = get(&tier, &key("a")).await.into_entry().unwrap();
    assert_eq!(found.body().identity, document);
    assert!(
        found
            .body()
            .zstd
            .as_ref()
            .is_some_and(|zstd| zstd.len() < document.len() / 10)
    );
    tier.close().unwrap();
}
