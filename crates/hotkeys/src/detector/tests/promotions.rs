//! When keys become hot.

use super::*;
use crate::poisson::Window;

fn promotion(cluster: &Cluster) -> Promotion {
    let found = cluster
        .decided
        .iter()
        .find_map(|(_, decision)| match decision {
            Decision::Promote(promotion) => Some(promotion.clone()),
            Decision::Demote(_) => None,
        });
    found.unwrap()
}

#[test]
fn a_surge_is_promoted_with_rate_share_onset_and_reason() {
    let mut cluster = Cluster::new(10);
    cluster.run(30, &[("A", 2)]);
    cluster.run(10, &[("A", 500)]);
    let promotion = promotion(&cluster);
    assert_eq!(
        (promotion.key.clone(), promotion.hash, promotion.bytes),
        (key("A"), hash("A"), 1000)
    );
    let PromotionReason::Surge { window, sigmas } = promotion.why else {
        panic!("{:?}", promotion.why);
    };
    assert!(window == Window::Fifth && sigmas > 5.0);
    assert!(
        (promotion.rate - 1400.0).abs() < 200.0,
        "{}",
        promotion.rate
    );
    assert!(
        (promotion.share - 0.00028).abs() < 0.0001,
        "{}",
        promotion.share
    );
    assert_eq!(promotion.onset, Boot((START + 30 + 1) * SLICE_NANOS));
    assert_eq!(
        cluster.story("A"),
        [(30, "surge")],
        "in the slot that brought it"
    );
    assert_eq!(cluster.detector.tallies().promotions, 1);
}

#[test]
fn a_key_just_above_its_threshold_takes_two_seconds_and_one_below_never_is() {
    let mut cluster = Cluster::new(10);
    cluster.run(600, &[("A", 106), ("B", 99), ("C", 79)]);
    assert_eq!(cluster.words("A"), ["surge"]);
    let promoted = cluster.story("A")[0].0;
    assert!((17..=22).contains(&promoted), "{promoted}");
    assert_eq!(cluster.words("B"), [""; 0], "steady, without chance");
    assert_eq!(cluster.words("C"), [""; 0]);
}

/// A first detector began a candidate's ring with its decayed count, and took old reads for new ones.
#[test]
fn reads_before_a_key_became_a_candidate_count_for_nothing() {
    let mut cluster = Cluster::new(10);
    // Just too little for the gate, for long; then for one slot as much as would do with what was before, and not by itself.
    cluster.run(100, &[("A", 8)]);
    assert_eq!(cluster.detector.status(cluster.now()).tracked, 0);
    cluster.run(1, &[("A", 260)]);
    assert_eq!(cluster.detector.status(cluster.now()).tracked, 1);
    let ring = &cluster.detector.tracked[&hash("A")].ring;
    let exact = ring.sum(cluster.detector.newest, 20);
    assert!(exact <= 260.0, "{exact}");
    cluster.run(50, &[("A", 8)]);
    assert_eq!(cluster.words("A"), [""; 0]);
}

#[test]
fn an_unnamed_key_is_asked_for_each_second_and_promoted_when_it_is_named() {
    let mut cluster = Cluster::new(4);
    let mut asked = Vec::new();
    for _ in 0..25 {
        for node in 0..4 {
            let frame = cluster.frame(node, &[("A", 100)]);
            cluster.detector.frame(&frame, cluster.now()).unwrap();
        }
        cluster.slot += 1;
        cluster
            .detector
            .tick(Boot(cluster.slot * SLICE_NANOS + 50_000_000));
        asked.extend(cluster.detector.questions());
    }
    assert!(
        (3..=4).contains(&asked.len()) && asked.iter().all(|asked| *asked == hash("A")),
        "{asked:?}"
    );
    assert_eq!(cluster.detector.decisions(), []);
    let now = cluster.now();
    cluster.detector.name(hash("B"), &key("B"), 10, now);
    cluster.detector.name(hash("A"), &key("A"), 10, now);
    cluster.detector.name(hash("A"), &key("C"), 20, now);
    let decisions = cluster.detector.decisions();
    assert!(
        matches!(&decisions[..], [Decision::Promote(promotion)] if promotion.key == key("A")),
        "{decisions:?}"
    );
}

#[test]
fn one_node_alone_can_make_a_key_hot() {
    let mut cluster = Cluster::new(100);
    cluster.run(20, &[("B", 500)]);
    for _ in 0..10 {
        for node in 0..100 {
            let reads: &[(&str, u32)] = if node == 42 { &[("A", 300)] } else { &[] };
            let frame = cluster.frame(node, reads);
            cluster.names = vec![key("A"), key("B")];
            cluster.take(&frame).unwrap();
        }
        cluster.tick();
    }
    assert_eq!(cluster.words("A"), ["surge"]);
}

#[test]
fn rules_decide_and_change_without_forgetting_what_was_counted() {
    let texts = [
        ("never", Action::Never),
        ("always", Action::Always),
        ("low", Action::Threshold(300)),
    ];
    let mut cluster = Cluster::with(10, rules(&texts), Limits::default());
    let reads = [("never", 500), ("always", 8), ("low", 50), ("plain", 50)];
    cluster.run(60, &reads);
    assert_eq!(cluster.hot(), ["always", "low"]);
    assert_eq!(cluster.words("always"), ["rule"]);

    // The same frame that follows finds two seconds of reads: nothing waits for a window to fill again.
    cluster.detector.set_rules(rules(&[
        ("low", Action::Never),
        ("plain", Action::Threshold(300)),
    ]));
    cluster.answer();
    assert_eq!(cluster.words("low"), ["surge", "rule"]);
    let slot = cluster.slot - START;
    cluster.run(1, &reads);
    assert_eq!(cluster.story("plain"), [(slot, "surge")]);
    assert_eq!(cluster.story("never"), [(slot, "surge")]);
    assert!(
        cluster.hot().contains(&"always".to_owned()),
        "it is let go slowly, as any other"
    );
}

#[test]
fn bad_rules_leave_the_old_ones_in_force() {
    let mut cluster = Cluster::with(10, rules(&[("A", Action::Never)]), Limits::default());
    let text = RuleText {
        name: "broken".to_owned(),
        namespace: None,
        id: Some("(".to_owned()),
        action: Action::Always,
    };
    if let Ok(rules) = Rules::new(THRESHOLD, &[text]) {
        cluster.detector.set_rules(rules);
    }
    cluster.run(30, &[("A", 500), ("B", 500)]);
    assert_eq!(cluster.hot(), ["B"]);
}

#[test]
fn a_snapshot_is_held_until_it_is_known_better() {
    let mut cluster = Cluster::new(10);
    let now = cluster.now();
    for id in ["A", "B"] {
        cluster.detector.hold(hash(id), &key(id), 10, now);
    }
    cluster.answer();
    assert_eq!(
        (cluster.hot().len(), cluster.words("A")),
        (2, vec!["snapshot"])
    );
    cluster.run(300, &[("A", 90)]);
    assert_eq!(
        cluster.words("A"),
        ["snapshot"],
        "read at nine tenths of the threshold"
    );
    assert_eq!(cluster.words("B"), ["snapshot", "cooled"]);
}
