//! What is read much becomes hot on every node, and ordinary again.

use std::time::Duration;

use hotshelf_engine::HotReason;
use hotshelf_hotkeys::{Action, RuleText, Rules};
use hotshelf_promotion::{HotEvent, PromotionReason};
use hotshelf_testkit::BusFaults;

use crate::harness::{Node, Nodes, key};

fn rule(id: &str, action: Action) -> RuleText {
    RuleText {
        name: id.to_owned(),
        namespace: None,
        id: Some(id.to_owned()),
        action,
    }
}

#[tokio::test(start_paused = true)]
async fn a_surge_on_one_node_of_four_is_held_on_all_and_let_go() {
    let mut nodes = Nodes::settled(4).await;
    let mut decisions = nodes.all[3].hot_keys().decisions(None);
    assert!(matches!(decisions.try_next(), Some(HotEvent::Reset(_, keys)) if keys.is_empty()));
    nodes.node(2).reads = vec![(key("lamp"), 25)];
    let took = nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    // Five times the threshold, on one node.
    assert!(took <= Duration::from_millis(300), "{took:?}");
    let Some(HotEvent::Promoted(_, lamp)) = decisions.try_next() else {
        panic!("it was promoted");
    };
    assert_eq!(lamp.key, key("lamp"));
    assert!(matches!(lamp.why, PromotionReason::Surge { .. }));
    assert_eq!(lamp.bytes, 2000);
    nodes
        .until("every node says that it holds it", |nodes| {
            let view = nodes.all[0].hot_keys().view();
            let lamp = &view.keys[0];
            lamp.held_by == 4 && (lamp.rate - 2500.0).abs() < 50.0
        })
        .await;
    let view = nodes.all[0].hot_keys().view();
    assert_eq!((view.keys.len(), view.keys[0].nodes, view.nodes), (1, 4, 4));
    nodes.node(2).reads.clear();
    let took = nodes
        .until("it is ordinary", |nodes| !nodes.is_hot_anywhere("lamp"))
        .await;
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert!(
        matches!(decisions.try_next(), Some(HotEvent::Demoted(_, lamp, _)) if lamp == key("lamp"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_spread_over_all_nodes_adds_up() {
    let mut nodes = Nodes::settled(4).await;
    nodes.read_everywhere("lamp", 300);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    let mut nodes = Nodes::settled(4).await;
    nodes.read_everywhere("lamp", 100);
    nodes.pass(Duration::from_secs(10)).await;
    assert!(
        !nodes.is_hot_anywhere("lamp"),
        "400 of 500 reads per second"
    );
}

#[tokio::test(start_paused = true)]
async fn rules_say_what_is_hot_and_may_be_changed_live() {
    let mut nodes = Nodes::none();
    nodes.rules = Rules::new(500, &[rule("lamp", Action::Never)]).unwrap();
    for _ in 0..2 {
        nodes.join(None);
    }
    nodes
        .until("one leads", |nodes| nodes.leaders().len() == 1)
        .await;
    for node in &mut nodes.all {
        node.reads = vec![(key("lamp"), 20), (key("chair"), 20)];
    }
    nodes
        .until("the other is hot", |nodes| nodes.is_hot_everywhere("chair"))
        .await;
    nodes.pass(Duration::from_secs(2)).await;
    assert!(!nodes.is_hot_anywhere("lamp"));
    let other = Rules::new(500, &[rule("chair", Action::Never)]).unwrap();
    for node in &nodes.all {
        node.hot_keys().set_rules(other.clone());
    }
    nodes
        .until("they have changed places", |nodes| {
            nodes.is_hot_everywhere("lamp") && !nodes.is_hot_anywhere("chair")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_cluster_works_alone() {
    let mut nodes = Nodes::none();
    nodes.start_alone();
    nodes.read_everywhere("lamp", 2500);
    nodes
        .until("it is hot", |nodes| nodes.is_hot_everywhere("lamp"))
        .await;
    let view = nodes.all[0].hot_keys().view();
    assert!(view.leads);
    assert_eq!((view.nodes, view.keys[0].held_by), (1, view.keys[0].nodes));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_gets_the_hot_set() {
    let mut nodes = Nodes::settled(3).await;
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    nodes.join(None);
    let took = nodes
        .until("it is hot there too", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_was_lost_is_mended_by_a_snapshot() {
    let mut nodes = Nodes::settled(3).await;
    let leader = nodes.leaders()[0];
    let deaf = nodes.all.iter().find(|node| node.number != leader);
    let deaf = deaf.unwrap().number;
    nodes.node(deaf).bus.as_ref().unwrap().disconnect();
    nodes.node(leader).reads = vec![(key("lamp"), 25)];
    nodes
        .until("the leader has decided", |nodes| {
            nodes.is_hot_anywhere("lamp")
        })
        .await;
    assert!(!nodes.node(deaf).holds("lamp", HotReason::Detected));
    nodes.node(deaf).bus.as_ref().unwrap().reconnect();
    let took = nodes
        .until("it has heard of it", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn damaged_messages_change_nothing() {
    use hotshelf_model::{Bus as _, Channel};
    let mut nodes = Nodes::settled(2).await;
    let bus = nodes.hub.join();
    nodes.read_everywhere("lamp", 1000);
    for _ in 0..100 {
        for channel in [Channel::Hot, Channel::Frames] {
            bus.publish(channel, bytes::Bytes::from_static(b"HShk nonsense"));
        }
        nodes.pass(Duration::from_millis(10)).await;
    }
    assert!(nodes.is_hot_everywhere("lamp"));
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_loses_doubles_and_delays_ends_with_the_same_hot_set_everywhere() {
    let mut nodes = Nodes::settled(4).await;
    nodes.hub.set_faults(BusFaults {
        lose_percent: 5,
        duplicate_percent: 5,
        delay_percent: 5,
    });
    for (id, other) in [("lamp", "chair"), ("chair", "table"), ("table", "lamp")] {
        nodes.read_everywhere(id, 1000);
        let what = |nodes: &Nodes| nodes.is_hot_everywhere(id) && !nodes.is_hot_anywhere(other);
        nodes.until("the crowd has moved on", what).await;
    }
    let counts = nodes.hub.counts();
    assert!(counts.lost > 100 && counts.duplicated > 100 && counts.delayed > 100);
    assert_eq!(nodes.leaders().len(), 1);
    nodes
        .until("all know of the same decision", |nodes| {
            let cursor = |node: &Node| node.hot_keys().view().cursor;
            let first = cursor(&nodes.all[0]);
            nodes.all.iter().all(|node| cursor(node) == first)
        })
        .await;
}
