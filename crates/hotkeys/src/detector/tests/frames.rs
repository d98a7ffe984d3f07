//! Frames that come late, twice, out of order, from clocks that differ, or not at all.

use proptest::prelude::*;

use super::*;

#[test]
fn frames_that_come_twice_or_too_late_count_once() {
    let mut cluster = Cluster::new(1);
    let first = cluster.frame(0, &[("A", 90)]);
    assert_eq!(cluster.take(&first), Ok(()));
    assert_eq!(cluster.take(&first), Err(Refused::Doubled));
    cluster.tick();
    cluster.run(110, &[("A", 90)]);
    assert_eq!(cluster.take(&first), Err(Refused::Late));
    assert_eq!(cluster.words("A"), [""; 0]);
    let tallies = cluster.detector.tallies();
    assert_eq!((tallies.frames, tallies.refused), (111, [1, 1, 0, 0, 0]));
}

/// Everything that the detector counted of a key, by slots back from the newest.
fn ring(cluster: &Cluster, id: &str) -> Vec<f64> {
    let newest = cluster.detector.newest;
    let ring = &cluster.detector.tracked[&hash(id)].ring;
    (0..30).map(|back| ring.at(newest - back)).collect()
}

/// Twenty slots of three nodes, each read of `A` in its place.
fn twenty_slots() -> (Cluster, Vec<(Frame, Boot)>) {
    let mut cluster = Cluster::new(3);
    cluster.run(10, &[("A", 60)]);
    let mut frames = Vec::new();
    for slot in 0..20 {
        for node in 0..3 {
            let frame = cluster.frame(node, &[("A", 20 + slot + node)]);
            frames.push((frame, cluster.now()));
        }
        cluster.slot += 1;
    }
    (cluster, frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn delay_doubling_and_disorder_change_no_count(
        delays in prop::collection::vec(0_u64..3000, 60),
        doubles in prop::collection::vec(0_usize..60, 0..20),
    ) {
        let (mut expected, frames) = twenty_slots();
        for (frame, arrived) in &frames {
            expected.detector.frame(frame, *arrived).unwrap();
        }
        let (mut cluster, _) = twenty_slots();
        let mut sent: Vec<(u64, usize)> = delays.iter().enumerate().map(|(at, delay)| (frames[at].1.0 + delay * 1_000_000, at)).collect();
        sent.extend(doubles.into_iter().map(|at| (frames[at].1.0 + 2_500_000_000, at)));
        sent.sort_unstable();
        for (arrived, at) in sent {
            let taken = cluster.detector.frame(&frames[at].0, Boot(arrived));
            prop_assert!(matches!(taken, Ok(()) | Err(Refused::Doubled)), "{:?}", taken);
        }
        prop_assert_eq!(ring(&cluster, "A"), ring(&expected, "A"));
    }
}

/// A frame that no node would send, and when it arrives.
fn any_arrival() -> impl Strategy<Value = (Frame, Boot)> {
    let sender = (0..4_u32, 0..3_u64);
    let times = (0_u64..1 << 42, 0..43_u32, any::<u32>(), 0..32_u32);
    let entries = prop::collection::btree_map(1_u64..20, (1..=u32::MAX, any::<bool>()), 0..5);
    let arrival = (any::<u64>(), 0..64_u32);
    let numbers = (1..=u32::MAX, any::<u64>(), any::<u64>());
    (sender, times, entries, arrival, numbers).prop_map(
        |(
            (node, incarnation),
            (opened, shift, length, short),
            entries,
            (at, far),
            (tau, reads, dropped),
        )| {
            let entry = |(hash, (count, exact))| Entry {
                key: KeyHash::new(hash),
                count,
                unit: if exact { 0 } else { count },
            };
            let frame = Frame {
                sender: Sender { node, incarnation },
                opened_ms: opened >> shift,
                length_ms: length >> short,
                tau,
                reads,
                dropped,
                entries: entries.into_iter().map(entry).collect(),
            };
            (frame, Boot(at >> far))
        },
    )
}

proptest! {
    #[test]
    fn no_frames_in_any_order_make_it_panic(arrivals in prop::collection::vec(any_arrival(), 0..40)) {
        let mut detector = Detector::new(rules(&[]), Limits::default(), Boot(0));
        for (frame, arrived) in arrivals {
            detector.frame(&frame, arrived).ok();
            for asked in detector.questions() {
                detector.name(asked, &key("A"), u32::MAX, arrived);
            }
            detector.tick(arrived);
            for promotion in detector.hot() {
                prop_assert!(promotion.promotion.share <= 1.0 && promotion.rate.is_finite());
            }
        }
    }
}

/// The same reads, from nodes whose clocks differ and drift, and frames that take their time.
fn skewed(skews_ms: &[i64], drift: i64, delay_ms: impl Fn(u64, u32) -> u64) -> (Cluster, Vec<f64>) {
    let mut cluster = Cluster::new(u32::try_from(skews_ms.len()).unwrap());
    cluster.names.push(key("A"));
    let mut rates = Vec::new();
    for slot in 0..1200_u64 {
        let mut sent = Vec::new();
        for (node, skew) in (0..).zip(skews_ms) {
            let mut frame = cluster.frame(node, &[("A", 23)]);
            frame.opened_ms = frame.opened_ms.saturating_add_signed(skew * 100);
            let ahead = cluster.slot.cast_signed() * drift / 10;
            let arrived = Boot(cluster.now().0.saturating_add_signed(ahead))
                .plus(Duration::from_millis(delay_ms(slot, node)));
            sent.push((arrived, frame));
        }
        sent.sort_by_key(|(arrived, _)| *arrived);
        for (arrived, frame) in sent {
            cluster.detector.frame(&frame, arrived).ok();
            cluster.answer();
        }
        cluster.tick();
        if let Some(tracked) = cluster.detector.tracked.get(&hash("A")) {
            let end = cluster.detector.newest - 1;
            rates.push(tracked.ring.sum(end, 2) * 5.0);
        }
    }
    (cluster, rates)
}

#[test]
fn clocks_that_differ_by_any_time_make_no_difference() {
    let (cluster, rates) = skewed(&[0, 50, -50, 36_000], 0, |_, _| 0);
    assert!(rates[5..].iter().all(|rate| *rate == 920.0), "{rates:?}");
    assert_eq!(cluster.words("A"), [""; 0], "0.92 of the threshold");
}

#[test]
fn clocks_that_drift_and_frames_that_wait_never_count_a_slot_double() {
    for drift in [-200_000, 200_000] {
        // A frame now and then takes 0.3 s longer; node 2 begins with late ones.
        let delay = |slot, node: u32| match (slot % 50, node) {
            (7, _) => 300,
            _ if node == 2 && slot < 5 => 450,
            _ => 5,
        };
        let (cluster, rates) = skewed(&[0, 50, -50, 7], drift, delay);
        let most = rates.iter().copied().fold(0.0, f64::max);
        assert!(most <= 920.0, "{drift}: {most}");
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        assert!(mean > 880.0, "{drift}: {mean}");
        assert_eq!(cluster.words("A"), [""; 0]);
    }
}

#[test]
fn a_slice_that_was_closed_late_is_no_surge() {
    let mut cluster = Cluster::new(1);
    cluster.run(30, &[("A", 85)]);
    // The node's thread stood still for 1.2 s: one slice holds what twelve would, for a known key and for a new one.
    cluster.slot += 11;
    let mut frame = cluster.frame(0, &[("A", 1020), ("B", 1020)]);
    frame.opened_ms -= 1100;
    frame.length_ms = 1200;
    cluster.names.push(key("B"));
    cluster.take(&frame).unwrap();
    cluster.tick();
    cluster.run(30, &[("A", 85), ("B", 85)]);
    assert_eq!((cluster.words("A"), cluster.words("B")), (vec![], vec![]));
    assert_eq!(
        ring(&cluster, "A")[..30]
            .iter()
            .map(|count| count.round())
            .collect::<Vec<_>>(),
        [85.0; 30]
    );
}

#[test]
fn a_restarted_node_counts_at_once_and_its_last_frames_do_not() {
    let mut cluster = Cluster::new(2);
    cluster.run(20, &[("A", 60)]);
    let before = cluster.frame(1, &[("A", 30)]);
    let mut after = cluster.frame(1, &[("A", 30)]);
    after.sender.incarnation = 78;
    after.opened_ms = 300;
    assert_eq!(cluster.take(&after), Ok(()));
    assert_eq!(cluster.take(&before), Err(Refused::Former));
    after.opened_ms = 400;
    cluster.tick();
    assert_eq!(cluster.take(&after), Ok(()));
    assert_eq!(ring(&cluster, "A")[..3], [30.0, 30.0, 60.0]);
}

#[test]
fn nodes_are_bounded_and_leave() {
    let mut cluster = Cluster::new(1);
    for node in 0..2000 {
        let frame = cluster.frame(node, &[]);
        let taken = cluster.take(&frame);
        assert_eq!(taken.is_ok(), node < 1024);
    }
    cluster.detector.leave(5);
    let frame = cluster.frame(1999, &[]);
    assert_eq!(cluster.take(&frame), Ok(()));
    assert_eq!(cluster.detector.status(cluster.now()).nodes, NODES_MAX);
    cluster.tick();
    cluster.run(302, &[]);
    assert_eq!(
        cluster.detector.status(cluster.now()).nodes,
        1,
        "the silent are forgotten after 30 s"
    );
}

#[test]
fn a_clock_that_drifts_for_an_hour_is_no_lag() {
    let mut cluster = Cluster::new(1);
    for slot in 0..36_000_u64 {
        let frame = cluster.frame(0, &[("A", 1)]);
        // 150 millionths slower than the detector's: 0.54 s in the end.
        let behind = Duration::from_micros(slot * 15);
        let now = cluster.now().plus(behind);
        cluster.detector.frame(&frame, now).unwrap();
        cluster.detector.tick(now.plus(Duration::from_millis(50)));
        cluster.slot += 1;
    }
    assert_eq!(cluster.detector.health(), Health::Live);
}

#[test]
fn one_read_that_stands_for_thousands_is_no_surge() {
    let mut cluster = Cluster::new(2);
    cluster.run(20, &[("A", 12)]);
    for id in ["A", "B"] {
        cluster.names.push(key(id));
        let mut frame = cluster.frame(0, &[(id, 4096)]);
        frame.entries[0].unit = 4096;
        cluster.take(&frame).unwrap();
        cluster.tick();
    }
    cluster.run(30, &[("A", 12), ("B", 12)]);
    assert_eq!(cluster.decided, []);
}

#[test]
fn a_late_frame_completes_the_windows_that_end_now() {
    let mut cluster = Cluster::new(2);
    cluster.run(20, &[("A", 24)]);
    let first = cluster.frame(0, &[("A", 100)]);
    let late = cluster.frame(1, &[("A", 50)]);
    cluster.take(&first).unwrap();
    cluster.tick();
    let second = cluster.frame(0, &[("A", 150)]);
    cluster.take(&second).unwrap();
    assert_eq!(cluster.decided, []);
    cluster.take(&late).unwrap();
    assert_eq!(cluster.words("A"), ["surge"]);
}
