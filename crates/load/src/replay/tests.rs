//! Order, times and speed of a replay, from logs of several kinds.

use hotshelf_access_log::parse::{KeyPattern, OWN_PATHS};
use hotshelf_model::NamespaceName;

use super::*;

/// Replays texts as files; gives each request's milliseconds and id, and what became of the logs.
fn replayed(texts: &[String], speed: f64) -> (Vec<(u128, String)>, ReplayTally) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..texts.len())
        .map(|number| folder.path().join(format!("{number}.log")))
        .collect();
    for (path, text) in paths.iter().zip(texts) {
        std::fs::write(path, text).unwrap();
    }
    let pattern = KeyPattern::new(OWN_PATHS, &NamespaceName::new("products").unwrap()).unwrap();
    let mut replay = Replay::new(InTime::open(&paths, None, &pattern).unwrap(), speed);
    let arrivals: Vec<_> = replay.by_ref().collect();
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.due));
    let told = arrivals
        .iter()
        .map(|arrival| (arrival.due.as_millis(), arrival.key.id().to_owned()));
    let tally = replay.tally().lock().clone();
    (told.collect(), tally)
}

fn expected(told: &[(u128, &str)]) -> Vec<(u128, String)> {
    told.iter()
        .map(|(ms, id)| (*ms, (*id).to_owned()))
        .collect()
}

/// nginx's `combined`, which tells whole seconds.
fn nginx(second: u32, id: &str) -> String {
    format!(
        "::1 - - [21/Nov/2026:15:39:{second:02} +0000] \"GET /v1/products/{id} HTTP/1.1\" 200 1 \"-\" \"-\"\n"
    )
}

/// nginx's JSON with milliseconds.
fn json(ms: u32, id: &str) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!(
        "{{\"msec\":\"{}.{ms:03}\",\"request_method\":\"GET\",\"request_uri\":\"/v1/products/{id}\"}}\n",
        1_795_275_563 + seconds
    )
}

#[test]
fn whole_seconds_are_spread_and_the_speed_divides_time() {
    let log = [
        nginx(10, "a"),
        nginx(10, "b"),
        nginx(12, "c"),
        nginx(12, "d"),
    ]
    .concat();
    let (told, tally) = replayed(std::slice::from_ref(&log), 1.0);
    assert_eq!(
        told,
        expected(&[(0, "a"), (500, "b"), (2000, "c"), (2500, "d")])
    );
    assert_eq!((tally.reads, tally.out_of_order), (4, 0));
    let (told, _) = replayed(std::slice::from_ref(&log), 4.0);
    assert_eq!(
        told,
        expected(&[(0, "a"), (125, "b"), (500, "c"), (625, "d")])
    );
    let (told, _) = replayed(&[log], 0.5);
    assert_eq!(told[3], (5000, "d".to_owned()));
}

#[test]
fn several_logs_are_one_and_small_disorder_is_put_right() {
    let logs = [
        [
            json(300, "b"),
            json(100, "a"),
            json(2400, "e"),
            json(1900, "d"),
        ]
        .concat(),
        [json(900, "c"), json(9000, "f")].concat(),
    ];
    let (told, tally) = replayed(&logs, 1.0);
    let times = [
        (0, "a"),
        (200, "b"),
        (800, "c"),
        (1800, "d"),
        (2300, "e"),
        (8900, "f"),
    ];
    assert_eq!(told, expected(&times));
    assert_eq!(tally.out_of_order, 0);
}

#[test]
fn what_stands_far_too_late_is_sent_and_counted() {
    let log = [
        json(500, "a"),
        json(5500, "b"),
        json(9500, "c"),
        json(200, "late"),
    ]
    .concat();
    let (told, tally) = replayed(&[log], 1.0);
    let ids: Vec<_> = told.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids.len(), 4, "{told:?}");
    assert!(ids.contains(&"late"));
    assert_eq!((tally.reads, tally.out_of_order), (4, 1));
}

#[test]
fn a_record_of_many_reads_is_as_many_requests_in_its_second() {
    let record = |ms: u64, id: &str, reads: u64| {
        format!(
            "{{\"at_ms\":{},\"reads\":{reads},\"namespace\":\"products\",\"id\":\"{id}\",\"tier\":\"l1\",\"outcome\":\"hit\",\"version\":\"1-1\",\"bytes\":1}}\n",
            1_795_275_563_000 + ms
        )
    };
    let (told, tally) = replayed(
        &[record(0, "a", 4) + &record(600, "b", 2) + &record(5000, "c", 50_000)],
        1.0,
    );
    let first = [
        (0, "a"),
        (100, "b"),
        (250, "a"),
        (500, "a"),
        (600, "b"),
        (750, "a"),
    ];
    assert_eq!(&told[..6], expected(&first));
    assert_eq!(told.len(), 6 + 10_000);
    assert_eq!((tally.reads, tally.left_out), (10_006, 40_000));
}

#[test]
fn lines_that_are_no_reads_are_counted() {
    let post = nginx(10, "x").replace("GET", "POST");
    let (told, tally) = replayed(&[nginx(10, "a") + "rubbish\n" + &post], 1.0);
    assert_eq!(told, expected(&[(0, "a")]));
    assert_eq!((tally.reads, tally.other, tally.skipped), (1, 1, 1));
    assert!(tally.problem.unwrap().starts_with("line 2: "));
}
