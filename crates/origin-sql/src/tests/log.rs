//! The change log as the nodes that follow it and the node that leads it see it.

use std::time::Duration;

use hotshelf_model::{
    ChangeLog, ChangeRecorder, LogRead, LogRow, Position, PostedChange, Record, Version,
};
use hotshelf_testkit::conformance::cluster_leases;
use hotshelf_testkit::{PostgresServer, wait_until_async};

use super::shop::{Shop, currencies, id, product, products, settle, shop, shops};
use crate::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

async fn rows_after(origin: &SqlOrigin, position: u64) -> Vec<LogRow> {
    match origin.read(Position(position), 1000).await.unwrap() {
        LogRead::Rows(rows) => rows,
        LogRead::Pruned => panic!("rows after {position} are pruned"),
    }
}

/// The ids of the records of rows, in order.
fn ids(rows: &[LogRow]) -> Vec<&str> {
    let records = rows.iter().flat_map(|row| &row.records);
    let ids = records.filter_map(|record| match record {
        Record::Key { id, .. } => Some(id.as_str()),
        Record::Parent { .. } => None,
    });
    ids.collect()
}

#[tokio::test]
async fn leases_of_the_cluster_keep_the_contract() {
    let shop = shop(Dialect::Postgres, "leases", Vec::new()).await;
    let other = shop.another(&SqlSettings::default());
    let elapse = async |span| tokio::time::sleep(span).await;
    cluster_leases(&shop.origin, &other, Duration::from_secs(1), elapse).await;
}

#[tokio::test]
async fn the_leading_node_gets_the_rows_that_it_sequences() {
    let shop = shop(Dialect::Postgres, "leads", Vec::new()).await;
    assert_eq!(shop.origin.sequence().await.unwrap(), []);
    for round in 0..4 {
        let before = shop.settle().await;
        shop.upsert(&[
            product(&format!("b{round}"), "B"),
            product("a", &format!("{round}")),
        ])
        .await;
        let rows = shop.origin.sequence().await.unwrap();
        assert_eq!(ids(&rows), ["a".to_owned(), format!("b{round}")]);
        assert_eq!(rows, rows_after(&shop.origin, before.head.position.0).await);
        assert_eq!(shop.origin.sequence().await.unwrap(), []);
        let after = shop.origin.poll(before.head.position).await.unwrap();
        assert_eq!((after.settled, after.sequenced), (true, None));
        assert_eq!(after.known_nonce, Some(before.head_nonce));
        assert_eq!(after.head_nonce, rows[0].nonce);
    }
    let version = shop.bump().await;
    let rows = shop.origin.sequence().await.unwrap();
    let namespace = products();
    assert_eq!(rows[0].records, [Record::Parent { namespace, version }]);
}

#[tokio::test]
async fn a_reading_is_bounded_in_records_and_goes_on_where_it_ended() {
    let shop = shop(Dialect::Postgres, "bounded", Vec::new()).await;
    shop.sql(
        "INSERT INTO cache_log (pos, tl, nonce, ns, key, ver, op)
         SELECT p, 1, p, array_fill(1::smallint, ARRAY[512]), array_fill('a b'::text, ARRAY[512]),
            array_fill(7::bigint, ARRAY[512]), array_fill(1::smallint, ARRAY[512]) FROM generate_series(1, 150) AS p",
    )
    .await;
    let first = rows_after(&shop.origin, 0).await;
    assert_eq!((first.len(), first[0].records.len()), (100, 512));
    assert_eq!(rows_after(&shop.origin, 100).await.len(), 50);
    assert_eq!(rows_after(&shop.origin, 150).await, []);
    assert_eq!(rows_after(&shop.origin, 151).await, []);
}

async fn age(shop: &Shop) {
    let old = match shop.dialect {
        Dialect::Postgres => "now() - interval '7 hours'",
        Dialect::Sqlite => "unixepoch() - 7 * 3600",
    };
    shop.sql(&format!("UPDATE cache_log SET logged_at = {old}"))
        .await;
}

