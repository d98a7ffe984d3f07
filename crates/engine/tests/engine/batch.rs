//! Batches: one pass per tier, each key by itself.

use hotshelf_engine::ReadOptions;
use hotshelf_model::{ErrorKind, Key, Kind, TierName};

use crate::shop::{Node, Shop, key, text};

fn keys(ids: &[&str]) -> Vec<Key> {
    ids.iter().map(|id| key(id)).collect()
}

async fn texts(node: &Node, ids: &[&str]) -> Vec<String> {
    let answers = node
        .cache
        .get_many(&keys(ids), ReadOptions::default())
        .await;
    answers
        .into_iter()
        .map(|answer| match answer {
            Ok(answer) if answer.kind() == Kind::Absent => "absent".to_owned(),
            Ok(answer) => text(&answer),
            Err(error) => error.kind().as_str().to_owned(),
        })
        .collect()
}

fn shop_with(ids: &[&str]) -> Shop {
    let shop = Shop::new();
    for id in ids {
        shop.origin.put(id, format!("doc {id}"));
    }
    shop
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_statement_and_keeps_the_order_of_the_request() {
    let shop = shop_with(&["a", "b", "c"]);
    let node = shop.node().await;
    let asked = ["c", "ghost", "a", "c", "b"];
    let expected = ["doc c", "absent", "doc a", "doc c", "doc b"];
    assert_eq!(texts(&node, &asked).await, expected);
    assert_eq!((shop.origin.fetches(), shop.origin.documents()), (1, 4));
    assert_eq!(texts(&node, &asked).await, expected);
    assert_eq!(shop.origin.fetches(), 1, "the second batch is served by L1");
}

#[tokio::test(start_paused = true)]
async fn each_key_comes_from_the_nearest_tier_that_has_it() {
    let shop = shop_with(&["a", "b", "c"]);
    let first = shop.node().await;
    texts(&first, &["a", "b"]).await;
    first
        .until("two copies are in L2", |_| shop.l2.len() == 2)
        .await;
    let second = shop.node().await;
    second.get("a").await.unwrap();
    let before = shop.l2.get_calls();
    let answers = second
        .cache
        .get_many(&keys(&["a", "b", "c"]), ReadOptions::default())
        .await;
    let tiers: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().tier())
        .collect();
    assert_eq!(tiers, [TierName::L1, TierName::L2, TierName::Origin]);
    assert_eq!(shop.l2.get_calls(), before + 1, "one lookup for all keys");
}

#[tokio::test(start_paused = true)]
async fn one_bad_document_fails_only_its_own_key() {
    let shop = shop_with(&["a", "b"]);
    shop.origin.fail_id("b", ErrorKind::TooLarge);
    let node = shop.node().await;
    assert_eq!(texts(&node, &["a", "b"]).await, ["doc a", "too_large"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_while_the_origin_is_down_gives_what_is_held() {
    let shop = shop_with(&["a", "b"]);
    let node = shop.node().await;
    texts(&node, &["a"]).await;
    shop.origin.fail(ErrorKind::OriginFailed);
    assert_eq!(texts(&node, &["a", "b"]).await, ["doc a", "origin_failed"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_is_empty() {
    let node = Shop::new().node().await;
    assert!(
        node.cache
            .get_many(&[], ReadOptions::default())
            .await
            .is_empty()
    );
}
