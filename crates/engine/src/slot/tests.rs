//! Slots are small, keep what they are given, and know which of two is to stay.

use hotshelf_model::{
    Body, FreshnessPolicy, NamespaceName, Parent, Position, Stamp, VariantSchema,
};

use super::*;

fn namespace(tracked: bool) -> Namespace {
    Namespace {
        name: NamespaceName::new("products").unwrap(),
        variants: VariantSchema::default(),
        shape: Shape(7),
        policy: FreshnessPolicy::default(),
        tracked,
        document_bytes_max: 1 << 20,
    }
}

fn seconds(seconds: u64) -> Boot {
    Boot(seconds * 1_000_000_000)
}

fn entry(timeline: u32, version: u64, parent: u64) -> Entry {
    let stamp = Stamp {
        timeline: Timeline(timeline),
        version: Version(version),
        position: Position(1),
    };
    let body = Body {
        identity: Bytes::from(vec![b'x'; 2 * ENCODE_BYTES_MIN]),
        zstd: None,
    };
    let mut entry = Entry::present(body, stamp, DbTime(1));
    let parent = Parent::namespace(&namespace(true).name, Version(parent));
    entry.parents = Parents::new(&[parent]).unwrap();
    entry
}

fn slot(commons: &Commons, entry: &Entry, generation: u32) -> Slot {
    let lifetime = Lifetime {
        as_of: seconds(100),
        soft_at: seconds(200),
        hard_at: seconds(300),
    };
    Slot::new(entry, commons, Generation(generation), lifetime)
}

#[test]
fn a_slot_costs_no_more_than_eighty_bytes_and_shares_the_rest() {
    assert!(size_of::<Slot>() <= 80, "{}", size_of::<Slot>());
    let commons = Commons::new(&namespace(true));
    let one = slot(&commons, &entry(1, 5, 3), 2);
    let other = slot(&commons, &entry(1, 6, 3), 2);
    let bumped = slot(&commons, &entry(1, 6, 4), 2);
    assert!(Arc::ptr_eq(&one.common, &other.common));
    assert!(!Arc::ptr_eq(&one.common, &bumped.common));
    assert!(one.extras.get().is_none(), "an ordinary copy has none");
}

#[test]
fn a_slot_gives_back_what_it_was_given() {
    let commons = Commons::new(&namespace(true));
    let mut scheduled = entry(1, 5, 3);
    scheduled.valid_until = Some(DbTime(1_700_000_000_123));
    let slot = slot(&commons, &scheduled, 2);
    let held = slot.held();
    assert_eq!(held.valid_until, scheduled.valid_until);
    assert_eq!(
        (held.as_of, held.soft_at, held.hard_at),
        (seconds(100), seconds(200), seconds(300))
    );
    let gzip = slot.encoded(Encoding::Gzip).unwrap();
    let again = slot.revalidated(&commons, Timeline(2), Generation(4), seconds(150));
    assert_eq!(again.held().valid_until, scheduled.valid_until);
    assert_eq!(again.rank(), (Timeline(2), Version(5)));
    assert_eq!(
        again.encoded(Encoding::Gzip).unwrap().as_ptr(),
        gzip.as_ptr(),
        "it is not compressed again"
    );
}

#[test]
fn encodings_stay_within_the_room_that_is_accounted_for() {
    let commons = Commons::new(&namespace(true));
    // Every third byte carries something, so that one encoding fits and two do not.
    let byte = |at: u64| match at % 3 {
        0 => xxh3_64(&at.to_be_bytes()).to_be_bytes()[0],
        _ => b' ',
    };
    let body = Body {
        identity: (0..4096).map(byte).collect(),
        zstd: None,
    };
    let large = Entry::present(body, entry(1, 5, 3).stamp, DbTime(1));
    for (first, second) in [
        (Encoding::Zstd, Encoding::Gzip),
        (Encoding::Gzip, Encoding::Zstd),
    ] {
        let slot = slot(&commons, &large, 2);
        let encoded = slot.encoded(first).unwrap();
        assert!(2 * encoded.len() <= slot.document().len());
        assert_eq!(slot.encoded(second), None, "{second:?} beside {first:?}");
        assert!(slot.is_encoded(second), "it is not tried again");
    }
}

#[test]
fn a_deadline_is_never_later_than_it_was_meant() {
    for nanos in [0, 1, 99_999_999, 100_000_000, 12_345_678_901] {
        assert!(boot(tick(Boot(nanos))) <= Boot(nanos));
        assert!(Boot(nanos).since(boot(tick(Boot(nanos)))) < TICK);
    }
    assert_eq!(tick(Boot(u64::MAX)), TICK_MAX);
}

#[test]
fn an_older_version_does_not_replace_a_newer_one_unless_the_log_says_so() {
    let commons = Commons::new(&namespace(true));
    let put =
        |timeline, version, generation| slot(&commons, &entry(timeline, version, 3), generation);
    let held = put(1, 5, 4);
    assert!(held.outranks(&put(1, 4, 4)), "an older version");
    assert!(held.outranks(&put(1, 5, 3)), "the same, but unproved");
    assert!(held.outranks(&put(1, 5, 2)), "the same, but proved before");
    assert!(!held.outranks(&put(1, 5, 4)), "the same, read later");
    assert!(!held.outranks(&put(1, 6, 3)), "a newer one, unproved");
    assert!(
        !held.outranks(&put(1, 4, 6)),
        "the log has lost the newer one"
    );
    assert!(!held.outranks(&put(2, 4, 4)), "another timeline");
}

#[test]
fn without_a_change_log_the_later_read_stays() {
    let commons = Commons::new(&namespace(false));
    let put = |version, as_of| {
        let lifetime = Lifetime {
            as_of: seconds(as_of),
            soft_at: seconds(200),
            hard_at: seconds(300),
        };
        Slot::new(&entry(0, version, 3), &commons, Generation(2), lifetime)
    };
    assert!(put(5, 10).outranks(&put(4, 9)));
    assert!(!put(5, 10).outranks(&put(4, 11)));
    assert!(!put(5, 10).outranks(&put(6, 9)));
}

#[test]
fn a_pause_thins_out_refreshes_and_quiet_is_more_than_a_pause() {
    let commons = Commons::new(&namespace(true));
    let slot = slot(&commons, &entry(1, 5, 3), 2);
    let second = Duration::from_secs(1);
    assert!(slot.claim_refresh(seconds(10), second));
    assert!(!slot.claim_refresh(seconds(10), second));
    assert!(!slot.is_quiet(seconds(10)));
    slot.keep_quiet(seconds(12));
    assert!(slot.is_quiet(seconds(11)) && !slot.claim_refresh(seconds(11), second));
    assert!(!slot.is_quiet(seconds(12)) && slot.claim_refresh(seconds(12), second));
}
