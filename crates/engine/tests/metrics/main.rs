//! What the engine counts. Alone in its process, because a process has one recorder.
#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests are not seen as tests, and this one needs few of them"
)]

#[path = "../engine/shop.rs"]
mod shop;

use std::time::Duration;

use hotshelf_engine::ReadOptions;
use hotshelf_model::message::encode_row;
use hotshelf_model::{Bus as _, Channel, ErrorKind, LogRow, Position, TierName, UnavailableReason};
use hotshelf_telemetry::Recorder;
use hotshelf_testkit::FakeHub;

use crate::shop::{Shop, key};

/// The value of a counter with exactly these labels; 0 when it is not there.
fn counter(recorder: &Recorder, series: &str) -> u64 {
    let text = recorder.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

fn reads(recorder: &Recorder, tier: &str, outcome: &str) -> u64 {
    let series = format!("hotshelf_reads_total{{tier=\"{tier}\",outcome=\"{outcome}\"}}");
    counter(recorder, &series)
}

fn lookups(recorder: &Recorder, tier: &str, outcome: &str) -> u64 {
    let series = format!("hotshelf_lookups_total{{tier=\"{tier}\",outcome=\"{outcome}\"}}");
    counter(recorder, &series)
}

#[tokio::test(start_paused = true)]
async fn every_read_and_lookup_is_counted_once_and_a_breaker_is_shown() {
    let recorder = Recorder::install().unwrap();
    let shop = Shop::with_lamp();
    let version = shop.origin.put("vase", "vase");
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    assert_eq!(lookups(&recorder, "l1", "miss"), 1);
    assert_eq!(lookups(&recorder, "l2", "miss"), 1);
    assert_eq!(reads(&recorder, "origin", "hit"), 1);

    for _ in 0..3 {
        node.get("lamp").await.unwrap();
    }
    let wanted = ReadOptions {
        min_version: Some(version.token()),
        ..ReadOptions::default()
    };
    node.cache.get(&key("vase"), wanted).await.unwrap();
    node.cache.get(&key("vase"), wanted).await.unwrap();
    assert_eq!(reads(&recorder, "l1", "hit"), 4);
    assert_eq!(lookups(&recorder, "l1", "hit"), 4);
    assert_eq!(lookups(&recorder, "l1", "miss"), 2);
    assert_eq!(reads(&recorder, "origin", "hit"), 2);

    let batch = [key("lamp"), key("ghost"), key("lamp")];
    node.cache.get_many(&batch, ReadOptions::default()).await;
    assert_eq!(reads(&recorder, "l1", "hit"), 5);
    assert_eq!(reads(&recorder, "origin", "absent"), 1);

    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(5));
    node.get("lamp").await.unwrap();
    node.get("never seen").await.unwrap_err();
    assert_eq!(reads(&recorder, "l1", "stale"), 1);
    assert_eq!(reads(&recorder, "origin", "failed"), 1);
    assert_eq!(counter(&recorder, "hotshelf_stale_age_seconds_count"), 1);

    let breaker = "hotshelf_breaker_state{tier=\"l2\"} ";
    assert!(recorder.render().contains(&format!("{breaker}0")));
    shop.l2.fail(UnavailableReason::Open);
    // The clock of this runtime goes on by itself.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(counter(&recorder, breaker), 2);

    a_slower_tier_is_counted(&recorder).await;
    a_row_ahead_of_a_resync_leaves_no_gap(&recorder).await;
}

async fn a_slower_tier_is_counted(recorder: &Recorder) {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2 and L3", |node| {
        shop.l2.len() == 1 && node.l3.len() == 1
    })
    .await;
    node.cache.remove_from_l1(&key("lamp"));
    let before = lookups(recorder, "l2", "hit");
    shop.l2.lookups.hold();
    assert_eq!(node.get("lamp").await.unwrap().tier(), TierName::L3);
    assert_eq!(lookups(recorder, "l2", "hit"), before);
    shop.l2.lookups.release();
    node.until("the slower tier is counted", |_| {
        lookups(recorder, "l2", "hit") == before + 1
    })
    .await;
}

async fn a_row_ahead_of_a_resync_leaves_no_gap(recorder: &Recorder) {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let node = shop.node_on(&hub).await;
    let far = LogRow {
        hist: shop.origin.head().hist,
        timeline: shop.origin.head().timeline,
        position: Position(1_000),
        nonce: 1,
        records: Vec::new(),
    };
    hub.join().publish(Channel::Log, encode_row(&far));
    let rows = "hotshelf_change_log_rows_total{source=\"bus\"}";
    node.until("the row has come", |_| counter(recorder, rows) == 1)
        .await;
    shop.lose_rows();
    node.catch_up().await;
    shop.origin.put("vase", "vase");
    node.catch_up().await;
    assert_eq!(counter(recorder, "hotshelf_change_log_gaps_total"), 0);
}