#[tokio::test]
async fn old_rows_are_pruned_in_steps_and_the_head_stays() {
    for shop in shops("pruned").await {
        for number in 0..300 {
            shop.upsert(&[product("a", &number.to_string())]).await;
            if number % 50 == 0 {
                shop.settle().await;
            }
        }
        let before = shop.settle().await;
        age(&shop).await;
        shop.upsert(&[product("b", "B")]).await;
        let limit = Duration::from_secs(20);
        wait_until_async("what is old is pruned", limit, async || {
            let poll = shop.origin.poll(Position(0)).await.unwrap();
            poll.oldest > before.head.position
        })
        .await;
        let after = shop.origin.poll(Position(0)).await.unwrap();
        let dialect = shop.dialect;
        assert_eq!(after.known_nonce, None, "{dialect:?}");
        let read = shop.origin.read(Position(0), 10).await.unwrap();
        assert_eq!(read, LogRead::Pruned, "{dialect:?}");
        let rows = rows_after(&shop.origin, before.head.position.0).await;
        assert!(!ids(&rows).is_empty() && ids(&rows).iter().all(|id| *id == "b"));
        age(&shop).await;
        for _ in 0..3 {
            let poll = shop.origin.poll(after.head.position).await.unwrap();
            assert_eq!(poll.head.position, after.head.position, "{dialect:?}");
            assert_eq!(poll.known_nonce, Some(after.head_nonce), "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn rows_beyond_the_most_are_pruned_whatever_their_age() {
    let shop = shop(Dialect::Postgres, "most_rows", Vec::new()).await;
    shop.sql(
        "INSERT INTO cache_log (pos, tl, nonce, ns, key, ver, op)
         SELECT p, 1, p, '{}', '{}', '{}', '{}' FROM generate_series(1, 50) AS p",
    )
    .await;
    let prune = "SELECT prune_log('1 hour', 20, 10)";
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.push(shop.number(prune).await);
    }
    assert_eq!(steps, [10, 10, 10, 1, 0]);
    let oldest = shop.origin.poll(Position(0)).await.unwrap().oldest;
    assert_eq!(
        oldest,
        Position(31),
        "the head and the 19 rows before it are left"
    );
    assert_eq!(shop.number("SELECT min(pos) FROM cache_log").await, 31);
}

#[tokio::test]
async fn changes_with_versions_of_their_own_stay_in_the_log_as_long_as_others() {
    for shop in shops("given").await {
        for version in 1..=3 {
            let change = PostedChange {
                namespace: products(),
                id: id("a"),
                version: Some(Version(version)),
            };
            shop.origin.record(&[change], &[]).await.unwrap();
            shop.settle().await;
        }
        let rows = rows_after(&shop.origin, 0).await;
        assert_eq!(ids(&rows), ["a"; 3], "{:?}", shop.dialect);
    }
}

/// The standby has not got the last commits when its primary dies.
#[tokio::test]
async fn a_failover_that_loses_a_tail_shows_in_timeline_and_nonce() {
    let primary = PostgresServer::start().unwrap();
    let connect = |url: String| {
        let settings = SqlSettings {
            url,
            ..SqlSettings::default()
        };
        let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
        SqlOrigin::connect_lazy(&settings, vec![query]).unwrap()
    };
    let old = connect(primary.database("shop").unwrap());
    old.migrate().await.unwrap();
    old.upsert_products(&[product("kept", "A")]).await.unwrap();
    let kept = settle(&old).await;

    let standby = primary.standby().unwrap();
    let new = connect(standby.url("shop"));
    let limit = Duration::from_secs(30);
    wait_until_async("the standby has what there is", limit, async || {
        let poll = new.poll(kept.head.position).await;
        poll.is_ok_and(|poll| poll.known_nonce == Some(kept.head_nonce))
    })
    .await;
    let behind = new.poll(Position(0)).await.unwrap();
    assert_eq!((behind.settled, behind.head.primary), (false, false));
    assert!(new.sequence().await.unwrap_or_default().is_empty());
    standby.stop_following().unwrap();
    old.upsert_products(&[product("lost", "A")]).await.unwrap();
    let lost = settle(&old).await;
    primary.kill();
    standby.promote().unwrap();

    let poll = settle(&new).await;
    assert_eq!(poll.head.hist, kept.head.hist);
    assert_eq!(poll.head.timeline.0, kept.head.timeline.0 + 1);
    let at_lost = new.poll(lost.head.position).await.unwrap();
    assert_eq!(lost.head.position.0, kept.head.position.0 + 1);
    assert!(
        at_lost
            .known_nonce
            .is_some_and(|nonce| nonce != lost.head_nonce)
    );
    new.upsert_products(&[product("kept", "B")]).await.unwrap();
    let after = settle(&new).await;
    assert!(
        after.version_max > lost.version_max,
        "no version is given out again"
    );
    let rows = rows_after(&new, kept.head.position.0).await;
    assert_eq!(rows[0].records, [], "the first row opens the timeline");
    assert_eq!(ids(&rows), ["kept"]);
    assert!(rows.iter().all(|row| row.timeline == poll.head.timeline));
    assert!(
        hotshelf_model::Origin::versions(&new, &products(), &[id("lost")])
            .await
            .is_ok()
    );

    standby.sql("shop", "SELECT hotshelf.renew_hist()").unwrap();
    let renewed = settle(&new).await;
    assert_ne!(renewed.head.hist, after.head.hist);
    assert!(renewed.head.timeline > after.head.timeline);
    let row = rows_after(&new, after.head.position.0).await.remove(0);
    assert_eq!(row.hist, renewed.head.hist);
}
