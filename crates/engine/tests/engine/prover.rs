//! The node that leads polls for the others; whoever gets no answer polls itself.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::message::{Answers, Ask, Message, decode, encode_ask};
use hotshelf_model::{Bus, BusEvent, Channel, Feed, Position};
use hotshelf_testkit::{BusFaults, FakeHub};

use crate::shop::{Node, Shop};

const LOSES_ALL: BusFaults = BusFaults {
    lose_percent: 100,
    ..BusFaults::NONE
};

/// Lets time pass in steps of a tenth of a poll interval, and looks after each.
async fn pass(shop: &Shop, time: Duration, mut look: impl FnMut()) {
    let step = shop.settings.poll_interval / 10;
    for _ in 0..time.as_millis() / step.as_millis() {
        shop.clock.advance(step);
        tokio::time::sleep(step).await;
        look();
    }
}

fn assert_proved(shop: &Shop, nodes: &[Node]) {
    for node in nodes {
        let age = node.cache.status().proof_age.unwrap();
        assert!(age <= shop.settings.staleness_bound / 2, "{age:?}");
    }
}

async fn nodes(shop: &Shop, hub: &Arc<FakeHub>, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(shop.node_on(hub).await);
    }
    pass(shop, Duration::from_secs(2), || {}).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn polls_do_not_grow_with_nodes() {
    let shop = Shop::with_lamp();
    let nodes = nodes(&shop, &FakeHub::new(1), 8).await;
    let (polls, time) = (shop.origin.polls(), Duration::from_secs(20));
    pass(&shop, time, || assert_proved(&shop, &nodes)).await;
    let polls = u128::from(shop.origin.polls() - polls);
    let of_one_node = time.as_millis() / shop.settings.poll_interval.as_millis();
    assert!(
        polls <= of_one_node + 8,
        "{polls}, where one node alone makes {of_one_node}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_polled_for_learns_of_every_change() {
    let shop = Shop::with_lamp();
    let nodes = nodes(&shop, &FakeHub::new(1), 3).await;
    shop.origin.sequence_by_polls();
    for change in 0..50 {
        shop.origin.put("lamp", change.to_string());
        for node in &nodes {
            node.catch_up().await;
            assert_eq!(node.read("lamp").await.0, change.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gets_no_answers_polls_itself_and_stays_proved() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let nodes = nodes(&shop, &hub, 2).await;
    hub.set_faults(LOSES_ALL);
    let polls = shop.origin.polls();
    let time = Duration::from_secs(20);
    pass(&shop, time, || assert_proved(&shop, &nodes)).await;
    let polls = u128::from(shop.origin.polls() - polls);
    let of_one_node = time.as_millis() / shop.settings.poll_interval.as_millis();
    assert!(polls > of_one_node * 3 / 2, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn who_is_polled_for_polls_itself_as_soon_as_its_bus_is_gone() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let buses = [hub.join(), hub.join()];
    let mut nodes = Vec::new();
    for bus in &buses {
        nodes.push(shop.node_over(Arc::clone(bus)).await);
    }
    pass(&shop, Duration::from_secs(2), || {}).await;
    for bus in buses {
        bus.disconnect();
    }
    // No proof gets old meanwhile.
    for node in &nodes {
        node.catch_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_bus_lost_is_found_by_who_is_polled_for() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let nodes = nodes(&shop, &hub, 2).await;
    shop.origin.sequence_by_polls();
    for change in 0..10 {
        hub.set_faults(LOSES_ALL);
        shop.origin.put("lamp", change.to_string());
        let head = Position(shop.origin.head().position.0 + 1);
        let leader_has_it = || {
            nodes
                .iter()
                .any(|node| node.cache.status().position >= Some(head))
        };
        nodes[0]
            .until("the leader has the change", |_| leader_has_it())
            .await;
        hub.set_faults(BusFaults::NONE);
        for node in &nodes {
            node.until("the node has the change", |node| {
                node.cache.status().position >= Some(head)
            })
            .await;
        }
    }
    assert!(hub.counts().lost >= 10);
}

/// The next answer to an ask of `asker`.
async fn answer_to(bus: &dyn Bus, asker: u64) -> Answers {
    loop {
        if let BusEvent::Message(_, payload) = bus.next(Feed::Changes).await
            && let Ok(Message::Answers(answers)) = decode(&payload)
            && answers.of(asker, 1).is_some()
        {
            return answers;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_answers_only_those_who_asked_before_it_was_sent() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let nodes = nodes(&shop, &hub, 1).await;
    shop.origin.delay(Duration::from_millis(100));
    for asker in 0..20 {
        let bus = hub.join();
        let polls = shop.origin.polls();
        nodes[0]
            .until("a poll is under way", |_| shop.origin.polls() > polls)
            .await;
        shop.origin.put("lamp", asker.to_string());
        let changed = shop.origin.head().position;
        let ask = Ask {
            asker,
            number: 1,
            known: changed,
        };
        bus.publish(Channel::Hint, encode_ask(&ask));
        let answers = answer_to(&*bus, asker).await;
        assert!(answers.poll.head.position >= changed);
        assert!(answers.of(asker, 1).unwrap().known_nonce.is_some());
    }
}
