//! Leaders come and go, and nothing is demoted by it.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::HotReason;
use hotshelf_model::{Channel, Clock};
use hotshelf_promotion::HotEvent;
use hotshelf_testkit::FakeOrigin;

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
    assert_eq!(decisions.try_next(), None, "the set is the same");
    nodes.read_everywhere("chair", 1000);
    nodes
        .until("it decides", |nodes| nodes.is_hot_everywhere("chair"))
        .await;
    nodes
        .until("also what to let go", |nodes| {
            !nodes.is_hot_anywhere("lamp")
        })
        .await;
    let events = [decisions.try_next(), decisions.try_next()].map(Option::unwrap);
    assert!(
        matches!(&events[0], HotEvent::Promoted(at, hot) if at.term > term && hot.key == key("chair"))
    );
    assert!(matches!(&events[1], HotEvent::Demoted(_, gone, _) if *gone == key("lamp")));
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

/// A database that lost a lease at its failover gives it to another while the first still trusts its own.
#[tokio::test(start_paused = true)]
async fn two_that_both_lead_demote_nothing_and_nobody_begins_anew() {
    let mut nodes = Nodes::settled(1).await;
    let first = nodes.leaders()[0];
    let clock = Arc::clone(&nodes.clock) as Arc<dyn Clock>;
    nodes.leases = Arc::new(FakeOrigin::with_clock(clock));
    nodes.join(None);
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    let both = nodes.all.iter();
    let mut decisions: Vec<_> = both.map(|node| node.hot_keys().decisions(None)).collect();
    for decisions in &mut decisions {
        assert!(matches!(decisions.try_next(), Some(HotEvent::Reset(..))));
    }
    let bus = nodes.node(first).bus.clone().unwrap();
    bus.disconnect();
    let both_lead = |nodes: &Nodes| nodes.leaders().len() == 2;
    nodes.until("the other leads, too", both_lead).await;
    bus.reconnect();
    for _ in 0..20 {
        nodes.pass(Duration::from_millis(50)).await;
        assert!(both_lead(&nodes) && nodes.is_hot_everywhere("lamp"));
    }
    for decisions in &mut decisions {
        assert_eq!(decisions.try_next(), None);
    }
    nodes.kill(first);
    nodes.pass(Duration::from_secs(20)).await;
    assert!(nodes.is_hot_everywhere("lamp"));
    assert_eq!(decisions[1].try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_while_its_lease_lasts_is_replaced_and_learns_what_it_missed() {
    let mut nodes = Nodes::settled(4).await;
    let cut = nodes.leaders()[0];
    let bus = nodes.node(cut).bus.clone().unwrap();
    bus.disconnect();
    nodes.read_everywhere("lamp", 1000);
    let others = |nodes: &Nodes| {
        let mut others = nodes.all.iter().filter(|node| node.number != cut);
        others.all(|node| node.holds("lamp", HotReason::Detected))
    };
    let took = nodes.until("the others have decided", others).await;
    assert!(took <= Duration::from_secs(3), "{took:?}");
    nodes
        .until("one leads", |nodes| nodes.leaders().len() == 1)
        .await;
    assert_ne!(nodes.leaders(), [cut]);
    bus.reconnect();
    let took = nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
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

#[tokio::test(start_paused = true)]
async fn a_history_renewed_while_a_key_is_hot_begins_everything_anew() {
    let mut nodes = Nodes::settled(4).await;
    nodes.read_everywhere("lamp", 1000);
    nodes
        .until("it is hot everywhere", |nodes| {
            nodes.is_hot_everywhere("lamp")
        })
        .await;
    let all = nodes.all.iter();
    let mut decisions: Vec<_> = all.map(|node| node.hot_keys().decisions(None)).collect();
    for decisions in &mut decisions {
        decisions.try_next();
    }
    nodes.origin.renew_hist();
    nodes
        .until("what was hot is forgotten", |nodes| {
            !nodes.is_hot_anywhere("lamp")
        })
        .await;
    nodes
        .until("it is found again", |nodes| nodes.is_hot_everywhere("lamp"))
        .await;
    assert_eq!(nodes.leaders().len(), 1);
    for decisions in &mut decisions {
        assert!(matches!(decisions.try_next(), Some(HotEvent::Reset(..))));
    }
    for _ in 0..40 {
        nodes.pass(Duration::from_millis(500)).await;
        assert!(nodes.is_hot_everywhere("lamp"));
    }
    nodes.read_everywhere("chair", 1000);
    nodes
        .until("the rest is let go", |nodes| !nodes.is_hot_anywhere("lamp"))
        .await;
}
