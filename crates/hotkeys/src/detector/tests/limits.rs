//! Bounds, and who stays when there is no room; and that two detectors agree.

use super::*;

#[test]
fn with_no_room_the_keys_that_are_read_most_are_hot() {
    let limits = Limits {
        keys_max: 2,
        ..Limits::default()
    };
    let mut cluster = Cluster::with(4, rules(&[]), limits);
    cluster.run(20, &[("A", 200), ("B", 300)]);
    cluster.run(30, &[("A", 200), ("B", 300), ("C", 240)]);
    assert_eq!(
        cluster.hot(),
        ["A", "B"],
        "a key like another does not take its place"
    );
    assert!(cluster.detector.tallies().promotions_refused > 0);
    cluster.run(30, &[("A", 200), ("B", 300), ("C", 260)]);
    assert_eq!(cluster.hot(), ["B", "C"]);
    assert_eq!(cluster.words("A"), ["surge", "room"]);
    cluster.detector.set_limits(Limits {
        keys_max: 1,
        ..limits
    });
    cluster.run(1, &[("A", 200), ("B", 300), ("C", 260)]);
    assert_eq!(cluster.hot(), ["B"]);
}

#[test]
fn bytes_are_bounded_too() {
    let limits = Limits {
        bytes_max: 2500,
        ..Limits::default()
    };
    let mut cluster = Cluster::with(4, rules(&[]), limits);
    cluster.run(30, &[("A", 200), ("B", 300), ("C", 500)]);
    assert_eq!(cluster.hot(), ["B", "C"], "of 1000 bytes each");
    assert_eq!(cluster.detector.status(cluster.now()).hot_bytes, 2000);
    let none = Limits {
        bytes_max: 999,
        ..limits
    };
    cluster.detector.set_limits(none);
    cluster.run(5, &[("A", 200), ("B", 300), ("C", 500)]);
    assert_eq!(cluster.hot(), [""; 0]);
}

#[test]
fn too_many_candidates_narrow_the_gate_and_do_not_hide_a_surge() {
    let mut cluster = Cluster::new(1);
    let names: Vec<String> = (0..20_000).map(|number| format!("N{number}")).collect();
    let many: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 12)).collect();
    for slot in 0..60 {
        let mut reads = many.clone();
        if slot >= 40 {
            reads.push(("A", 500));
        }
        cluster.names = vec![key("A")];
        let frame = cluster.frame(0, &reads);
        cluster.take(&frame).unwrap();
        cluster.tick();
        let status = cluster.detector.status(cluster.now());
        assert!(status.tracked <= TRACKED_MAX);
        assert!(status.heap_bytes < 16 << 20, "{}", status.heap_bytes);
    }
    assert!(cluster.detector.status(cluster.now()).gate_share > GATE_SHARE);
    assert_eq!(cluster.words("A"), ["surge"]);
    cluster.run(100, &[]);
    let status = cluster.detector.status(cluster.now());
    assert_eq!((status.tracked, status.gate_share), (1, GATE_SHARE));
    assert_eq!(cluster.detector.watched().collect::<Vec<_>>(), [hash("A")]);
}

/// Reads with surges, a return and a flood; every frame with when it arrives.
fn history() -> Vec<(Frame, Boot)> {
    let mut cluster = Cluster::new(5);
    let mut frames = Vec::new();
    let mut dice = crate::dice::Dice::new(5);
    for slot in 0..900_u64 {
        for node in 0..5 {
            let surge = |from: u64, to: u64, reads: u32| {
                if (from..to).contains(&slot) {
                    reads + dice_of(slot, node)
                } else {
                    3
                }
            };
            let mut reads = vec![
                ("A", surge(100, 200, 100)),
                ("B", surge(150, 500, 25)),
                ("C", surge(300, 310, 900)),
            ];
            reads.push(("A2", surge(400, 420, 70)));
            reads.push(("A2", 0));
            let frame = cluster.frame(node, &reads);
            let arrived = cluster
                .now()
                .plus(Duration::from_millis(u64::from(dice.below(40))));
            if dice.below(100) > 0 {
                frames.push((frame, arrived));
            }
        }
        cluster.slot += 1;
    }
    frames.sort_by_key(|(_, arrived)| *arrived);
    frames
}

fn dice_of(slot: u64, node: u32) -> u32 {
    crate::dice::Dice::new(slot * 7 + u64::from(node)).below(8)
}

/// What a detector decides, and when: by its own ticks.
fn decisions(frames: &[(Frame, Boot)]) -> Vec<Decision> {
    let mut cluster = Cluster::new(5);
    cluster.names = ["A", "B", "C", "A2"].map(key).to_vec();
    for (frame, arrived) in frames {
        while cluster.now() <= *arrived {
            cluster.tick();
        }
        cluster.detector.frame(frame, *arrived).ok();
        cluster.answer();
    }
    cluster
        .decided
        .into_iter()
        .map(|(_, decision)| decision)
        .collect()
}

#[test]
fn a_standby_with_the_same_frames_decides_the_same() {
    let frames = history();
    let decided = decisions(&frames);
    assert!(decided.len() >= 8, "{decided:?}");
    assert_eq!(decisions(&frames), decided);
}

#[test]
fn a_standby_that_hears_the_frames_at_other_times_comes_to_the_same_keys() {
    let frames = history();
    let words = |decisions: Vec<Decision>| {
        let mut words: Vec<(String, &str)> = decisions
            .iter()
            .map(|decision| match decision {
                Decision::Promote(promotion) => {
                    (promotion.key.id().to_owned(), promotion.why.as_str())
                }
                Decision::Demote(demotion) => (demotion.key.id().to_owned(), demotion.why.as_str()),
            })
            .collect();
        words.sort_unstable();
        words
    };
    let mut dice = crate::dice::Dice::new(6);
    let mut others: Vec<(Frame, Boot)> = frames
        .iter()
        .map(|(frame, arrived)| {
            (
                frame.clone(),
                arrived.plus(Duration::from_millis(u64::from(dice.below(60)))),
            )
        })
        .collect();
    others.sort_by_key(|(_, arrived)| *arrived);
    assert_ne!(frames, others);
    assert_eq!(words(decisions(&others)), words(decisions(&frames)));
}
