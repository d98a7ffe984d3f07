//! Leaders come and go, and nothing is demoted by it.

use std::time::Duration;

use hotshelf_engine::HotReason;
use hotshelf_model::Channel;

use crate::harness::{Node, Nodes, key};

#[tokio::test(start_paused = true)]
async fn one_leads_and_two_stand_by() {
    let mut nodes = Nodes::settled(5).await;
    assert_eq!(nodes.leaders().len(), 1);
    nodes.pass(Duration::from_secs(20)).await;
    assert_eq!(nodes.leaders().len(), 1);
    let leader = nodes.leaders()[0];
    for node in &nodes.all {
        assert_eq!(node.hot_keys().view().leader, Some(leader));
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_leads_soon_after_the_leader_is_gone_and_demotes_nothing() {
    let mut nodes = Nodes::settled(4).await;
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    let before = nodes.leaders()[0];
    let follower = nodes.all.iter().find(|node| node.number != before);
    let mut decisions = follower.unwrap().hot_keys().decisions(None);
    let term = decisions.try_next().unwrap().cursor().term;
    nodes.kill(before);
    let took = nodes
        .until("another leads", |nodes| nodes.leaders().len() == 1)
        .await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
    assert!(nodes.is_hot_everywhere("lamp"));
    // Through the time after which a key that is not read would be let go.
    for _ in 0..40 {
        nodes.pass(Duration::from_millis(500)).await;
        assert!(nodes.is_hot_everywhere("lamp"));
    }
    let event = decisions.try_next().unwrap();
    assert!(event.cursor().term > term);
    nodes.read_everywhere("chair", 1000);
    nodes
        .until("it decides", |nodes| nodes.is_hot_everywhere("chair"))
        .await;
    nodes
        .until("also what to let go", |nodes| {
            !nodes.is_hot_anywhere("lamp")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_detector_a_node_finds_what_is_hot_by_itself_and_lets_it_go() {
    let mut nodes = Nodes::settled(4).await;
    for node in &nodes.all {
        node.bus.as_ref().unwrap().disconnect();
    }
    // Nobody hears anybody for longer than a leader may be silent.
    nodes.pass(Duration::from_millis(600)).await;
    nodes.read_everywhere("lamp", 2500);
    let here = |nodes: &Nodes| {
        let mut all = nodes.all.iter();
        all.all(|node| node.holds("lamp", HotReason::Provisional))
    };
    let took = nodes.until("each has found it", here).await;
    assert!(took <= Duration::from_millis(500), "{took:?}");
    nodes.pass(Duration::from_secs(10)).await;
    assert!(here(&nodes), "as long as it is read");
    nodes.read_everywhere("chair", 0);
    let took = nodes
        .until("they have let it go", |nodes| !here(nodes))
        .await;
    assert!(took <= Duration::from_secs(4), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_bus_demotes_nothing_and_one_leads_after_it() {
    let mut nodes = Nodes::settled(3).await;
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    for node in &nodes.all {
        node.bus.as_ref().unwrap().disconnect();
    }
    for _ in 0..60 {
        nodes.pass(Duration::from_secs(1)).await;
        assert!(nodes.is_hot_everywhere("lamp"));
    }
    assert_eq!(nodes.leaders(), Vec::<u32>::new(), "none without the bus");
    for node in &nodes.all {
        node.bus.as_ref().unwrap().reconnect();
    }
    nodes
        .until("one leads", |nodes| nodes.leaders().len() == 1)
        .await;
    nodes.pass(Duration::from_secs(15)).await;
    assert!(nodes.is_hot_everywhere("lamp"));
    assert_eq!(nodes.leaders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_hands_its_seat_over() {
    let mut nodes = Nodes::settled(3).await;
    let leader = nodes.leaders()[0];
    let at = nodes.all.iter().position(|node| node.number == leader);
    let node = nodes.all.remove(at.unwrap());
    node.promoter.stop().await;
    let took = nodes
        .until("another leads", |nodes| nodes.leaders().len() == 1)
        .await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_keeps_keys_hot() {
    let mut nodes = Nodes::settled(3).await;
    let leader = nodes.leaders()[0];
    let other = nodes.all.iter().find(|node| node.number != leader);
    let other = other.unwrap().number;
    nodes.node(other).reads = vec![(key("lamp"), 25)];
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    nodes.node(other).stop_counting();
    nodes.pass(Duration::from_secs(20)).await;
    assert!(nodes.is_hot_everywhere("lamp"), "it may be read there");
}

#[tokio::test(start_paused = true)]
async fn a_whole_cluster_that_starts_again_holds_what_was_hot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hot.snapshot");
    let mut nodes = Nodes::none();
    nodes.join(Some(path.clone()));
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot", |nodes| nodes.is_hot_everywhere("lamp"))
        .await;
    let node = nodes.all.remove(0);
    node.promoter.stop().await;
    drop(node.cache);
    nodes.join(Some(path));
    nodes
        .until("one leads", |nodes| nodes.leaders().len() == 1)
        .await;
    nodes.pass(Duration::from_millis(200)).await;
    assert!(nodes.is_hot_everywhere("lamp"), "before anybody reads it");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_leaves_the_lead_to_who_knows_what_is_hot() {
    let mut nodes = Nodes::settled(4).await;
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    let detects = |node: &&Node| node.bus.as_ref().unwrap().hears(Channel::Frames);
    let seated = nodes.all.iter().filter(detects);
    let seated: Vec<u32> = seated.map(|node| node.number).collect();
    assert_eq!(seated.len(), 3, "three seats");
    for number in seated {
        nodes.kill(number);
    }
    nodes.join(None);
    let knows = nodes.all[0].number;
    while nodes.leaders().is_empty() {
        nodes.pass(Duration::from_millis(50)).await;
        assert!(nodes.node(knows).holds("lamp", HotReason::Detected));
    }
    assert_eq!(nodes.leaders(), [knows]);
    nodes
        .until("the newcomer holds it", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
}
