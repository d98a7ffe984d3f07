//! Nodes find each other through PostgreSQL; over SQLite there is one.

use std::time::Duration;

use hotshelf_model::{ClusterNodes, DbTime, KnownNode, NodeFacts};

use super::shop::{shop, shops};
use crate::{Dialect, SqlSettings};

fn node(name: &str, admin: &str) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        number: u32::MAX,
        admin: admin.to_owned(),
        version: "1.2.3".to_owned(),
    }
}

fn facts(nodes: Vec<KnownNode>) -> Vec<NodeFacts> {
    nodes.into_iter().map(|node| node.facts).collect()
}

#[tokio::test]
async fn a_node_is_there_until_it_leaves() {
    for shop in shops("node").await {
        let own = node("shelf-1", "http://10.0.0.1:7401");
        assert_eq!(shop.origin.nodes().await.unwrap(), []);
        for uptime in [60, 65] {
            shop.origin
                .beat(&own, Duration::from_secs(uptime))
                .await
                .unwrap();
        }
        let nodes = shop.origin.nodes().await.unwrap();
        let seen = nodes[0].seen;
        assert!(seen < Duration::from_secs(60), "{seen:?}");
        let now = match shop.dialect {
            Dialect::Postgres => "SELECT (extract(epoch FROM now()) * 1000)::bigint",
            Dialect::Sqlite => "SELECT unixepoch() * 1000",
        };
        let now = DbTime(shop.number(now).await.unsigned_abs());
        let age = now.since(nodes[0].started);
        assert!((60..300).contains(&age.as_secs()), "{age:?}");
        assert_eq!(facts(nodes), std::slice::from_ref(&own));
        shop.origin.leave(&own).await.unwrap();
        assert_eq!(shop.origin.nodes().await.unwrap(), []);
    }
}

#[tokio::test]
async fn nodes_are_told_apart_and_forgotten_after_a_day() {
    let shop = shop(Dialect::Postgres, "nodes", Vec::new()).await;
    let other = shop.another(&SqlSettings::default());
    let nodes = [
        node("shelf-1", "http://10.0.0.1:7401"),
        node("shelf-1", "http://10.0.0.1:7411"),
        node("shelf-2", "http://127.0.0.1:7401"),
    ];
    for node in &nodes {
        other.beat(node, Duration::ZERO).await.unwrap();
    }
    assert_eq!(facts(shop.origin.nodes().await.unwrap()), nodes);
    shop.sql("UPDATE cache_node SET seen = now() - interval '25 hours' WHERE name = 'shelf-1'")
        .await;
    assert_eq!(facts(shop.origin.nodes().await.unwrap()), nodes[2..]);
    // Its own row is as old as the other, and is written by the statement that prunes that.
    shop.origin.beat(&nodes[0], Duration::ZERO).await.unwrap();
    assert_eq!(shop.number("SELECT count(*) FROM cache_node").await, 2);
    let left = [nodes[0].clone(), nodes[2].clone()];
    assert_eq!(facts(shop.origin.nodes().await.unwrap()), left);
}
